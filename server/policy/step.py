"""One step compared with another: every arm and batch size in time for its members, by its worth."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from server.policy.costs import LEAST
from server.policy.decision import ArmProfile
from server.policy.plan import Choices, Plan
from server.policy.shed import Backlog


@dataclass(frozen=True, slots=True)
class Step:
    """Run `members` on `arm`, give up `dropped`: indices into the view."""

    arm: ArmProfile
    members: Sequence[int]
    dropped: Sequence[int]


def best_step(backlog: Backlog, plan: Plan, choices: Choices) -> Step:
    """The best step where all tickets accept the same arms: neighbours in the queue.

    A large batch may start behind tickets that it would make late: those are given up.
    """
    best = _alone(backlog, choices)
    best_worth = _worth(backlog, plan, best.arm, best.members.start, best.members.stop)
    for arm, sizes in choices:
        for begin, end in _windows(backlog, plan, arm, sizes):
            worth = _worth(backlog, plan, arm, begin, end)
            if worth > best_worth:
                best_worth, best = worth, _Window(arm, range(begin, end), range(begin))
    return Step(best.arm, best.members, best.dropped)


def best_mixed_step(backlog: Backlog, plan: Plan, choices: Choices) -> Step:
    """The best step where demands differ: the first ticket and those behind it the arm suits."""
    best_worth, alone = -inf, _alone(backlog, choices)
    best = Step(alone.arm, alone.members, alone.dropped)
    limit_s = backlog.view.deadlines[backlog.first] - plan.now_s - plan.guard_s
    for arm, sizes in choices:
        for members, rows, latest_s in _growing(backlog, arm, sizes):
            if arm.upper_s[rows] > limit_s:
                break
            busy_s = arm.mean_s[rows]
            over_s = plan.now_s + plan.busy_share * busy_s - latest_s
            worth = rows * (max(arm.accuracy, LEAST) - plan.stay) - plan.price * busy_s
            worth -= plan.lost * max(0.0, over_s) / plan.row_s
            if worth > best_worth:
                best_worth, best = worth, Step(arm, members, range(backlog.first))
    return best


@dataclass(frozen=True, slots=True)
class _Window:
    """A step over neighbours."""

    arm: ArmProfile
    members: range
    dropped: range


def _windows(
    backlog: Backlog, plan: Plan, arm: ArmProfile, sizes: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """For each size, the first run of neighbours of at most that many rows that is in time."""
    view, first = backlog.view, backlog.first
    deadlines, ends, count = view.deadlines, view.ends, len(view.tickets)
    start_s, left, upper_s = plan.now_s + plan.guard_s, ends[count] - ends[first], arm.upper_s
    for size in sizes:
        begin, finish_s = first, start_s + upper_s[min(size, left)]
        if deadlines[first] < finish_s:
            begin = bisect_left(deadlines, finish_s, first, count)
        if begin == count:
            return
        end = begin + size if view.plain else bisect_right(ends, ends[begin] + size, begin) - 1
        if end > begin:
            yield begin, min(end, count)
        if size >= left:
            return


def _worth(backlog: Backlog, plan: Plan, arm: ArmProfile, begin: int, end: int) -> float:
    """Accuracy answered and kept for later, less the price of the time and of whom it cuts off."""
    ends, count = backlog.view.ends, len(backlog.view.tickets)
    rows = ends[end] - ends[begin]
    busy_s = arm.mean_s[rows]
    worth = rows * max(arm.accuracy, LEAST) - plan.price * busy_s
    if end == count:
        return worth
    over_s = plan.now_s + plan.busy_share * busy_s - backlog.spare_s[end]
    if over_s > 0.0:
        worth -= plan.lost * over_s / plan.row_s
    return worth + plan.stay * (ends[count] - ends[end])


def _growing(
    backlog: Backlog, arm: ArmProfile, sizes: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], int, float]]:
    """Batches of growing size: members, rows, latest end (s) that leaves all others reachable."""
    view, work, count = backlog.view, backlog.work_s, len(backlog.view.tickets)
    bit = 1 << view.arms.index(arm)
    members: list[int] = []
    rows, passed_s, latest_s = 0, 0.0, inf
    for i in range(backlog.first, count):
        more = view.ends[i + 1] - view.ends[i]
        if view.masks[i] & bit and rows + more <= arm.max_batch:
            members.append(i)
            rows += more
            if rows in sizes:
                rest_s = backlog.spare_s[i + 1] - passed_s if i + 1 < count else inf
                yield tuple(members), rows, min(latest_s, rest_s)
        else:
            passed_s += work[i] - (work[i - 1] if i else 0.0)
            latest_s = min(latest_s, view.deadlines[i] - passed_s)
    if members and rows not in sizes:
        yield tuple(members), rows, latest_s


def _alone(backlog: Backlog, choices: Choices) -> _Window:
    """The first ticket by itself on its fastest arm: in time even where nothing else is."""
    first, rows = backlog.first, backlog.view.tickets[backlog.first].rows
    arms = [arm for arm, _ in choices if rows <= arm.max_batch]
    arm = min(arms, key=lambda a: a.upper_s[rows])
    return _Window(arm, range(first, first + 1), range(first))
