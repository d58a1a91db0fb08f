// What may come over the wire, thrown at the core without a socket: frames that are none, header blocks, gRPC's prefixes,
// protobuf. The first byte says how the rest is read. Built by scripts/fuzz.sh, for libFuzzer or to run a corpus once.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../front/core.h"
#include "../front/plain.h"
#include "../front/protobuf.h"

namespace {

using front::Core;
using front::Event;
using front::Exchange;
using front::Kind;
using front::Memory;
using front::Ref;
using front::Slice;

// Bytes to be taken off one by one; zeros once there are none.
class Feed {
 public:
  Feed(const std::uint8_t* bytes, std::size_t size) : at_(bytes), end_(bytes + size) {}
  bool more() const { return at_ < end_; }
  std::uint8_t byte() { return at_ < end_ ? *at_++ : 0; }
  std::string bytes(std::size_t size) {
    size = std::min(size, static_cast<std::size_t>(end_ - at_));
    std::string made(reinterpret_cast<const char*>(at_), size);
    at_ += size;
    return made;
  }
  std::string rest() { return bytes(static_cast<std::size_t>(end_ - at_)); }

 private:
  const std::uint8_t *at_, *end_;
};

std::string frame(std::uint8_t kind, std::uint8_t flags, std::uint32_t stream, const std::string& payload) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  std::string made;
  for (int shift = 16; shift >= 0; shift -= 8) made += static_cast<char>(size >> shift);
  made += static_cast<char>(kind);
  made += static_cast<char>(flags);
  for (int shift = 24; shift >= 0; shift -= 8) made += static_cast<char>(stream >> shift);
  return made + payload;
}

std::string literal(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
}

std::string call_headers(const std::string& path, std::uint8_t extra) {
  std::string made = literal(":method", "POST") + literal(":scheme", "http") + literal(":path", path) +
                     literal(":authority", "a") + literal("te", "trailers") +
                     literal("content-type", "application/grpc");
  if (extra & 1) made += literal("grpc-timeout", "1m");
  if (extra & 2) made += literal("grpc-encoding", "gzip");
  return made;
}

std::string message(const std::string& body, bool packed) {
  const auto size = static_cast<std::uint32_t>(body.size());
  std::string made(1, packed ? '\1' : '\0');
  for (int shift = 24; shift >= 0; shift -= 8) made += static_cast<char>(size >> shift);
  return made + body;
}

const char* const kPaths[] = {"/infer", "/stream", "/ask", "/none"};

std::vector<front::Method> methods() {
  std::vector<front::Method> made(3);
  for (int i = 0; i < 3; ++i) {
    made[static_cast<std::size_t>(i)].path = kPaths[i];
    made[static_cast<std::size_t>(i)].index = i;
    made[static_cast<std::size_t>(i)].most_bytes = 1 << 16;
  }
  made[0].plain = true;
  made[1].streaming = true;
  return made;
}

front::Signatures signatures() {
  auto made = std::make_shared<front::Signature>();
  made->model = "m";
  made->most_rows = 4;
  made->inputs.resize(2);
  made->inputs[0] = {"x", "FP32", {2}, 8, front::Vet::finite32};
  made->inputs[1] = {"b", "BOOL", {1}, 1, front::Vet::truth};
  made->outputs = {"y"};
  return {made};
}

Ref<Memory> framed(const std::string& body) {
  const std::string whole = message(body, false);
  Ref<Memory> made = Ref<Memory>::adopt(new Memory(whole.size(), 0));
  while (!made->is_full()) {
    std::size_t given = 0;
    std::uint8_t* place = made->room(whole.size() - made->filled(), &given);
    std::memcpy(place, whole.data() + made->filled(), given);
    made->fill(given);
  }
  return made;
}

// A server of its own, with one client, whose bytes are `feed`'s.
class Session {
 public:
  Session() : core_(bounds(), methods()) {
    core_.publish(signatures());
    const std::lock_guard<std::mutex> lock(core_.mutex);
    connection_ = core_.adopt(-1, "fuzz", 1);
  }

  void come(const std::string& bytes) {
    core_.calls();  // a turn, at whose end a connection that is done is dropped
    if (core_.connected() == 0) return;
    const std::lock_guard<std::mutex> lock(core_.mutex);
    connection_->feed(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }

  // Does what `how` says with what has come.
  void answer(std::uint8_t how) {
    std::vector<Event> events;
    std::vector<Ref<Exchange>> over;
    core_.poll(0.0, &events, &over);
    for (const Event& event : events) {
      if (event.kind == Kind::message || event.kind == Kind::plain) held_.push_back(event.exchange);
      if (event.kind == Kind::plain) check(*event.exchange);
    }
    if (held_.empty()) return;
    Exchange* one = held_[how % held_.size()].get();
    switch (how >> 5) {
      case 0:
        core_.reply(one, framed(std::string(how * 64u, 'a')), {{"k", "v"}});
        break;
      case 1:
        core_.finish(one, how & 15, "why \x01 %", {});
        break;
      case 2:
        core_.send(one, framed(std::string(how * 256u, 'b')));
        break;
      case 3:
        core_.ask(one);
        break;
      case 4:
        core_.pause(one, how & 1);
        break;
      case 5:
        core_.give_up(one, "slow");
        break;
      case 6:
        core_.abort(one, 8, "no");
        break;
      default:
        held_.erase(held_.begin() + how % static_cast<long>(held_.size()));
    }
  }

 private:
  static front::Bounds bounds() {
    front::Bounds made;
    made.streams = 8;
    made.calls = 8;
    made.unsent_bytes = 1 << 16;
    return made;
  }
  static void check(const Exchange& exchange) {
    const front::Plain& plain = exchange.plain;
    std::size_t sum = 0;
    for (const Slice& raw : plain.raw) {
      for (std::size_t i = 0; i < raw.size; ++i) sum += raw.data[i];
    }
    const std::size_t size = front::answer_size(3, plain.id, plain.raw);
    std::vector<std::uint8_t> made(size);
    const std::uint8_t common[3] = {1, 2, 3};
    front::put_answer(made.data(), Slice{common, 3}, plain.id, static_cast<double>(sum), plain.raw);
  }

  Core core_;
  front::Connection* connection_ = nullptr;
  std::vector<Ref<Exchange>> held_;
};

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Bytes as they are.
void raw(Feed feed) {
  Session session;
  session.come(kPreface);
  session.come(frame(4, 0, 0, ""));
  while (feed.more()) {
    const std::uint8_t how = feed.byte();
    session.come(feed.bytes(how));
    session.answer(how);
  }
}

// Frames that are well made, of what need not be.
void framed_calls(Feed feed) {
  Session session;
  session.come(kPreface);
  session.come(frame(4, 0, 0, ""));
  std::uint32_t next = 1;
  while (feed.more()) {
    const std::uint8_t what = feed.byte(), how = feed.byte();
    const std::uint32_t stream = (how & 7) != 0 && next > 2 ? next - 2 * (1 + (how & 3) % (next / 2)) : next;
    switch (what % 8) {
      case 0:
        session.come(frame(1, 4 | (how & 1), next, call_headers(kPaths[(how >> 1) & 3], how >> 4)));
        next += 2;
        break;
      case 1:
        session.come(frame(0, how >> 7, stream, message(feed.bytes(how & 63), (what & 8) != 0)));
        break;
      case 2:
        session.come(frame(0, (what >> 3) & 9, stream, feed.bytes(how)));
        break;
      case 3:
        session.come(frame(3, 0, stream, feed.bytes(4)));
        break;
      case 4:
        session.come(frame(8, 0, (how & 1) ? stream : 0, feed.bytes(4)));
        break;
      case 5:
        session.come(frame(what >> 3, how, stream, feed.bytes(how & 31)));
        break;
      default:
        session.answer(how);
    }
  }
}

void parsed(Feed feed) {
  static const front::Signatures known = signatures();
  const std::string bytes = feed.rest();
  const Slice all{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  front::Plain found;
  if (front::is_plain(all, known, &found)) {
    if (found.raw.size() != 2 || found.rows < 1 || found.rows > 4) __builtin_trap();
    if (found.raw[0].size != static_cast<std::size_t>(found.rows) * 8) __builtin_trap();
    for (const double one : found.asked.values) {
      if (!std::isfinite(one)) __builtin_trap();
    }
  }
  const std::size_t begins = front::raw_begins(all);
  if (begins > all.size) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const Feed rest(bytes + 1, size - 1);
  switch (bytes[0] % 3) {
    case 0:
      raw(rest);
      break;
    case 1:
      framed_calls(rest);
      break;
    default:
      parsed(rest);
  }
  return 0;
}
