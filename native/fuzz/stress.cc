// The core under threads: one polls, several answer, clients come over real sockets, and call, reset, do not read, leave.
// Every whole answer is held to its request. To be built with a sanitizer: scripts/native_stress.sh. `stress SECONDS SEED`.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../front/core.h"
#include "../front/plain.h"

namespace {

using front::Core;
using front::Event;
using front::Exchange;
using front::Kind;
using front::Memory;
using front::Ref;

using Chance = std::mt19937;
std::atomic<bool> is_over{false};
std::atomic<long> right{0}, ended{0}, polled{0};

void fail(const char* why) {
  std::fprintf(stderr, "stress: %s\n", why);
  std::abort();
}

Ref<Memory> framed(const std::string& body) {
  Ref<Memory> made = Ref<Memory>::adopt(new Memory(5 + body.size(), 0));
  std::size_t given = 0;
  std::uint8_t* place = made->room(5 + body.size(), &given);
  const std::uint8_t head[5] = {0, static_cast<std::uint8_t>(body.size() >> 24),
                                static_cast<std::uint8_t>(body.size() >> 16),
                                static_cast<std::uint8_t>(body.size() >> 8), static_cast<std::uint8_t>(body.size())};
  std::memcpy(place, head, 5);
  std::memcpy(place + 5, body.data(), body.size());
  made->fill(given);
  return made;
}

// ---- The server: its answers are what it was asked, three times.

struct Task {
  Ref<Exchange> exchange;
  std::string asked;
  bool ends = false;
};

class Server {
 public:
  Server() : core_(bounds(), methods()) {
    std::string why;
    port = core_.bind("127.0.0.1", 0, &why);
    if (port <= 0) fail("cannot bind");
    publish();
    core_.start();
    threads_.emplace_back([this] { poll(); });
    for (unsigned i = 0; i < 3; ++i) threads_.emplace_back([this, i] { work(i); });
  }

  void stop() {
    core_.stop_accepting_calls(14, "stopping");
    core_.wait_empty(1.0);
    core_.goodbye();
    core_.close();
    for (std::thread& one : threads_) one.join();
    if (core_.calls() != 0 || core_.connected() != 0) fail("calls are left");
  }

  int port = 0;

 private:
  static front::Bounds bounds() {
    front::Bounds made;
    made.streams = 64;
    made.calls = 256;
    made.connections = 64;
    made.unsent_bytes = 4 << 20;
    made.stall = 0.5;
    made.keepalive = 1.0;
    made.age = 2.0;
    return made;
  }
  static std::vector<front::Method> methods() {
    std::vector<front::Method> made(3);
    const char* const paths[] = {"/infer", "/stream", "/ask"};
    for (int i = 0; i < 3; ++i) {
      made[static_cast<std::size_t>(i)].path = paths[i];
      made[static_cast<std::size_t>(i)].index = i;
      made[static_cast<std::size_t>(i)].most_bytes = 1 << 20;
    }
    made[0].plain = true;
    made[1].streaming = true;
    return made;
  }
  void publish() {
    auto made = std::make_shared<front::Signature>();
    made->model = "m";
    made->most_rows = 1 << 16;
    made->inputs.push_back({"x", "UINT8", {}, 1, front::Vet::nothing});
    core_.publish({made});
  }

  void poll() {
    for (bool goes_on = true; goes_on;) {
      std::vector<Event> events;
      std::vector<Ref<Exchange>> over;
      goes_on = core_.poll(front::monotonic() + 0.05, &events, &over);
      ++polled;
      for (const Event& event : events) {
        if (event.kind == Kind::message) put({event.exchange, text(*event.message), false});
        if (event.kind == Kind::end) put({event.exchange, "", true});
        if (event.kind == Kind::plain) put({event.exchange, plain_text(*event.exchange), false});
      }
      for (const Ref<Exchange>& one : over) {
        if (!one->is_over || one->is_open) fail("an exchange is over that is not");
      }
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    is_done_ = true;
    ready_.notify_all();
  }
  static std::string text(const Memory& message) {
    return std::string(reinterpret_cast<const char*>(message.data()), message.filled());
  }
  static std::string plain_text(const Exchange& exchange) {
    const front::Slice raw = exchange.plain.raw[0];
    return std::string(reinterpret_cast<const char*>(raw.data), raw.size);
  }

  void put(Task task) {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
    ready_.notify_one();
  }
  bool take(std::vector<Task>* taken) {
    std::unique_lock<std::mutex> lock(mutex_);
    ready_.wait(lock, [this] { return is_done_ || !tasks_.empty(); });
    for (int i = 0; i < 8 && !tasks_.empty(); ++i) {
      taken->push_back(std::move(tasks_.front()));
      tasks_.pop_front();
    }
    return !is_done_ || !taken->empty();
  }

  void work(unsigned seed) {
    Chance chance(seed);
    for (;;) {
      std::vector<Task> taken;
      if (!take(&taken)) return;
      if (chance() % 64 == 0) publish();
      std::vector<std::pair<Exchange*, Ref<Memory>>> together;
      for (Task& one : taken) {
        Exchange* exchange = one.exchange.get();
        if (exchange->method->streaming) {
          stream(exchange, one, chance);
        } else if (chance() % 2 == 0) {
          together.emplace_back(exchange, framed(one.asked + one.asked + one.asked));
        } else {
          answer(exchange, one, chance);
        }
      }
      std::vector<std::string> why;
      core_.reply_all(together, &why);
      for (std::size_t i = 0; i < why.size(); ++i) {
        if (!why[i].empty()) core_.finish(together[i].first, 8, why[i], {});
      }
    }
  }
  void answer(Exchange* exchange, const Task& one, Chance& chance) {
    if (chance() % 8 == 0) core_.unread(exchange);
    switch (chance() % 8) {
      case 0:
        core_.finish(exchange, 3, "no \x01 %", {{"k", "v"}});
        break;
      case 1:
        core_.give_up(exchange, "slow");
        break;
      case 2:
        core_.abort(exchange, 8, "cut");
        break;
      default:
        core_.reply(exchange, framed(one.asked + one.asked + one.asked), {{"k", "v"}});
    }
    if (chance() % 4 == 0) core_.finish(exchange, 13, "twice", {});  // has had its answer
  }
  void stream(Exchange* exchange, const Task& one, Chance& chance) {
    if (one.ends) {
      core_.finish(exchange, 0, "", {});
      return;
    }
    core_.send(exchange, framed(one.asked + one.asked + one.asked));
    core_.unsent(exchange);
    if (chance() % 16 == 0) core_.pause(exchange, true);
    core_.ask(exchange);
    core_.pause(exchange, false);
    if (chance() % 64 == 0) core_.give_up(exchange, "slow");
  }

  Core core_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Task> tasks_;
  bool is_done_ = false;
  std::vector<std::thread> threads_;
};

// ---- The clients.

struct Call {
  std::string body, given, got;
  std::size_t at = 0;
  bool is_plain = false, ends = true;
};

std::string as_message(const std::string& body) {
  std::string made(5, '\0');
  for (int i = 0; i < 4; ++i) made[static_cast<std::size_t>(1 + i)] = static_cast<char>(body.size() >> (8 * (3 - i)));
  return made + body;
}

void field(std::string* to, char tag, const std::string& value) {
  *to += tag;
  std::size_t size = value.size();
  for (; size > 127; size >>= 7) *to += static_cast<char>(size | 128);
  *to += static_cast<char>(size);
  *to += value;
}

std::string plain_request(const std::string& raw) {
  std::string shape, input, made;
  std::size_t rows = raw.size();
  for (; rows > 127; rows >>= 7) shape += static_cast<char>(rows | 128);
  shape += static_cast<char>(rows);
  field(&input, 0x0A, "x");
  field(&input, 0x12, "UINT8");
  field(&input, 0x1A, shape);
  field(&made, 0x0A, "m");
  field(&made, 0x2A, input);
  field(&made, 0x3A, raw);
  return made;
}

class Client {
 public:
  Client(int port, unsigned seed) : chance_(seed) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      is_alive_ = false;  // the server has stopped
      ::usleep(1000);
    }
    nghttp2_session_callbacks* calls = nullptr;
    nghttp2_session_callbacks_new(&calls);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, closed);
    nghttp2_session_client_new(&session_, calls, this);
    nghttp2_session_callbacks_del(calls);
    const std::uint32_t windows[] = {1, 4096, 65535, 1u << 30};
    const nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, windows[chance_() % 4]};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &window, 1);
    if (chance_() % 2 == 0) nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 1 << 30);
  }
  ~Client() {
    const linger now{1, 0};
    if (chance_() % 2 == 0) ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(socket_);
    nghttp2_session_del(session_);
  }

  void live() {
    const bool reads = chance_() % 5 != 0;
    const int steps = static_cast<int>(chance_() % 120);
    for (int i = 0; i < steps && is_alive_ && !is_over; ++i) {
      act();
      write();
      if (reads) read(2);
      if (!reads && i % 16 == 0) ::usleep(20000);
    }
    for (int i = 0; i < 50 && reads && is_alive_ && !is_over && !calls_.empty(); ++i) {
      write();
      read(10);
    }
  }

 private:
  static int chunk(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes, std::size_t size,
                   void* user) {
    auto& calls = static_cast<Client*>(user)->calls_;
    const auto found = calls.find(stream);
    if (found != calls.end()) found->second->got.append(reinterpret_cast<const char*>(bytes), size);
    return 0;
  }
  static int closed(nghttp2_session*, std::int32_t stream, std::uint32_t, void* user) {
    auto& calls = static_cast<Client*>(user)->calls_;
    const auto found = calls.find(stream);
    if (found == calls.end()) return 0;
    const Call& call = *found->second;
    const std::string once = call.given + call.given + call.given;
    const std::string wanted = as_message(once);
    for (std::size_t at = 0; at < call.got.size(); at += wanted.size()) {
      const std::size_t size = std::min(wanted.size(), call.got.size() - at);
      if (call.got.compare(at, size, wanted, 0, size) != 0) fail("an answer is another's");
      if (size == wanted.size()) ++right;
    }
    ++ended;
    calls.erase(found);
    return 0;
  }
  static ssize_t body(nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t most, std::uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto* call = static_cast<Call*>(source->ptr);
    const std::size_t size = std::min(most, call->body.size() - call->at);
    std::memcpy(to, call->body.data() + call->at, size);
    call->at += size;
    if (call->at < call->body.size()) return static_cast<ssize_t>(size);
    if (!call->ends && size == 0) return NGHTTP2_ERR_DEFERRED;
    if (call->ends) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }

  static nghttp2_nv pair(const std::string& name, const std::string& value) {
    return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
            reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
            NGHTTP2_NV_FLAG_NONE};
  }

  void begin() {
    auto made = std::make_unique<Call>();
    static const std::string paths[] = {"/infer", "/stream", "/ask", "/none"};
    const std::size_t which = chance_() % 16 == 0 ? 3 : chance_() % 3;
    const std::size_t sizes[] = {1, 100, 5000, 40000};
    made->given = std::string(1 + chance_() % sizes[chance_() % 4], static_cast<char>('a' + chance_() % 26));
    for (std::size_t i = 0; i + 4 < made->given.size(); i += 64) std::memcpy(&made->given[i], &next_, 4);
    ++next_;
    const bool plain = which == 0 && chance_() % 4 != 0;
    made->body = as_message(plain ? plain_request(made->given) : made->given);
    if (which == 1) {
      const std::string one = made->body;
      for (unsigned i = chance_() % 6; i > 0; --i) made->body += one;
    }
    if (chance_() % 32 == 0) made->body.resize(made->body.size() / 2);
    made->ends = chance_() % 16 != 0;
    std::vector<std::pair<std::string, std::string>> headers = {
        {":method", "POST"}, {":scheme", "http"}, {":path", paths[which]}, {":authority", "a"},
        {"te", "trailers"},  {"content-type", "application/grpc"}};
    if (chance_() % 8 == 0) headers.emplace_back("grpc-timeout", std::to_string(chance_() % 30) + "m");
    std::vector<nghttp2_nv> pairs;
    for (const auto& [name, value] : headers) pairs.push_back(pair(name, value));
    nghttp2_data_provider provider;
    provider.source.ptr = made.get();
    provider.read_callback = body;
    const std::int32_t stream =
        nghttp2_submit_request(session_, nullptr, pairs.data(), pairs.size(), &provider, nullptr);
    if (stream < 0) is_alive_ = false;
    if (stream > 0) calls_[stream] = std::move(made);
  }

  void act() {
    const unsigned what = chance_() % 32;
    if (what < 24 && calls_.size() < 80) {
      for (unsigned i = chance_() % 8; i-- > 0;) begin();
    } else if (what < 28 && !calls_.empty()) {
      auto one = calls_.begin();
      std::advance(one, chance_() % calls_.size());
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, one->first, NGHTTP2_CANCEL);
    } else if (what == 28) {
      nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    } else if (what == 29) {
      const nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                          static_cast<std::uint32_t>(1 + chance_() % (1 << 20))};
      nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &window, 1);
    } else if (what == 30 && chance_() % 8 == 0) {
      ::shutdown(socket_, SHUT_WR);
      is_alive_ = false;
    }
  }
  void write() {
    const std::uint8_t* bytes = nullptr;
    for (;;) {
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size < 0) is_alive_ = false;
      if (size <= 0) return;
      for (ssize_t at = 0; at < size;) {
        pollfd one{socket_, POLLOUT, 0};
        if (::poll(&one, 1, 200) == 0) is_alive_ = false;  // it takes no more, as we do not read
        const ssize_t sent = is_alive_ ? ::send(socket_, bytes + at, static_cast<std::size_t>(size - at),
                                                MSG_NOSIGNAL | MSG_DONTWAIT)
                                       : -1;
        if (sent < 0 && (errno != EAGAIN || !is_alive_)) {
          is_alive_ = false;
          return;
        }
        if (sent > 0) at += sent;
      }
    }
  }
  void read(int within_ms) {
    std::uint8_t bytes[16384];
    pollfd one{socket_, POLLIN, 0};
    while (is_alive_ && ::poll(&one, 1, within_ms) > 0) {
      const ssize_t size = ::recv(socket_, bytes, sizeof bytes, MSG_DONTWAIT);
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0 || nghttp2_session_mem_recv(session_, bytes, static_cast<std::size_t>(size)) < 0) {
        is_alive_ = false;
      }
      if (size < static_cast<ssize_t>(sizeof bytes)) return;
    }
  }

  Chance chance_;
  int socket_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, std::unique_ptr<Call>> calls_;
  std::uint32_t next_ = 0;
  bool is_alive_ = true;
};

}  // namespace

int main(int count, char** given) {
  const double seconds = count > 1 ? std::atof(given[1]) : 5.0;
  const auto seed = static_cast<unsigned>(count > 2 ? std::atoi(given[2]) : 1);
  Server server;
  std::vector<std::thread> clients;
  for (unsigned i = 0; i < 6; ++i) {
    clients.emplace_back([&server, seed, i] {
      for (unsigned turn = 0; !is_over; ++turn) Client(server.port, seed + 1000 * i + 7919 * turn).live();
    });
  }
  ::usleep(static_cast<useconds_t>(seconds * 1e6));
  server.stop();  // in the middle of it all
  is_over = true;
  for (std::thread& one : clients) one.join();
  std::printf("%ld calls ended, %ld answers right, %ld polls\n", ended.load(), right.load(), polled.load());
  return right == 0;
}
