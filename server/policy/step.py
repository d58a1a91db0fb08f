"""One step compared with another: every arm and batch size that answers its members in time, by what it is worth."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

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
    """The best step where every ticket accepts the same arms: neighbours, starting at the first that is in time.

    A larger batch may start later in the queue: the tickets it passes over are given up. One loop, written for speed.
    """
    view, first, spare = backlog.view, backlog.first, backlog.spare_s
    deadlines, ends, count = view.deadlines, view.ends, len(view.tickets)
    plain, total, start_s = view.plain, ends[count], plan.now_s + plan.guard_s
    price, long_batch, left = plan.price, plan.long_batch, ends[count] - ends[first]
    best_worth, best = -inf, _alone(backlog, choices)
    for arm, sizes in choices:
        mean_s, upper_s, accuracy = arm.mean_s, arm.upper_s, arm.accuracy
        for size in sizes:
            begin, finish_s = first, start_s + upper_s[min(left, size)]
            if deadlines[first] < finish_s:
                begin = bisect_left(deadlines, finish_s, first, count)
                if begin == count:
                    break
            end = begin + size if plain else bisect_right(ends, ends[begin] + size, begin) - 1
            end = min(end, count)
            rows = ends[end] - ends[begin]
            if rows:
                busy_s = mean_s[rows]
                worth = rows * accuracy - price * busy_s * (1.0 + long_batch * busy_s)
                if end < count:
                    worth += plan.stay * (total - ends[end])
                    over_s = plan.now_s + plan.busy_share * busy_s - spare[end]
                    if over_s > 0.0:
                        worth -= plan.lost * over_s / plan.row_s
                if worth > best_worth:
                    best_worth, best = worth, Step(arm, range(begin, end), range(begin))
            if size >= left:
                break
    return best


def best_mixed_step(backlog: Backlog, plan: Plan, choices: Choices) -> Step:
    """The best step where demands differ: the first ticket, joined by those after it that accept the same arm."""
    best_worth, best = -inf, _alone(backlog, choices)
    for arm, sizes in choices:
        for members, rows, latest_s in _growing(backlog, backlog.view.arms.index(arm), arm, sizes):
            if (
                plan.now_s + plan.guard_s + arm.upper_s[rows]
                > backlog.view.deadlines[backlog.first]
            ):
                break
            busy_s = arm.mean_s[rows]
            worth = rows * (arm.accuracy - plan.stay) - plan.price * busy_s * (
                1.0 + plan.long_batch * busy_s
            )
            over_s = plan.now_s + plan.busy_share * busy_s - latest_s
            worth -= plan.lost * max(0.0, over_s) / plan.row_s
            if worth > best_worth:
                best_worth, best = worth, Step(arm, members, range(backlog.first))
    return best


def _growing(
    backlog: Backlog, bit: int, arm: ArmProfile, sizes: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], int, float]]:
    """Batches of growing size: (members, rows, latest clock time to finish by so that all others are reachable)."""
    view, work, count = backlog.view, backlog.work_s, len(backlog.view.tickets)
    members: list[int] = []
    rows, passed_s, latest_s = 0, 0.0, inf
    for i in range(backlog.first, count):
        more = view.ends[i + 1] - view.ends[i]
        if view.masks[i] >> bit & 1 and rows + more <= arm.max_batch:
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


def _alone(backlog: Backlog, choices: Choices) -> Step:
    """The first ticket by itself on its fastest arm: what remains when nothing else is in time."""
    rows = backlog.view.tickets[backlog.first].rows
    arms = [arm for arm, _ in choices if rows <= arm.max_batch]
    return Step(
        min(arms, key=lambda a: a.upper_s[rows]),
        range(backlog.first, backlog.first + 1),
        range(backlog.first),
    )
