// One RPC in flight: received, answered once, by whichever thread. All but the atomics is under the core's lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "guests.h"
#include "memory.h"
#include "plain.h"

namespace front {

class Connection;
class Core;

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr std::int64_t kMessageCost = 1024;  // bytes that a message is reckoned to take besides its own
constexpr std::size_t kPrefix = 5;  // gRPC's: a flag, and the message's length in four bytes

struct Method {
  std::string path;
  int index = 0;
  bool streaming = false;
  bool plain = false;  // its messages may be plain requests
  std::size_t most_bytes = 0;
};

using Trailers = std::vector<std::pair<std::string, std::string>>;

enum Status : int {
  kOk = 0,
  kCancelled = 1,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
};

class Exchange {
 public:
  void take() { uses_.fetch_add(1, std::memory_order_relaxed); }
  void let_go() {
    if (uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  Core* core = nullptr;

  // What came. Set before anybody else sees it, and never changed.
  const Method* method = nullptr;
  std::string peer;
  double deadline = kNever;
  Plain plain;          // where `plain.signature` is set
  Ref<Memory> request;  // that `plain` points into

  std::atomic<double> arrival{0.0};    // of the message in hand
  std::atomic<bool> is_open{true};     // not answered, and not cancelled
  std::atomic<bool> is_over{false};    // its stream is closed
  std::atomic<bool> is_plain{false};   // and goes the short way
  void* owner = nullptr;               // the poller's own, until it is told that the exchange is over
  bool was_put = false;                // in an event,
  int events = 0;                      // of which so many are not handed over yet

  // The stream; `connection` is none once it is closed.
  Connection* connection = nullptr;
  std::int32_t stream = 0;
  std::string path, encoding;
  std::size_t header_bytes = 0;
  bool is_post = false, is_grpc = false, has_begun = false, counts = false;

  // Messages coming in.
  std::uint8_t prefix[kPrefix];
  std::size_t prefix_filled = 0;
  Ref<Memory> coming;
  bool coming_packed = false, client_ended = false;
  bool is_asked = true, is_paused = false, end_is_due = false;
  struct Complete {
    Ref<Memory> message;
    bool packed;
    double arrival;
  };
  std::deque<Complete> inbox;
  std::int64_t coming_bytes = 0;  // held of what it sent: until it is over, of a stream until handed over
  std::size_t unconsumed = 0;  // bytes of the stream's window that are not given back yet

  // Messages going out.
  struct Chunk {
    Ref<Memory> message;
    std::size_t at;
  };
  std::deque<Chunk> outbox;
  bool has_headers = false, has_status = false, has_trailers = false, given_up = false;
  int status = kOk;
  std::string details;
  Trailers trailers;

  // As guests.h has it.
  std::list<Held>::iterator held;
  bool is_held = false;

 private:
  ~Exchange() = default;
  std::atomic<int> uses_{1};
};

enum class Kind : int { message = 0, end = 1, cancelled = 2, taken = 3, plain = 4, withdrawn = 5, begun = 6 };

// What a poll brings: a message, the end of a client's messages, a call that its client has left or that was given up,
// a streamed answer that was taken, a plain request, one whose client has left, a stream that has begun.
struct Event {
  Kind kind;
  Ref<Exchange> exchange;
  Ref<Memory> message;
  bool packed = false;
};

}  // namespace front
