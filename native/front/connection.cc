#include "connection.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "core.h"

namespace front {
namespace {

constexpr std::size_t kSmallOutput = 64 << 10;   // bytes of small frames that wait for the socket
constexpr std::size_t kMostOutput = 256 << 10;   // bytes of all frames that do
constexpr std::size_t kInPlace = 4 << 10;        // from this size on bytes are read to where they belong
constexpr std::size_t kReadBuffer = 64 << 10;
constexpr std::size_t kReadTurn = 1 << 20;       // bytes of one connection before others have their turn,
constexpr double kReadTurnS = 0.001;             // and time: frames may be of nothing
constexpr std::size_t kMostHeaderBytes = 16 << 10;
constexpr std::uint32_t kStreamWindow = 1 << 20, kFrame = 1 << 20;
constexpr std::int32_t kConnectionWindow = 16 << 20;
constexpr double kResetBurst = 10000, kResetsASecond = 1000;
// What costs us and serves nobody, in resets.
constexpr double kASetting = 10.0, kTooManyHeaders = 100.0;
constexpr std::size_t kQueued = 1000;  // frames, besides one a stream, that wait before more is read
constexpr int kMostStrikes = 2;
constexpr double kGoodbye = 1.0;  // s between the notice and the end of new streams
constexpr std::size_t kMostShown = 200;

nghttp2_nv pair(const char* name, std::size_t name_size, const char* value, std::size_t size, std::uint8_t flags) {
  return nghttp2_nv{reinterpret_cast<std::uint8_t*>(const_cast<char*>(name)),
                    reinterpret_cast<std::uint8_t*>(const_cast<char*>(value)), name_size, size, flags};
}

template <std::size_t N, std::size_t M>
nghttp2_nv fixed(const char (&name)[N], const char (&value)[M]) {
  return pair(name, N - 1, value, M - 1, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

template <std::size_t N>
nghttp2_nv named(const char (&name)[N], const std::string& value) {
  return pair(name, N - 1, value.data(), value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME);
}

bool is(const std::uint8_t* text, std::size_t size, const char* other) {
  return size == std::strlen(other) && std::memcmp(text, other, size) == 0;
}

bool begins(const std::uint8_t* text, std::size_t size, const char* other) {
  const std::size_t length = std::strlen(other);
  return size >= length && std::memcmp(text, other, length) == 0;
}

// A `grpc-timeout`, in seconds; negative where it is none.
double timeout_of(const std::uint8_t* text, std::size_t size) {
  if (size < 2 || size > 9) return -1.0;
  double value = 0.0;
  for (std::size_t i = 0; i + 1 < size; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1.0;
    value = value * 10.0 + (text[i] - '0');
  }
  switch (text[size - 1]) {
    case 'H':
      return value * 3600.0;
    case 'M':
      return value * 60.0;
    case 'S':
      return value;
    case 'm':
      return value * 1e-3;
    case 'u':
      return value * 1e-6;
    case 'n':
      return value * 1e-9;
    default:
      return -1.0;
  }
}

std::string percent_encoded(const std::string& text) {
  static const char kDigits[] = "0123456789ABCDEF";
  std::string made;
  made.reserve(text.size());
  for (const char one : text) {
    const auto byte = static_cast<unsigned char>(one);
    if (byte >= 0x20 && byte < 0x7F && byte != '%') {
      made += one;
    } else {
      made += '%';
      made += kDigits[byte >> 4];
      made += kDigits[byte & 15];
    }
  }
  return made;
}

std::string shown(const std::string& text) {
  static const char kDigits[] = "0123456789abcdef";
  std::string made;
  for (const char one : text.substr(0, kMostShown)) {
    const auto byte = static_cast<unsigned char>(one);
    if (byte >= 0x20 && byte < 0x7F) {
      made += one;
    } else {
      made += "\\x";
      made += kDigits[byte >> 4];
      made += kDigits[byte & 15];
    }
  }
  return text.size() > kMostShown ? made + " ..." : made;
}

std::uint32_t big_endian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

double annoyance_of(const nghttp2_frame_hd& head) {
  switch (head.type) {
    case NGHTTP2_DATA:
      return head.length == 0 && (head.flags & NGHTTP2_FLAG_END_STREAM) == 0 ? 1.0 : 0.0;
    case NGHTTP2_SETTINGS:
      return (head.flags & NGHTTP2_FLAG_ACK) == 0 ? kASetting : 0.0;
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PRIORITY:
      return 1.0;
    default:
      return 0.0;
  }
}

// nghttp2 has a bound of its own on resets, by default far below ours, since versions that not all of its headers tell
// apart: it is raised where there is one.
template <class Option>
auto bound_resets(Option* option, int)
    -> decltype(nghttp2_option_set_stream_reset_rate_limit(option, std::uint64_t{}, std::uint64_t{})) {
  nghttp2_option_set_stream_reset_rate_limit(option, static_cast<std::uint64_t>(2 * kResetBurst),
                                             static_cast<std::uint64_t>(2 * kResetsASecond));
}
template <class Option>
void bound_resets(Option*, long) {}

}  // namespace

// nghttp2 calls these; nothing may be thrown through it.
struct Callbacks {
  static Connection* of(void* user) { return static_cast<Connection*>(user); }

  template <class Do>
  static int guarded(Do&& act) noexcept {
    try {
      return act() ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    } catch (const std::exception&) {  // no memory: this connection has to go, the others stay
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
  }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return guarded([&] {
      if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return true;
      return of(user)->begin_stream(frame->hd.stream_id);
    });
  }
  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t size, std::uint8_t, void* user) {
    int result = 0;
    const int failed = guarded([&] {
      Connection* connection = of(user);
      if (frame->hd.type != NGHTTP2_HEADERS) return true;
      Exchange* exchange = connection->find(frame->hd.stream_id);
      if (exchange == nullptr) return true;
      if (!connection->header(exchange, name, name_size, value, size)) {
        result = NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
      }
      return true;
    });
    return failed != 0 ? failed : result;
  }
  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* hd, void* user) {
    Connection* connection = of(user);
    connection->annoyed(annoyance_of(*hd));
    connection->frame_left_ = 0;
    connection->frame_of_ = nullptr;
    if (hd->type == NGHTTP2_DATA && (hd->flags & NGHTTP2_FLAG_PADDED) == 0) {
      connection->frame_left_ = hd->length;
      connection->frame_of_ = connection->find(hd->stream_id);
    }
    return 0;
  }
  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return guarded([&] {
      Connection* connection = of(user);
      connection->has_spoken_ = true;
      switch (frame->hd.type) {
        case NGHTTP2_HEADERS:
        case NGHTTP2_DATA: {
          Exchange* exchange = connection->find(frame->hd.stream_id);
          const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
          if (exchange == nullptr) return true;
          if (frame->hd.type == NGHTTP2_HEADERS && !exchange->has_begun) {
            exchange->has_begun = true;
            connection->begin_call(exchange);
            exchange = connection->find(frame->hd.stream_id);
          }
          if (ends && exchange != nullptr) connection->client_ended(exchange);
          return true;
        }
        case NGHTTP2_PING:
          if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            connection->awaits_pong_ = false;
          } else {
            connection->pinged();
          }
          return true;
        default:
          return true;
      }
    });
  }
  static int chunk(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes, std::size_t size,
                   void* user) {
    return guarded([&] {
      Connection* connection = of(user);
      connection->frame_left_ -= std::min(size, connection->frame_left_);
      Exchange* exchange = connection->find(stream);
      nghttp2_session_consume_connection(connection->session_, size);
      if (exchange == nullptr) {
        nghttp2_session_consume_stream(connection->session_, stream, size);
        return true;
      }
      exchange->unconsumed += size;
      const bool good = connection->data(exchange, bytes, size);
      exchange = connection->find(stream);
      if (exchange != nullptr && (!exchange->is_open || exchange->inbox.empty())) connection->consume(exchange);
      return good;
    });
  }
  static int closed(nghttp2_session*, std::int32_t stream, std::uint32_t, void* user) {
    return guarded([&] {
      of(user)->close_stream(stream);
      return true;
    });
  }
  static int sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return guarded([&] {
      of(user)->frame_sent(frame);
      return true;
    });
  }
  static ssize_t read(nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t most, std::uint32_t* flags,
                      nghttp2_data_source* source, void* user) {
    try {
      return of(user)->next_data(static_cast<Exchange*>(source->ptr), to, most, flags);
    } catch (const std::exception&) {
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
  }
  // A large piece of an answer: its frame's head is copied, the piece is sent from where it lies.
  static int send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* head, std::size_t size,
                       nghttp2_data_source* source, void* user) {
    const int failed = guarded([&] {
      Connection* connection = of(user);
      auto* exchange = static_cast<Exchange*>(source->ptr);
      Exchange::Chunk& chunk = exchange->outbox.front();
      connection->put_output(head, 9);
      connection->output_.push_back({chunk.message->data() + chunk.at, size, chunk.message});
      connection->output_bytes_ += size;
      chunk.at += size;
      connection->core_.took(connection, exchange, size);
      if (chunk.at == chunk.message->size()) {
        exchange->outbox.pop_front();
        if (exchange->method->streaming) connection->core_.put(Kind::taken, exchange);
        connection->core_.deliver(exchange);
      }
      return true;
    });
    return failed != 0 ? failed : NGHTTP2_ERR_PAUSE;  // sent: fill_output says whether there is room for more
  }

  static nghttp2_session_callbacks* all() {
    static nghttp2_session_callbacks* made = [] {
      nghttp2_session_callbacks* callbacks = nullptr;
      if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
      nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(callbacks, header);
      nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, begin_frame);
      nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, chunk);
      nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, closed);
      nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, sent);
      nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
      return callbacks;
    }();
    return made;
  }
  static nghttp2_option* options() {
    static nghttp2_option* made = [] {
      nghttp2_option* option = nullptr;
      if (nghttp2_option_new(&option) != 0) throw std::bad_alloc();
      nghttp2_option_set_no_auto_window_update(option, 1);
      nghttp2_option_set_no_closed_streams(option, 1);
      bound_resets(option, 0);
      return option;
    }();
    return made;
  }
};

Connection::Connection(Core& core, int socket, std::string peer, int port)
    : core_(core), socket_(socket), port_(port), peer_(std::move(peer)), small_(new std::uint8_t[kSmallOutput]) {
  watched = EPOLLIN;
  opened_ = active_ = now_ = core.now();
  guest_.free_since = now_;
  if (nghttp2_session_server_new2(&session_, Callbacks::all(), this, Callbacks::options()) != 0) throw std::bad_alloc();
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<std::uint32_t>(2 * core.bounds().streams)},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrame},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMostHeaderBytes},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]);
  say_streams();
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

// Clients are told of as many streams as they may have. The session itself, which ends a connection that has more, is
// told of twice that: those in between are refused in words.
void Connection::say_streams() {
  const std::uint8_t* bytes = nullptr;
  const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
  if (size <= 9 || bytes[3] != NGHTTP2_SETTINGS) throw std::bad_alloc();
  put_output(bytes, static_cast<std::size_t>(size));
  const auto streams = static_cast<std::uint32_t>(core_.bounds().streams);
  for (std::uint8_t* entry = small_.get() + 9; entry + 6 <= small_.get() + size; entry += 6) {
    if (entry[0] != 0 || entry[1] != NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) continue;
    for (int i = 0; i < 4; ++i) entry[2 + i] = static_cast<std::uint8_t>(streams >> (8 * (3 - i)));
  }
}

Connection::~Connection() {
  end();
  nghttp2_session_del(session_);
  if (socket_ >= 0) ::close(socket_);
}

bool Connection::read(double now, bool is_broken) {
  static thread_local std::uint8_t buffer[kReadBuffer];
  now_ = now;
  const double until = monotonic() + kReadTurnS;
  for (std::size_t all = 0; all < kReadTurn && !is_done_ && (all == 0 || monotonic() < until);) {
    spent_ = {};
    iovec places[2];
    int count = 0;
    std::size_t direct = 0;
    if (frame_of_ != nullptr && frame_left_ >= kInPlace && frame_of_->coming && frame_of_->is_open) {
      std::uint8_t* place = nullptr;
      try {
        place = frame_of_->coming->room(frame_left_, &direct);
      } catch (const std::bad_alloc&) {
        is_done_ = true;
        return false;
      }
      if (direct >= kInPlace) {
        places[count++] = iovec{place, direct};
      } else {
        direct = 0;
      }
    }
    const std::size_t rest = direct != 0 ? kReadBuffer / 4 : kReadBuffer;
    places[count++] = iovec{buffer, rest};
    const ssize_t got = ::readv(socket_, places, count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (got == 0 && !is_broken) {
      client_closed();
      return false;
    }
    if (got <= 0) {
      is_done_ = true;
      return false;
    }
    const auto size = static_cast<std::size_t>(got);
    const std::size_t first = std::min(size, direct);
    if (first != 0 && !feed(static_cast<const std::uint8_t*>(places[0].iov_base), first)) return false;
    if (size > first && !feed(buffer, size - first)) return false;
    all += size;
    if (size < direct + rest) return false;  // the socket is empty
  }
  return !is_done_;
}

bool Connection::feed(const std::uint8_t* bytes, std::size_t size) {
  active_ = now_;
  core_.touch(this);
  const ssize_t read = nghttp2_session_mem_recv(session_, bytes, size);
  if (read == static_cast<ssize_t>(size)) return true;
  is_done_ = true;  // it speaks no HTTP/2, or there is no memory for it
  return false;
}

// It sends no more. What it has asked for it may still read; whether it does the next frame tells: who has left answers
// it with a reset.
void Connection::client_closed() {
  is_half_closed_ = true;
  is_done_ = exchanges_.empty();
  awaits_pong_ = false;
  for (const auto& [stream, exchange] : exchanges_) {
    if (!exchange->client_ended) nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
  }
  say_goodbye();
}

Exchange* Connection::find(std::int32_t stream) {
  return static_cast<Exchange*>(nghttp2_session_get_stream_user_data(session_, stream));
}

bool Connection::begin_stream(std::int32_t stream) {
  Ref<Exchange> made = Ref<Exchange>::adopt(new Exchange);
  made->core = &core_;
  made->connection = this;
  made->stream = stream;
  made->peer = peer_;
  nghttp2_session_set_stream_user_data(session_, stream, made.get());
  exchanges_.emplace(stream, std::move(made));
  return true;
}

bool Connection::header(Exchange* exchange, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                        std::size_t size) {
  exchange->header_bytes += name_size + size + 32;
  if (exchange->header_bytes > kMostHeaderBytes) {
    annoyed(kTooManyHeaders);
    return false;
  }
  if (exchange->has_begun) return true;  // what comes after its messages says nothing
  const char* text = reinterpret_cast<const char*>(value);
  if (is(name, name_size, ":path")) {
    exchange->path.assign(text, size);
  } else if (is(name, name_size, ":method")) {
    exchange->is_post = is(value, size, "POST");
  } else if (is(name, name_size, "content-type")) {
    exchange->is_grpc = begins(value, size, "application/grpc");
  } else if (is(name, name_size, "grpc-encoding")) {
    exchange->encoding.assign(text, size);
  } else if (is(name, name_size, "grpc-timeout")) {
    const double within = timeout_of(value, size);
    if (within >= 0.0) exchange->deadline = now_ + within;
  }
  return true;
}

void Connection::begin_call(Exchange* exchange) {
  if (!exchange->is_post) return respond_http(exchange->stream, "405");
  if (!exchange->is_grpc) return respond_http(exchange->stream, "415");
  exchange->arrival = now_;
  if (core_.is_stopping()) return refuse(exchange, core_.stopping_status(), core_.stopping_details());
  exchange->method = core_.method(exchange->path);
  if (exchange->method == nullptr) {
    return refuse(exchange, kUnimplemented, "unknown method " + shown(exchange->path));
  }
  std::string why;
  if (!core_.enter(this, exchange, &why)) return refuse(exchange, kResourceExhausted, why);
  if (exchange->deadline < kNever) core_.watch_deadline(exchange);
  if (exchange->method->streaming) core_.put(Kind::begun, exchange);
}

void Connection::refuse(Exchange* exchange, int status, const std::string& details) {
  exchange->is_open = false;
  exchange->has_status = true;
  exchange->status = status;
  exchange->details = details;
  advance(exchange);
}

void Connection::respond_http(std::int32_t stream, const char* code) {
  find(stream)->is_open = false;
  const nghttp2_nv headers[] = {
      pair(":status", 7, code, 3, NGHTTP2_NV_FLAG_NO_COPY_NAME),
      fixed("content-type", "text/plain"),
  };
  find(stream)->has_trailers = true;
  nghttp2_submit_response(session_, stream, headers, 2, nullptr);
}

bool Connection::data(Exchange* exchange, const std::uint8_t* bytes, std::size_t size) {
  while (size != 0 && exchange->is_open && exchange->method != nullptr) {
    if (!exchange->method->streaming && !exchange->is_asked) return true;  // it has its one message
    if (!exchange->coming) {
      const std::size_t wanted = std::min(size, kPrefix - exchange->prefix_filled);
      std::memcpy(exchange->prefix + exchange->prefix_filled, bytes, wanted);
      exchange->prefix_filled += wanted;
      bytes += wanted;
      size -= wanted;
      if (exchange->prefix_filled < kPrefix) return true;
      if (!begin_message(exchange, bytes, size)) return true;
    }
    std::size_t given;
    std::uint8_t* place = exchange->coming->room(size, &given);
    if (place != bytes && given != 0) std::memcpy(place, bytes, given);
    exchange->coming->fill(given);
    bytes += given;
    size -= given;
    weigh(exchange, static_cast<std::int64_t>(given));
    if (exchange->coming && exchange->coming->is_full()) complete(exchange);
  }
  return true;
}

// False where the call was refused for what its prefix says.
bool Connection::begin_message(Exchange* exchange, const std::uint8_t* rest, std::size_t size) {
  const std::size_t length = big_endian(exchange->prefix + 1);
  const std::uint8_t flag = exchange->prefix[0];
  const Method& method = *exchange->method;
  const auto fail = [&](int status, const std::string& why) {
    cut_off(exchange, status, why);
    return false;
  };
  if (flag > 1) return fail(kInternal, "a message's first byte is " + std::to_string(flag) + ", and is 0 or 1 in gRPC");
  if (flag == 1 && exchange->encoding != "gzip" && exchange->encoding != "deflate") {
    return fail(kUnimplemented, "messages packed as '" + shown(exchange->encoding) +
                                    "' are not taken here; send them as gzip, deflate or unpacked");
  }
  if (length > method.most_bytes) {
    return fail(kResourceExhausted, "message larger than max (" + std::to_string(length) + " vs. " +
                                        std::to_string(method.most_bytes) + "); this method takes at most " +
                                        std::to_string(method.most_bytes) + " bytes here");
  }
  const std::size_t head = std::min(size, length);
  exchange->coming_packed = flag == 1;
  const std::size_t at = method.plain && flag == 0 ? raw_begins(Slice{rest, head}) : 0;
  exchange->coming = Ref<Memory>::adopt(new Memory(length, at));
  weigh(exchange, kMessageCost);
  return exchange->is_open;
}

void Connection::complete(Exchange* exchange) {
  exchange->inbox.push_back({std::move(exchange->coming), exchange->coming_packed, now_});
  exchange->coming = {};
  exchange->prefix_filled = 0;
  core_.deliver(exchange);
}

void Connection::client_ended(Exchange* exchange) {
  exchange->client_ended = true;
  if (!exchange->is_open || exchange->method == nullptr) return;
  const bool is_cut = exchange->prefix_filled != 0 || exchange->coming;
  const bool lacks_one = !exchange->method->streaming && exchange->is_asked && exchange->inbox.empty();
  if (lacks_one || (exchange->method->streaming && is_cut)) {
    cut_off(exchange, kInvalidArgument, "the call ended before its message was complete");
    return;
  }
  if (exchange->method->streaming) {
    exchange->end_is_due = true;
    core_.deliver(exchange);
  }
}

void Connection::weigh(Exchange* exchange, std::int64_t bytes) {
  exchange->coming_bytes += bytes;
  coming_ += bytes;
  core_.weigh(exchange, bytes);
}

Exchange* Connection::largest() const {
  Exchange* found = nullptr;
  for (const auto& [stream, one] : exchanges_) {
    if (!one->is_open || (!one->coming && one->inbox.empty())) continue;
    if (found == nullptr || one->coming_bytes > found->coming_bytes) found = one.get();
  }
  return found;
}

void Connection::consume(Exchange* exchange) {
  if (exchange->unconsumed == 0) return;
  nghttp2_session_consume_stream(session_, exchange->stream, exchange->unconsumed);
  exchange->unconsumed = 0;
  core_.touch(this);
}

void Connection::advance(Exchange* exchange) {
  if (exchange->has_trailers) return;
  if (exchange->has_headers) {
    nghttp2_session_resume_data(session_, exchange->stream);
  } else if (exchange->outbox.empty() && !exchange->has_status) {
    return;
  } else {
    send_headers(exchange);
  }
  core_.touch(this);
}

void Connection::send_headers(Exchange* exchange) {
  if (exchange->outbox.empty()) return submit_trailers(exchange);
  exchange->has_headers = true;
  const nghttp2_nv headers[] = {
      fixed(":status", "200"),
      fixed("content-type", "application/grpc"),
      fixed("grpc-accept-encoding", "identity, deflate, gzip"),
  };
  nghttp2_data_provider provider;
  provider.source.ptr = exchange;
  provider.read_callback = Callbacks::read;
  nghttp2_submit_response(session_, exchange->stream, headers, 3, &provider);
}

void Connection::submit_trailers(Exchange* exchange) {
  if (exchange->has_trailers) return;
  exchange->has_trailers = true;
  const std::string status = std::to_string(exchange->status), message = percent_encoded(exchange->details);
  std::vector<nghttp2_nv> pairs;
  if (!exchange->has_headers) {
    pairs.push_back(fixed(":status", "200"));
    pairs.push_back(fixed("content-type", "application/grpc"));
    pairs.push_back(fixed("grpc-accept-encoding", "identity, deflate, gzip"));
  }
  pairs.push_back(named("grpc-status", status));
  if (!message.empty()) pairs.push_back(named("grpc-message", message));
  for (const auto& [name, value] : exchange->trailers) {
    pairs.push_back(pair(name.data(), name.size(), value.data(), value.size(), NGHTTP2_NV_FLAG_NONE));
  }
  if (exchange->has_headers) {
    nghttp2_submit_trailer(session_, exchange->stream, pairs.data(), pairs.size());
  } else {
    nghttp2_submit_response(session_, exchange->stream, pairs.data(), pairs.size(), nullptr);
  }
}

ssize_t Connection::next_data(Exchange* exchange, std::uint8_t* to, std::size_t most, std::uint32_t* flags) {
  const auto end = [&] {
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    submit_trailers(exchange);
  };
  if (exchange->outbox.empty()) {
    if (!exchange->has_status) return NGHTTP2_ERR_DEFERRED;
    end();
    return 0;
  }
  std::size_t size = 0;
  while (size < most && !exchange->outbox.empty()) {
    Exchange::Chunk& chunk = exchange->outbox.front();
    const std::size_t left = chunk.message->size() - chunk.at, wanted = std::min(left, most - size);
    if (wanted >= kInPlace && size == 0) {
      *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
      return static_cast<ssize_t>(wanted);
    }
    if (wanted >= kInPlace) break;
    std::memcpy(to + size, chunk.message->data() + chunk.at, wanted);
    chunk.at += wanted;
    size += wanted;
    core_.took(this, exchange, wanted);
    if (wanted < left) continue;
    exchange->outbox.pop_front();
    if (exchange->method->streaming) core_.put(Kind::taken, exchange);
    core_.deliver(exchange);
  }
  if (exchange->outbox.empty() && exchange->has_status) end();
  return static_cast<ssize_t>(size);
}

void Connection::cut_off(Exchange* exchange, int status, const std::string& details) {
  exchange->outbox.clear();
  exchange->inbox.clear();
  if (exchange == frame_of_ && exchange->coming) spent_ = exchange->coming;  // it may be read to just now
  exchange->coming = {};
  consume(exchange);
  weigh(exchange, -exchange->coming_bytes);
  if (exchange->is_open.exchange(false) && exchange->counts) core_.answered(this, exchange);
  if (!exchange->has_status) {
    exchange->has_status = true;
    exchange->status = status;
    exchange->details = details;
  }
  submit_trailers(exchange);
  core_.touch(this);
}

void Connection::frame_sent(const nghttp2_frame* frame) {
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return;
  sent_since_ping_ = true;
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
  const Exchange* exchange = find(frame->hd.stream_id);
  const bool is_ours = exchange != nullptr && exchange->is_post && exchange->is_grpc;  // others take it for a failure
  if (is_ours && !exchange->client_ended) {  // it need not send the rest
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
  }
}

void Connection::close_stream(std::int32_t stream) {
  const auto found = exchanges_.find(stream);
  if (found == exchanges_.end()) return;
  const Ref<Exchange> exchange = std::move(found->second);
  exchanges_.erase(found);
  if (frame_of_ == exchange.get()) frame_of_ = nullptr;
  nghttp2_session_set_stream_user_data(session_, stream, nullptr);
  core_.ended(this, exchange.get());
  weigh(exchange.get(), -exchange->coming_bytes);
  exchange->connection = nullptr;
  exchange->outbox.clear();
  exchange->inbox.clear();
  exchange->coming = {};
}

void Connection::put_output(const std::uint8_t* bytes, std::size_t size) {
  std::uint8_t* place = small_.get() + small_size_;
  std::memcpy(place, bytes, size);
  small_size_ += size;
  output_bytes_ += size;
  if (!output_.empty() && !output_.back().keep && output_.back().data + output_.back().size == place) {
    output_.back().size += size;
  } else {
    output_.push_back({place, size, {}});
  }
}

// More frames, while there is room for them; false where the session has failed.
bool Connection::fill_output() {
  constexpr std::size_t kMostFrame = (16 << 10) + 16;  // of ours: clients' SETTINGS raise it for large pieces only
  while (small_size_ + kMostFrame <= kSmallOutput && output_bytes_ < kMostOutput) {
    const std::uint8_t* bytes = nullptr;
    const std::size_t before = output_bytes_;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) return false;
    if (size == 0 && output_bytes_ == before) return true;
    if (static_cast<std::size_t>(size) > kSmallOutput - small_size_) return false;
    if (size > 0) put_output(bytes, static_cast<std::size_t>(size));
  }
  return true;
}

void Connection::flush() {
  while (!is_done_) {
    if (!fill_output()) {
      is_done_ = true;
      return;
    }
    if (output_at_ == output_.size()) break;
    iovec pieces[64];
    int count = 0;
    for (std::size_t i = output_at_; i < output_.size() && count < 64; ++i) {
      pieces[count++] = iovec{const_cast<std::uint8_t*>(output_[i].data), output_[i].size};
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<std::size_t>(count);
    const ssize_t sent = ::sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!wants_room_) stuck_since_ = now_;
      wants_room_ = true;
      const std::size_t most = 2 * static_cast<std::size_t>(core_.bounds().streams) + kQueued;
      is_stuffed_ = nghttp2_session_get_outbound_queue_size(session_) > most;
      return;
    }
    if (sent < 0) {
      is_done_ = true;
      return;
    }
    active_ = stuck_since_ = now_;
    auto left = static_cast<std::size_t>(sent);
    output_bytes_ -= left;
    while (left != 0) {
      Segment& segment = output_[output_at_];
      const std::size_t part = std::min(left, segment.size);
      segment.data += part;
      segment.size -= part;
      left -= part;
      if (segment.size == 0) {
        segment.keep = {};
        ++output_at_;
      }
    }
    if (output_at_ == output_.size()) discard_output();
  }
  wants_room_ = is_stuffed_ = false;
  if (!is_done_ && is_half_closed_ && exchanges_.empty()) is_done_ = true;
  if (!is_done_ && nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
    is_done_ = true;
  }
}

std::uint32_t Connection::wanted() const {
  return (reads() ? std::uint32_t{EPOLLIN} : 0) | (wants_room_ ? std::uint32_t{EPOLLOUT} : 0);
}

void Connection::swallow() {
  do {
    discard_output();
    if (is_done_ || !fill_output()) is_done_ = true;
  } while (!is_done_ && !output_.empty());
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) is_done_ = true;
}

void Connection::discard_output() {
  output_.clear();
  output_at_ = output_bytes_ = small_size_ = 0;
}

void Connection::pinged() {
  const Bounds& bounds = core_.bounds();
  if (now_ - last_ping_ < bounds.least_ping && !sent_since_ping_) {
    if (++strikes_ > kMostStrikes) {
      static const char kWhy[] = "too_many_pings";
      nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                            NGHTTP2_ENHANCE_YOUR_CALM, reinterpret_cast<const std::uint8_t*>(kWhy), sizeof kWhy - 1);
      nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
    }
  } else {
    strikes_ = 0;
  }
  last_ping_ = now_;
  sent_since_ping_ = false;
}

void Connection::annoyed(double by) {
  if (by == 0.0) return;
  annoyance_ = std::max(0.0, annoyance_ - (now_ - annoyed_at_) * kResetsASecond) + by;
  annoyed_at_ = now_;
  if (annoyance_ > kResetBurst) nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

void Connection::tick(double now) {
  const Bounds& bounds = core_.bounds();
  now_ = now;
  if (!has_spoken_ && now - opened_ > bounds.handshake) is_done_ = true;
  if (awaits_pong_ && now - pinged_at_ > bounds.keepalive_timeout) is_done_ = true;
  if (wants_room_ && now - stuck_since_ > 2.0 * bounds.stall) is_done_ = true;  // it reads nothing at all
  if (!awaits_pong_ && !is_half_closed_ && bounds.keepalive > 0.0 && now - active_ > bounds.keepalive) {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    awaits_pong_ = true;
    pinged_at_ = now;
  }
  const bool is_idle = bounds.idle > 0.0 && exchanges_.empty() && now - active_ > bounds.idle;
  const bool is_old = bounds.age > 0.0 && now - opened_ > bounds.age;
  if ((is_idle || is_old) && goodbye_at_ == kNever) {
    nghttp2_submit_shutdown_notice(session_);
    goodbye_at_ = now;
  } else if (now - goodbye_at_ > bounds.age_grace) {
    is_done_ = true;
  } else if (now - goodbye_at_ > kGoodbye) {
    say_goodbye();
  }
  core_.touch(this);
}

void Connection::say_goodbye() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  core_.touch(this);
}

void Connection::end() {
  is_done_ = true;
  while (!exchanges_.empty()) close_stream(exchanges_.begin()->first);
}

}  // namespace front
