// Who is connected: calls open and answers not taken, by connection, so that one cannot have what is meant for all.
// The rules are those of server/rpc/transport/guests.py and pace.py, which hold for the other front; the same tests
// hold both to them. All methods are called under the core's lock.
#pragma once

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <string>
#include <unordered_set>
#include <vector>

namespace front {

class Exchange;
struct Guest;

// How fast a connection takes its answers: what it took lately, over the time in which answers waited for it.
struct Pace {
  static constexpr double kPatience = 0.25;                   // s
  static constexpr double kSlow = 512 << 10;                  // bytes/s
  static constexpr double kCredit = 2 * kSlow * kPatience;    // bytes
  static constexpr double kMemory = 1.0;                      // s, of waiting

  double taken = 0.0, waited = 0.0;
  double waiting_since = std::numeric_limits<double>::quiet_NaN();

  bool is_waiting() const { return !std::isnan(waiting_since); }
  void goes_on(double now, bool waiting);
  double bytes_a_second(double now);
};

struct Held {
  Exchange* call;
  std::size_t size;
  double since;
};

// One connection. `held`: the call that waits longest first. `calls`: until their answers are taken; `asked`: until
// they are answered.
struct Guest {
  std::int64_t calls = 0, asked = 0, unsent = 0;
  double lost = -std::numeric_limits<double>::infinity(), free_since = 0.0;
  Pace pace;
  double judged_at = -std::numeric_limits<double>::infinity();
  bool is_slow = false;
  int about = 0;
  std::list<Held> held;

  void judge(double now);
};

struct GiveWay {
  Exchange* call;
  std::string why;
};

class Guests {
 public:
  Guests(std::int64_t most_calls, std::int64_t most_bytes, double stall, std::int64_t most_asked)
      : most_calls_(most_calls), most_bytes_(most_bytes), most_asked_(most_asked), stall_(stall) {}

  bool are_crowded() const { return unsent_ > most_bytes_ / 2; }
  std::int64_t unsent() const { return unsent_; }
  std::int64_t calls() const { return calls_; }

  // Counts one more call of this connection; or says why it may have no more.
  std::string enter(Guest* guest, double now);
  // Why this connection should be sent no more answers now; "": it may.
  std::string unread(Guest* guest, double now);
  void answered(Guest* guest) { --guest->asked; }
  void leave(Guest* guest, Exchange* call, double now, bool taken);
  // An answer of so many bytes waits. Those that must give way hold nothing any more; end them.
  void hold(Guest* guest, Exchange* call, std::size_t size, double now, std::vector<GiveWay>* crowded);
  void took(Guest* guest, Exchange* call, std::size_t size, double now);
  // The calls of which nothing has been taken for too long; they hold nothing any more.
  void stalled(double now, std::vector<GiveWay>* late);

 private:
  std::string refusal(Guest* guest, double now);
  std::string says_unread(Guest* guest, double now);
  bool does_not_read(Guest* guest, double now);
  bool next_to_give_way(double now, GiveWay* found);
  void weigh(Guest* guest, std::int64_t size, double now);
  void let_go(Guest* guest, std::list<Held>::iterator known, double now, bool taken);
  void note_free(Guest* guest, double now);

  std::int64_t most_calls_, most_bytes_, most_asked_;
  double stall_;
  std::atomic<std::int64_t> unsent_{0};  // read without the lock, too
  std::int64_t calls_ = 0, here_ = 0;
  std::unordered_set<Guest*> holding_;
};

}  // namespace front
