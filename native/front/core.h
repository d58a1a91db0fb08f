// The front's core: one thread polls it, any thread answers. It knows gRPC over HTTP/2 and plain requests of the Open
// Inference Protocol, and nothing of Python.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "connection.h"
#include "exchange.h"
#include "guests.h"

namespace front {

// Times in seconds; of ages 0 means: never.
struct Bounds {
  std::size_t message_bytes = std::size_t{64} << 20;
  std::int64_t unsent_bytes = 16 << 20, coming_bytes = std::int64_t{1} << 30;
  std::int64_t connections = 1024, streams = 512, calls = 1024;
  double stall = 10.0, idle = 0.0, age = 0.0, keepalive = 60.0, keepalive_timeout = 20.0, handshake = 10.0;
  double least_ping = 5.0, age_grace = 60.0;
};

double monotonic();

class Core {
 public:
  Core(const Bounds& bounds, std::vector<Method> methods);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Listens on a TCP address (port 0: any), or on a Unix socket ("unix:PATH"). The port; -1 with `why` where it cannot.
  int bind(const std::string& host, int port, std::string* why);
  int bind_unix(const std::string& path, std::string* why);
  void start();

  // Waits for events until one has come, `until` or `wake`; false once the core is closed. `over`: exchanges of earlier
  // or these events that are over, of which no event will tell any more.
  bool poll(double until, std::vector<Event>* events, std::vector<Ref<Exchange>>* over);
  void wake();

  void publish(Signatures signatures);

  // Answers; false where the call had its answer or its client has left.
  bool reply(Exchange* exchange, Ref<Memory> framed, Trailers trailers);
  bool send(Exchange* exchange, Ref<Memory> framed);
  bool finish(Exchange* exchange, int status, std::string details, Trailers trailers);
  bool abort(Exchange* exchange, int status, const std::string& details);
  void give_up(Exchange* exchange, const std::string& why);
  // Answers many at once; `why` has a text for each that its client is not to have.
  void reply_all(const std::vector<std::pair<Exchange*, Ref<Memory>>>& answers, std::vector<std::string>* why);
  std::string unread(Exchange* exchange);
  std::size_t unsent(Exchange* exchange);
  void ask(Exchange* exchange);
  void pause(Exchange* exchange, bool paused);

  void stop_accepting_calls(int status, const std::string& details);
  bool wait_empty(double seconds);
  void goodbye();
  void close();
  std::vector<int> busy_ports();
  std::int64_t calls();
  std::size_t connected();

  // For connections, under the lock.
  const Bounds& bounds() const { return bounds_; }
  const Method* method(const std::string& path) const;
  bool enter(Connection* connection, Exchange* exchange, std::string* why);
  void put(Kind kind, Exchange* exchange, Ref<Memory> message = {}, bool packed = false);
  void deliver(Exchange* exchange);
  void ended(Connection* connection, Exchange* exchange);
  void watch_deadline(Exchange* exchange);
  void answered(Connection* connection, Exchange* exchange);
  void took(Connection* connection, Exchange* exchange, std::size_t size);
  // Requests that are held take so many bytes more, or (negative) fewer; above the bound who holds most loses a call.
  void weigh(Exchange* exchange, std::int64_t bytes);
  const Signatures& signatures() const { return signatures_; }
  int stopping_status() const { return stopping_status_; }
  const std::string& stopping_details() const { return stopping_details_; }
  bool is_stopping() const { return is_stopping_; }
  void touch(Connection* connection);
  Connection* adopt(int socket, std::string peer, int port);
  void drop(Connection* connection);
  double now() const { return now_; }

  std::mutex mutex;

 private:
  class Turn;

  void hand_over(std::vector<Event>* events, std::vector<Ref<Exchange>>* over);
  int listen_on(int socket, const void* address, unsigned size, std::string* why);
  void accept_on(int listener);
  void handle(Connection* connection, std::uint32_t what);
  void run_timers();
  void flush_dirty();
  void sweep();
  void hold(Connection* connection, Exchange* exchange, std::size_t size);
  void begin_give_up(Exchange* exchange, const std::string& why);
  bool may_hand_over(const Exchange* exchange) const;
  void watch(Connection* connection);

  const Bounds bounds_;
  std::vector<Method> methods_;
  std::map<std::string, const Method*, std::less<>> by_path_;
  Guests guests_;
  Signatures signatures_;
  int epoll_, wake_;
  std::vector<int> listeners_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> dirty_;
  std::vector<Event> events_;
  std::vector<Ref<Exchange>> over_;
  std::set<std::pair<double, Exchange*>> deadlines_;
  std::condition_variable empty_;
  std::atomic<int> waiting_{0};
  std::atomic<bool> asleep_{false}, is_woken_{false};
  std::int64_t coming_ = 0;
  double now_ = 0.0, ticked_ = 0.0, accept_again_ = kNever;
  bool is_stopping_ = false, is_closed_ = false;
  int stopping_status_ = 0;
  std::string stopping_details_;
};

}  // namespace front
