"""SlackFit (SuperServe, NSDI'25): the head's slack picks a bucket of latencies, and there the largest batch is run."""

from collections.abc import Sequence

from server.policy.decision import ArmProfile, Policy, PolicyFactory, Ticket
from server.policy.reference.head import Chooser, serve_head

WIDTH = 2.5
"""A bucket's width in multiples of the least latency, a single row on the fastest arm."""

Choice = tuple[ArmProfile, int]


def slackfit(width: float = WIDTH) -> PolicyFactory:
    """SlackFit over evenly wide buckets of (arm, batch) by upper estimate, from the least latency up.

    The paper's rule: the bucket just below the slack of the earliest deadline, in it the largest batch, of equals the
    most accurate arm; where the slack is below all buckets, the lowest one, although it may be late; no drop. Two
    kindnesses: only batches that what waits can fill are in the buckets, since with the paper's one choice a bucket an
    idle machine would run single rows on small arms; and where a bucket is empty the next lower one counts.
    `width` is a bucket's in multiples of the least latency, above 0.
    """

    def build(arms: Sequence[ArmProfile]) -> Policy:
        return serve_head(arms, lambda suited: _chooser(_pareto(suited), width))

    return build


def _chooser(arms: Sequence[ArmProfile], width: float) -> Chooser:
    largest = max(arm.max_batch for arm in arms)
    least_s = min(arm.upper_s[1] for arm in arms)
    width_s = width * least_s
    tables: dict[tuple[int, int], list[Choice]] = {}

    def choose(head: Ticket, waiting: int, slack_s: float) -> Choice:
        sizes = head.rows, min(waiting, largest)
        buckets = tables.get(sizes)
        if buckets is None:
            buckets = tables[sizes] = _buckets(arms, sizes, least_s, width_s)
        below = int((slack_s - least_s) / width_s) - 1
        return buckets[max(0, min(below, len(buckets) - 1))]

    return choose


def _buckets(
    arms: Sequence[ArmProfile], sizes: tuple[int, int], least_s: float, width_s: float
) -> list[Choice]:
    """The best choice of every bucket among batches of `sizes` (least, most) rows; of an empty one the next lower's."""
    best: dict[int, tuple[int, float, ArmProfile]] = {}
    for arm in arms:
        for rows in range(sizes[0], min(sizes[1], arm.max_batch) + 1):
            bucket = int((arm.upper_s[rows] - least_s) / width_s)
            if bucket not in best or (rows, arm.accuracy) > best[bucket][:2]:
                best[bucket] = rows, arm.accuracy, arm
    found: list[Choice] = []
    for bucket in range(max(best) + 1):
        lower = found[-1] if found else _choice(best[min(best)])
        found.append(_choice(best[bucket]) if bucket in best else lower)
    return found


def _choice(entry: tuple[int, float, ArmProfile]) -> Choice:
    return entry[2], entry[0]


def _pareto(arms: Sequence[ArmProfile]) -> list[ArmProfile]:
    """The arms that no other matches in accuracy, largest batch and time; of equals the first."""
    kept: list[ArmProfile] = []
    for arm in sorted(arms, key=lambda a: (-a.accuracy, -a.max_batch, a.upper_s)):
        if not any(_matches(better, arm) for better in kept):
            kept.append(arm)
    return kept


def _matches(a: ArmProfile, b: ArmProfile) -> bool:
    sizes = range(1, b.max_batch + 1)
    return a.max_batch >= b.max_batch and all(a.upper_s[n] <= b.upper_s[n] for n in sizes)
