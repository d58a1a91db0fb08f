// One client's connection: a socket, an HTTP/2 session on it, its calls. All of it is under the core's lock.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "exchange.h"
#include "guests.h"

namespace front {

class Core;

class Connection {
 public:
  // `socket` is closed with it; -1 for none, as fuzzers have it.
  Connection(Core& core, int socket, std::string peer, int port);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int socket() const { return socket_; }
  int port() const { return port_; }
  const std::string& peer() const { return peer_; }
  bool is_done() const { return is_done_; }
  bool has_calls() const { return guest_.calls != 0; }
  // Epoll's events that it waits for; `watched` is what epoll was told last.
  std::uint32_t wanted() const;
  bool reads() const { return !is_half_closed_ && !is_stuffed_; }
  std::int64_t coming() const { return coming_; }
  std::size_t streams() const { return exchanges_.size(); }
  Guest& guest() { return guest_; }

  // Reads what has come, up to a bound; true where there may be more. `is_broken`: nothing can be sent any more.
  bool read(double now, bool is_broken = false);
  // Bytes as if they had come. False where the connection must end.
  bool feed(const std::uint8_t* bytes, std::size_t size);
  // Sends what waits, as far as the client takes it.
  void flush();
  // Throws away what would be sent: of a connection without a socket.
  void swallow();
  // Once a second: pings, ages, handshakes that do not come.
  void tick(double now);
  // No new streams; those that run come to their end.
  void say_goodbye();
  // The connection ends now.
  void end();

  // The exchange's outbox or status has changed.
  void advance(Exchange* exchange);
  // Ends an exchange at once, whatever waits for its client's window.
  void cut_off(Exchange* exchange, int status, const std::string& details);
  // Gives back the stream's window for what was handed over.
  void consume(Exchange* exchange);
  // Bytes of requests that it holds: more, or (negative) fewer.
  void weigh(Exchange* exchange, std::int64_t bytes);
  // The largest call of which something waits to be handed over; none where all of them have been.
  Exchange* largest() const;

  bool is_dirty = false;  // has something to flush
  std::uint32_t watched;

 private:
  friend struct Callbacks;

  struct Segment {
    const std::uint8_t* data;
    std::size_t size;
    Ref<Memory> keep;
  };

  void say_streams();
  bool begin_stream(std::int32_t stream);
  bool header(Exchange* exchange, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
              std::size_t size);
  void begin_call(Exchange* exchange);
  void refuse(Exchange* exchange, int status, const std::string& details);
  void respond_http(std::int32_t stream, const char* code);
  bool data(Exchange* exchange, const std::uint8_t* bytes, std::size_t size);
  bool begin_message(Exchange* exchange, const std::uint8_t* rest, std::size_t size);
  void complete(Exchange* exchange);
  void client_ended(Exchange* exchange);
  void close_stream(std::int32_t stream);
  ssize_t next_data(Exchange* exchange, std::uint8_t* to, std::size_t most, std::uint32_t* flags);
  void send_headers(Exchange* exchange);
  void submit_trailers(Exchange* exchange);
  void pinged();
  void annoyed(double by);
  void client_closed();
  void frame_sent(const nghttp2_frame* frame);
  bool fill_output();
  void discard_output();
  void put_output(const std::uint8_t* bytes, std::size_t size);
  Exchange* find(std::int32_t stream);

  Core& core_;
  int socket_;
  int port_;
  std::string peer_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, Ref<Exchange>> exchanges_;
  Guest guest_;

  // Output: small frames lie in `small_`, large messages where they are.
  std::vector<Segment> output_;
  std::size_t output_at_ = 0, output_bytes_ = 0;
  std::unique_ptr<std::uint8_t[]> small_;
  std::size_t small_size_ = 0;
  bool wants_room_ = false, is_done_ = false;
  bool is_half_closed_ = false;  // the client sends no more, and may still read
  bool is_stuffed_ = false;      // it has to read before it is read from
  double stuck_since_ = 0.0;     // where it wants room

  // The frame that comes in: what is left of it, and whose it is where it can be read in place.
  std::size_t frame_left_ = 0;
  Exchange* frame_of_ = nullptr;
  Ref<Memory> spent_;  // that bytes were read to which nobody wants any more
  std::int64_t coming_ = 0;

  double opened_, active_, now_, last_ping_ = -kNever, pinged_at_ = kNever, annoyed_at_ = 0.0, goodbye_at_ = kNever;
  double annoyance_ = 0.0;
  int strikes_ = 0;
  bool has_spoken_ = false, sent_since_ping_ = true, awaits_pong_ = false;
};

}  // namespace front
