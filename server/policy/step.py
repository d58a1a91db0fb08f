"""One step compared with another: every arm and batch size in time for its members, by its worth."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
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
    arm, rows = _alone(backlog, choices)
    first = backlog.first
    worth, begin, end = _best_window(backlog, plan, arm, ((first, first + 1, rows),))
    for other, sizes in choices:
        windows = _windows(backlog, plan, other, sizes)
        found = _best_window(backlog, plan, other, windows)
        if found[0] > worth:
            arm, (worth, begin, end) = other, found
    return Step(arm, range(begin, end), range(begin))


def best_mixed_step(backlog: Backlog, plan: Plan, choices: Choices) -> Step:
    """The best step where demands differ: the first ticket and those behind it the arm suits."""
    arm, _ = _alone(backlog, choices)
    best_worth, best = -inf, Step(arm, (backlog.first,), range(backlog.first))
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


def _windows(
    backlog: Backlog, plan: Plan, arm: ArmProfile, sizes: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """For each size, the first neighbours of at most that many rows that are in time: (begin, end, rows)."""
    view, first = backlog.view, backlog.first
    deadlines, ends, count, plain = view.deadlines, view.ends, len(view.tickets), view.plain
    start_s, left, upper_s = plan.now_s + plan.guard_s, ends[count] - ends[first], arm.upper_s
    for size in sizes:
        begin, finish_s = first, start_s + upper_s[min(size, left)]
        if deadlines[first] < finish_s:
            begin = bisect_left(deadlines, finish_s, first, count)
        if begin == count:
            return
        end = min(begin + size, count) if plain else bisect_right(ends, ends[begin] + size) - 1
        if end > begin:
            yield begin, end, ends[end] - ends[begin]
        if size >= left:
            return


def _best_window(
    backlog: Backlog, plan: Plan, arm: ArmProfile, windows: Iterable[tuple[int, int, int]]
) -> tuple[float, int, int]:
    """(worth, begin, end): accuracy answered and kept for later, less the price of time and of whom it cuts off.

    The inner loop of every decision: what it needs lies in local names.
    """
    ends, spare, mean_s = backlog.view.ends, backlog.spare_s, arm.mean_s
    price, stay, share, now_s = plan.price, plan.stay, plan.busy_share, plan.now_s
    count, accuracy, lost = len(spare), max(arm.accuracy, LEAST), plan.lost / plan.row_s
    total, best = ends[count], (-inf, 0, 0)
    for begin, end, rows in windows:
        busy_s = mean_s[rows]
        worth = rows * accuracy - price * busy_s
        if end < count:
            worth += stay * (total - ends[end])
            over_s = now_s + share * busy_s - spare[end]
            if over_s > 0.0:
                worth -= lost * over_s
        if worth > best[0]:
            best = (worth, begin, end)
    return best


def _growing(
    backlog: Backlog, arm: ArmProfile, sizes: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], int, float]]:
    """Batches of growing size: members, rows, latest end (s) that leaves all others reachable."""
    view, work, count = backlog.view, backlog.work_s, len(backlog.view.tickets)
    bit = 1 << view.arms.index(arm)
    members: list[int] = []
    wanted = iter(sizes)
    size, told = next(wanted), 0
    rows, passed_s, latest_s = 0, 0.0, inf
    for i in range(backlog.first, count):
        more = view.ends[i + 1] - view.ends[i]
        if not view.masks[i] & bit or rows + more > arm.max_batch:
            passed_s += work[i] - (work[i - 1] if i else 0.0)
            latest_s = min(latest_s, view.deadlines[i] - passed_s)
            continue
        members.append(i)
        rows += more
        if rows >= size:
            rest_s = backlog.spare_s[i + 1] - passed_s if i + 1 < count else inf
            yield tuple(members), rows, min(latest_s, rest_s)
            told, size = rows, next((s for s in wanted if s > rows), inf)
            if size > arm.max_batch:
                return
    if rows > told:
        yield tuple(members), rows, latest_s


def _alone(backlog: Backlog, choices: Choices) -> tuple[ArmProfile, int]:
    """The fastest arm for the first ticket by itself, and its rows: in time even where nothing else is."""
    rows = backlog.view.tickets[backlog.first].rows
    arms = [arm for arm, _ in choices if rows <= arm.max_batch]
    return min(arms, key=lambda arm: arm.upper_s[rows]), rows
