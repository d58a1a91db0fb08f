#include "core.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace front {
namespace {

constexpr std::size_t kMostUnsent = 64;  // messages of a streamed answer that wait before its own are not read any more
constexpr int kAccepts = 64, kEvents = 64, kOthers = 64;
constexpr double kLook = 1.0, kAcceptPause = 0.1;

std::string peer_of(const sockaddr_storage& address, int* port) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
    *port = ntohs(four.sin_port);
    return "ipv4:" + std::string(text) + ":" + std::to_string(*port);
  }
  if (address.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
    *port = ntohs(six.sin6_port);
    return "ipv6:[" + std::string(text) + "]:" + std::to_string(*port);
  }
  *port = 0;
  return "unix:";
}

int port_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return -1;
  int port = 0;
  peer_of(address, &port);
  return port;
}

}  // namespace

double monotonic() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The core's lock, for one piece of work; what that has to send is sent before others have theirs.
class Core::Turn {
 public:
  explicit Turn(Core& core) : core_(core) {
    core_.waiting_.fetch_add(1);
    core_.mutex.lock();
    core_.waiting_.fetch_sub(1);
    core_.now_ = monotonic();
  }
  ~Turn() {
    core_.flush_dirty();
    core_.mutex.unlock();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Core& core_;
};

Core::Core(const Bounds& bounds, std::vector<Method> methods)
    : bounds_(bounds),
      methods_(std::move(methods)),
      guests_(bounds.calls, bounds.unsent_bytes, bounds.stall, bounds.streams),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  for (const Method& one : methods_) by_path_[one.path] = &one;
  now_ = ticked_ = monotonic();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake_;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
}

Core::~Core() {
  close();
  ::close(epoll_);
  ::close(wake_);
}

int Core::bind(const std::string& host, int port, std::string* why) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  const int failed = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) {
    *why = ::gai_strerror(failed);
    return -1;
  }
  int bound = -1;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int socket = ::socket(one->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) continue;
    const int on = 1, off = 0;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (one->ai_family == AF_INET6) ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_storage address{};
    ::memcpy(&address, one->ai_addr, one->ai_addrlen);
    if (bound > 0 && port == 0) {  // all addresses of a name have one port
      auto& any = reinterpret_cast<sockaddr_in&>(address);  // where IPv6 has its port, too
      any.sin_port = htons(static_cast<std::uint16_t>(bound));
    }
    const int got = listen_on(socket, &address, one->ai_addrlen, why);
    if (got > 0 && bound < 0) bound = got;
  }
  ::freeaddrinfo(found);
  return bound;
}

int Core::bind_unix(const std::string& path, std::string* why) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    *why = "the path of a socket has 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes";
    return -1;
  }
  path.copy(address.sun_path, path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return socket < 0 ? -1 : listen_on(socket, &address, sizeof address, why);
}

int Core::listen_on(int socket, const void* address, unsigned size, std::string* why) {
  if (::bind(socket, static_cast<const sockaddr*>(address), size) != 0 || ::listen(socket, 1024) != 0) {
    *why = ::strerror(errno);
    ::close(socket);
    return -1;
  }
  listeners_.push_back(socket);
  return port_of(socket);
}

void Core::start() {
  const Turn turn(*this);
  for (const int one : listeners_) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = one;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, one, &event);
  }
}

bool Core::poll(double until, std::vector<Event>* events, std::vector<Ref<Exchange>>* over) {
  std::unique_lock<std::mutex> lock(mutex);
  for (bool has_looked = false;; has_looked = true) {
    now_ = monotonic();
    run_timers();
    flush_dirty();
    const bool is_due = !events_.empty() || is_woken_ || now_ >= until;
    // Sockets are looked at each time: what waits here may go on and on, a message of a stream after the other.
    if (is_closed_ || (is_due && has_looked)) {
      is_woken_ = false;
      hand_over(events, over);
      return !is_closed_;
    }
    double next = is_due ? now_ : std::min({until, ticked_ + kLook, accept_again_});
    if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
    const int wait_ms = static_cast<int>(std::ceil(std::clamp((next - now_) * 1e3, 0.0, 1e3)));
    epoll_event found[kEvents];
    asleep_ = wait_ms != 0;
    lock.unlock();
    const int count = ::epoll_wait(epoll_, found, kEvents, wait_ms);
    lock.lock();
    asleep_ = false;
    now_ = monotonic();
    const double arrived = now_;
    for (int i = 0; i < count; ++i) {
      const int fd = found[i].data.fd;
      if (fd == wake_) {
        std::uint64_t value;
        [[maybe_unused]] const ssize_t got = ::read(wake_, &value, sizeof value);
      } else if (std::find(listeners_.begin(), listeners_.end(), fd) != listeners_.end()) {
        accept_on(fd);
      } else if (const auto one = connections_.find(fd); one != connections_.end()) {
        now_ = arrived;  // what came while others were read has not waited less
        handle(one->second.get(), found[i].events);
      }
      if (waiting_ != 0) {  // an answer is more urgent than what comes in
        lock.unlock();
        ::sched_yield();
        lock.lock();
      }
    }
  }
}

// All plain requests, since they cost the poller little, and some of the rest. Calls that came and went since the last
// time are none of its business; those that are over it hears of after all that was put for them.
void Core::hand_over(std::vector<Event>* events, std::vector<Ref<Exchange>>* over) {
  std::vector<Event> kept;
  int others = 0;
  for (Event& one : events_) {
    const bool is_past = one.exchange->is_over && one.exchange->owner == nullptr;
    if (!is_past && one.kind != Kind::plain && ++others > kOthers) {
      kept.push_back(std::move(one));
      continue;
    }
    --one.exchange->events;
    if (!is_past) events->push_back(std::move(one));
  }
  events_.swap(kept);
  std::vector<Ref<Exchange>> later;
  for (Ref<Exchange>& one : over_) (one->events == 0 ? *over : later).push_back(std::move(one));
  over_.swap(later);
}

void Core::handle(Connection* connection, std::uint32_t what) {
  const bool is_broken = (what & (EPOLLHUP | EPOLLERR)) != 0;
  if (connection->reads()) {
    if (is_broken || (what & EPOLLIN) != 0) connection->read(now_, is_broken);
  } else if (is_broken) {
    connection->end();
  }
  touch(connection);
}

void Core::wake() {
  is_woken_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

void Core::accept_on(int listener) {
  for (int i = 0; i < kAccepts; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int socket =
        ::accept4(listener, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (socket < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listener, nullptr);  // no descriptors are left: later
      accept_again_ = now_ + kAcceptPause;
      return;
    }
    if (static_cast<std::int64_t>(connections_.size()) >= bounds_.connections) {
      ::close(socket);
      continue;
    }
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int port = 0;
    std::string peer = peer_of(address, &port);
    if (address.ss_family == AF_UNIX) peer += std::to_string(socket);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = socket;
    touch(adopt(socket, std::move(peer), port));
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event);
  }
}

Connection* Core::adopt(int socket, std::string peer, int port) {
  auto made = std::make_unique<Connection>(*this, socket, std::move(peer), port);
  Connection* connection = made.get();
  connections_[socket] = std::move(made);
  return connection;
}

void Core::drop(Connection* connection) {
  if (connection->socket() >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, connection->socket(), nullptr);
  connections_.erase(connection->socket());
}

void Core::touch(Connection* connection) {
  if (connection->is_dirty) return;
  connection->is_dirty = true;
  dirty_.push_back(connection);
}

void Core::flush_dirty() {
  while (!dirty_.empty()) {
    std::vector<Connection*> now;
    now.swap(dirty_);
    for (Connection* one : now) {
      one->socket() >= 0 ? one->flush() : one->swallow();
      if (one->wanted() != one->watched && one->socket() >= 0) watch(one);
      one->is_dirty = false;
    }
    for (Connection* one : now) {
      if (one->is_done() && !one->is_dirty) drop(one);
    }
  }
}

void Core::watch(Connection* connection) {
  epoll_event event{};
  event.events = connection->watched = connection->wanted();
  event.data.fd = connection->socket();
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection->socket(), &event);
}

void Core::run_timers() {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_) {
    const Ref<Exchange> late = Ref<Exchange>::of(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    if (!late->is_open || late->connection == nullptr) continue;
    late->connection->cut_off(late.get(), kDeadlineExceeded, "Deadline Exceeded");
    put(Kind::cancelled, late.get());
  }
  if (now_ >= accept_again_) {
    accept_again_ = kNever;
    for (const int one : listeners_) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = one;
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, one, &event);
    }
  }
  if (now_ >= ticked_ + kLook) {
    ticked_ = now_;
    sweep();
  }
}

void Core::sweep() {
  std::vector<GiveWay> late;
  guests_.stalled(now_, &late);
  for (const GiveWay& one : late) begin_give_up(one.call, one.why);
  for (const auto& [socket, connection] : connections_) connection->tick(now_);
}

void Core::publish(Signatures signatures) {
  const Turn turn(*this);
  signatures_ = std::move(signatures);
}

bool Core::reply(Exchange* exchange, Ref<Memory> framed, Trailers trailers) {
  const Turn turn(*this);
  if (!exchange->is_open.exchange(false)) return false;
  Connection* connection = exchange->connection;
  answered(connection, exchange);
  exchange->has_status = true;
  exchange->trailers = std::move(trailers);
  const std::size_t size = framed->size();
  exchange->outbox.push_back({std::move(framed), 0});
  hold(connection, exchange, size);
  connection->advance(exchange);
  return true;
}

void Core::reply_all(const std::vector<std::pair<Exchange*, Ref<Memory>>>& answers, std::vector<std::string>* why) {
  const Turn turn(*this);
  why->assign(answers.size(), "");
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Exchange* exchange = answers[i].first;
    if (!exchange->is_open) continue;
    Connection* connection = exchange->connection;
    if (guests_.are_crowded()) {
      (*why)[i] = guests_.unread(&connection->guest(), now_);
      if (!(*why)[i].empty()) continue;
    }
    exchange->is_open = false;
    answered(connection, exchange);
    exchange->has_status = true;
    exchange->outbox.push_back({answers[i].second, 0});
    hold(connection, exchange, answers[i].second->size());
    connection->advance(exchange);
  }
}

bool Core::send(Exchange* exchange, Ref<Memory> framed) {
  const Turn turn(*this);
  if (!exchange->is_open || exchange->has_status) return false;
  const std::size_t size = framed->size();
  exchange->outbox.push_back({std::move(framed), 0});
  hold(exchange->connection, exchange, size);
  if (exchange->connection != nullptr) exchange->connection->advance(exchange);
  return true;
}

bool Core::finish(Exchange* exchange, int status, std::string details, Trailers trailers) {
  const Turn turn(*this);
  if (!exchange->is_open.exchange(false)) return false;
  answered(exchange->connection, exchange);
  exchange->has_status = true;
  exchange->status = status;
  exchange->details = std::move(details);
  exchange->trailers = std::move(trailers);
  exchange->connection->advance(exchange);
  return true;
}

bool Core::abort(Exchange* exchange, int status, const std::string& details) {
  const Turn turn(*this);
  if (!exchange->is_open || exchange->connection == nullptr) return false;
  exchange->connection->cut_off(exchange, status, details);
  return true;
}

void Core::give_up(Exchange* exchange, const std::string& why) {
  const Turn turn(*this);
  begin_give_up(exchange, why);
}

void Core::begin_give_up(Exchange* exchange, const std::string& why) {
  if (exchange->connection == nullptr) return;
  if (exchange->is_open) put(Kind::cancelled, exchange);  // else it had been answered, and nothing runs
  exchange->has_status = true;
  exchange->status = kResourceExhausted;
  exchange->details = why;
  exchange->connection->cut_off(exchange, kResourceExhausted, why);
}

std::string Core::unread(Exchange* exchange) {
  if (!guests_.are_crowded()) return "";  // without the lock: nothing hangs on the last answer
  const Turn turn(*this);
  return exchange->connection == nullptr ? "" : guests_.unread(&exchange->connection->guest(), now_);
}

std::size_t Core::unsent(Exchange* exchange) {
  const Turn turn(*this);
  return exchange->outbox.size();
}

void Core::ask(Exchange* exchange) {
  const Turn turn(*this);
  exchange->is_asked = true;
  deliver(exchange);
}

void Core::pause(Exchange* exchange, bool paused) {
  const Turn turn(*this);
  exchange->is_paused = paused;
  deliver(exchange);
}

bool Core::may_hand_over(const Exchange* exchange) const {
  return exchange->is_asked && !exchange->is_paused && exchange->outbox.size() < kMostUnsent;
}

void Core::deliver(Exchange* exchange) {
  if (!exchange->is_open || !may_hand_over(exchange)) return;
  if (exchange->inbox.empty()) {
    if (!exchange->end_is_due) return;
    exchange->end_is_due = exchange->is_asked = false;
    put(Kind::end, exchange);
    return;
  }
  Exchange::Complete complete = std::move(exchange->inbox.front());
  exchange->inbox.pop_front();
  exchange->is_asked = false;
  exchange->arrival = complete.arrival;
  if (exchange->inbox.empty() && exchange->connection != nullptr) exchange->connection->consume(exchange);
  if (exchange->method->streaming && exchange->connection != nullptr) {
    exchange->connection->weigh(exchange, -static_cast<std::int64_t>(complete.message->size()) - kMessageCost);
  }
  const Slice bytes{complete.message->data(), complete.message->size()};
  if (exchange->method->plain && !complete.packed && is_plain(bytes, signatures_, &exchange->plain)) {
    exchange->request = std::move(complete.message);
    exchange->is_plain = true;
    put(Kind::plain, exchange);
  } else {
    exchange->plain = Plain();
    put(Kind::message, exchange, std::move(complete.message), complete.packed);
  }
}

const Method* Core::method(const std::string& path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? nullptr : found->second;
}

bool Core::enter(Connection* connection, Exchange* exchange, std::string* why) {
  *why = guests_.enter(&connection->guest(), now_);
  exchange->counts = why->empty();
  return exchange->counts;
}

void Core::put(Kind kind, Exchange* exchange, Ref<Memory> message, bool packed) {
  exchange->was_put = true;
  ++exchange->events;
  if (kind == Kind::cancelled && exchange->is_plain) kind = Kind::withdrawn;
  events_.push_back({kind, Ref<Exchange>::of(exchange), std::move(message), packed});
  if (asleep_.exchange(false)) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
  }
}

void Core::watch_deadline(Exchange* exchange) { deadlines_.emplace(exchange->deadline, exchange); }

void Core::answered(Connection* connection, Exchange* exchange) {
  if (exchange->counts) guests_.answered(&connection->guest());
}

void Core::took(Connection* connection, Exchange* exchange, std::size_t size) {
  guests_.took(&connection->guest(), exchange, size, now_);
}

void Core::weigh(Exchange* exchange, std::int64_t bytes) {
  coming_ += bytes;
  if (bytes <= 0 || coming_ <= bounds_.coming_bytes) return;
  const Connection* heaviest = exchange->connection;
  for (const auto& [socket, one] : connections_) {
    if (one->coming() > heaviest->coming()) heaviest = one.get();
  }
  Exchange* largest = heaviest->largest();
  if (largest == nullptr) largest = exchange;
  const std::string held = std::to_string(heaviest->coming());
  put(Kind::cancelled, largest);
  largest->connection->cut_off(largest, kResourceExhausted,
                               held + " bytes of requests are held for this connection, and of all together " +
                                   std::to_string(bounds_.coming_bytes) + " may be; send fewer at a time");
}

void Core::hold(Connection* connection, Exchange* exchange, std::size_t size) {
  if (connection == nullptr || size == 0) return;
  std::vector<GiveWay> crowded;
  guests_.hold(&connection->guest(), exchange, size, now_, &crowded);
  for (const GiveWay& one : crowded) begin_give_up(one.call, one.why);
}

void Core::ended(Connection* connection, Exchange* exchange) {
  if (exchange->deadline < kNever) deadlines_.erase({exchange->deadline, exchange});
  if (exchange->is_open.exchange(false) && exchange->counts) {
    answered(connection, exchange);
    put(Kind::cancelled, exchange);
  }
  if (exchange->counts) {
    exchange->counts = false;
    const bool taken = exchange->has_trailers && exchange->outbox.empty();
    guests_.leave(&connection->guest(), exchange, now_, taken);
    if (guests_.calls() == 0) empty_.notify_all();
  }
  exchange->is_over = true;
  if (exchange->was_put) over_.push_back(Ref<Exchange>::of(exchange));
}

void Core::stop_accepting_calls(int status, const std::string& details) {
  const Turn turn(*this);
  is_stopping_ = true;
  stopping_status_ = status;
  stopping_details_ = details;
}

bool Core::wait_empty(double seconds) {
  std::unique_lock<std::mutex> lock(mutex);
  return empty_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return guests_.calls() == 0; });
}

void Core::goodbye() {
  const Turn turn(*this);
  for (const int one : listeners_) {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, one, nullptr);
    ::close(one);
  }
  listeners_.clear();
  for (const auto& [socket, connection] : connections_) connection->say_goodbye();
}

void Core::close() {
  {
    const Turn turn(*this);
    is_closed_ = true;
    for (const int one : listeners_) ::close(one);
    listeners_.clear();
    dirty_.clear();
    while (!connections_.empty()) drop(connections_.begin()->second.get());
  }
  wake();
}

std::vector<int> Core::busy_ports() {
  const Turn turn(*this);
  std::vector<int> ports;
  for (const auto& [socket, connection] : connections_) {
    if (connection->has_calls()) ports.push_back(connection->port());
  }
  return ports;
}

std::size_t Core::connected() {
  const Turn turn(*this);
  return connections_.size();
}

std::int64_t Core::calls() {
  const Turn turn(*this);
  return guests_.calls();
}

}  // namespace front
