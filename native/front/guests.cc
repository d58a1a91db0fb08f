#include "guests.h"

#include <algorithm>
#include <cstdio>

#include "exchange.h"

namespace front {
namespace {

constexpr std::int64_t kFew = 8;           // calls that a connection may have however many others are there
constexpr double kSlowest = 1 << 20;       // who reads so many bytes a second is not taken for stalled
constexpr double kRemembered = 1.0;        // s that how it read what it held is known of a connection
constexpr double kJudged = 0.01;           // s between two looks at how fast a connection reads
constexpr std::int64_t kLittle = 512;      // who holds less than this part of all does not prove how fast it reads

double of_the_oldest(double size, double waited) { return (size + Pace::kCredit) / (waited + Pace::kPatience); }

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

}  // namespace

void Pace::goes_on(double now, bool waiting) {
  if (is_waiting()) {
    const double kept = std::exp((waiting_since - now) / kMemory);
    taken *= kept;
    waited = waited * kept + kMemory * (1.0 - kept);
  }
  waiting_since = waiting ? now : std::numeric_limits<double>::quiet_NaN();
}

double Pace::bytes_a_second(double now) {
  if (is_waiting()) goes_on(now, true);
  return (taken + kCredit) / (waited + kPatience);
}

void Guest::judge(double now) {
  if (now - judged_at < kJudged) return;
  double speed = pace.bytes_a_second(now);
  if (!held.empty()) {
    const Held& oldest = held.front();
    speed = std::min(speed, of_the_oldest(static_cast<double>(oldest.size), now - oldest.since));
  }
  judged_at = now;
  is_slow = speed <= Pace::kSlow;
  about = static_cast<int>(std::lround(std::log2(speed)));
}

std::string Guests::enter(Guest* guest, double now) {
  if (std::string why = refusal(guest, now); !why.empty()) return why;
  here_ += guest->calls == 0;
  ++guest->calls;
  ++guest->asked;
  ++calls_;
  return "";
}

std::string Guests::refusal(Guest* guest, double now) {
  if (guest->asked >= most_asked_) {
    return std::to_string(guest->asked) +
           " calls of this connection are not answered yet, as many as it may have; wait for some, or connect once more";
  }
  const std::int64_t share = here_ != 0 ? std::max(kFew, most_calls_ / here_) : kFew;
  if (calls_ >= most_calls_ && guest->calls >= share) {
    return "too many calls are open, and this connection has its share of them; end some first";
  }
  return unread(guest, now);
}

std::string Guests::unread(Guest* guest, double now) {
  return are_crowded() && does_not_read(guest, now) ? says_unread(guest, now) : "";
}

void Guests::leave(Guest* guest, Exchange* call, double now, bool taken) {
  if (call->is_held) let_go(guest, call->held, now, taken);
  --guest->calls;
  --calls_;
  here_ -= guest->calls == 0;
}

void Guests::hold(Guest* guest, Exchange* call, std::size_t size, double now, std::vector<GiveWay>* crowded) {
  if (guest->held.empty() && now - guest->free_since >= kRemembered) guest->pace = Pace();
  if (call->is_held) {
    call->held->size += size;
  } else {
    call->held = guest->held.insert(guest->held.end(), Held{call, size, now});
    call->is_held = true;
  }
  holding_.insert(guest);
  weigh(guest, static_cast<std::int64_t>(size), now);
  GiveWay next;
  while (are_crowded() && next_to_give_way(now, &next)) crowded->push_back(std::move(next));
}

void Guests::took(Guest* guest, Exchange* call, std::size_t size, double now) {
  if (!call->is_held) return;  // the call gave way
  const std::size_t before = call->held->size;
  size = std::min(size, before);
  if (before > size) {
    call->held->size = before - size;
    call->held->since = now;
    guest->held.splice(guest->held.end(), guest->held, call->held);
  } else {
    guest->held.erase(call->held);
    call->is_held = false;
  }
  weigh(guest, -static_cast<std::int64_t>(size), now);
  guest->pace.taken += static_cast<double>(size);
  note_free(guest, now);
}

void Guests::stalled(double now, std::vector<GiveWay>* late) {
  std::vector<std::pair<Guest*, std::list<Held>::iterator>> found;
  for (Guest* guest : holding_) {
    for (auto one = guest->held.begin(); one != guest->held.end(); ++one) {
      if (one->since + static_cast<double>(one->size) / kSlowest <= now - stall_) found.emplace_back(guest, one);
    }
  }
  for (auto& [guest, one] : found) {
    late->push_back(GiveWay{one->call, "no answer was taken for " + number(stall_) + " s; read answers as they come"});
    let_go(guest, one, now, false);
    guest->lost = now;
  }
}

bool Guests::next_to_give_way(double now, GiveWay* found) {
  Guest* slowest = nullptr;
  for (Guest* guest : holding_) {
    guest->judge(now);
    if (slowest == nullptr || guest->about < slowest->about ||
        (guest->about == slowest->about && guest->unsent > slowest->unsent)) {
      slowest = guest;
    }
  }
  if (slowest == nullptr || (unsent_ <= most_bytes_ && !slowest->is_slow)) return false;
  found->why = says_unread(slowest, now);
  found->call = slowest->held.front().call;
  let_go(slowest, slowest->held.begin(), now, false);
  slowest->lost = now;
  return true;
}

bool Guests::does_not_read(Guest* guest, double now) {
  if (guest->held.empty()) return now - guest->lost < kRemembered;
  guest->judge(now);
  return guest->is_slow;
}

std::string Guests::says_unread(Guest* guest, double now) {
  if (guest->held.empty()) {
    return "answers on this connection gave way just now, for want of room; ask for fewer at a time, and read answers "
           "as they come";
  }
  const std::string held = std::to_string(guest->unsent) + " bytes of answers wait to be taken on this connection";
  guest->judge(now);
  if (guest->is_slow) return held + ", which takes them slowly; read answers as they come";
  return held + ", and of all together " + std::to_string(most_bytes_) +
         " may; ask for fewer at a time, and read answers as they come";
}

void Guests::weigh(Guest* guest, std::int64_t size, double now) {
  guest->unsent += size;
  unsent_ += size;
  const bool waits = guest->unsent > most_bytes_ / kLittle;
  if (waits || guest->pace.is_waiting()) guest->pace.goes_on(now, waits);
}

void Guests::let_go(Guest* guest, std::list<Held>::iterator known, double now, bool taken) {
  const std::size_t size = known->size;
  known->call->is_held = false;
  guest->held.erase(known);
  weigh(guest, -static_cast<std::int64_t>(size), now);
  if (taken) guest->pace.taken += static_cast<double>(size);
  note_free(guest, now);
}

void Guests::note_free(Guest* guest, double now) {
  if (!guest->held.empty()) return;
  holding_.erase(guest);
  guest->free_since = now;
}

}  // namespace front
