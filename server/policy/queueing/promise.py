"""The promise: the share of requests that an SLO says is answered in time, and how careful it takes the policy to be.

The policy weighs expected accuracy; what is rare, a stalled batch or a clump, it underrates. `caution` makes up for
that: it rises with every promise broken beyond what the SLO allows and falls while fewer are, as adaptive conformal
inference sets a quantile (Gibbs and Candes, 2021), so that the loss comes to what is allowed, whatever its cause. What
nobody could have kept, as more came than can be served, is allowed too; and where that is much, caution fades: then
accuracy in time is all there is to win. `boldness` is its counterpart: it rises while less is lost than is allowed,
whatever the reason, and falls with every loss; the policy may then count on what has held so far.
"""

from collections.abc import Iterable
from typing import NamedTuple

WINDOW = 1000.0
"""Requests over which the promise is looked at."""
GAIN = 30.0 / WINDOW
"""How much caution one broken promise is worth."""
AIM = 0.7
"""Share of the loss allowed that is aimed at: the rest is for chance."""
FADE = 0.9
"""Share of the caution that is left, each time it is looked at, where the promise cannot be kept."""
LATELY = 200.0
"""Requests over which it is seen whether what comes can be served."""
SPARE = 1.1
"""Time a row takes in practice, over what it takes at best."""
ROOM = 0.7
"""Share of the latency bound that a backlog may take where the promise can be kept."""
IDLE_KEPT = 0.98
"""Share of a class's caution, and of what it lacks in boldness, that is left each time others are looked at and it did
not ask."""
BOLD_LOSS = 0.01
"""Share of requests that boldness may cost, however much a lax SLO allows: what is lost earns nothing."""
NEARLY = 0.995
"""Share of what is promised that must be within reach for it to be worth trying."""


class Promise(NamedTuple):
    """One SLO class's: how careful to be, 0 to 1, the requests that ended lately and those of them in time, and how
    bold one may be, 0 to 1."""

    caution: float = 0.0
    ended: float = 0.0
    in_time: float = 0.0
    boldness: float = 0.0

    @property
    def attainment(self) -> float:
        """Share of the last WINDOW requests or so that was answered in time."""
        return self.in_time / self.ended if self.ended else 1.0


class Reach(NamedTuple):
    """Whether a queue that is always served on the cheapest arm keeps up: its backlog (rows) as of `at_s`, and the
    share of the last requests that it would have answered in time."""

    at_s: float = 0.0
    backlog: float = 0.0
    share: float = 1.0


def observe(
    promise: Promise, ended: float, in_time: float, percentile: float, reach: Reach
) -> Promise:
    """The promise after so many requests more that ended, so many of them in time.

    Of a percentile of 1 one request in a WINDOW is still allowed to miss: else one miss would never be forgotten.
    """
    kept = max(0.0, 1.0 - ended / WINDOW)
    loss, missed = AIM * max(1.0 - percentile, 1.0 / WINDOW), ended - in_time
    caution = promise.caution + GAIN * (missed - max(loss, 1.0 - reach.share) * ended)
    boldness = promise.boldness - GAIN * (missed - min(loss, BOLD_LOSS) * ended)
    if reach.share < NEARLY * percentile:
        caution = FADE * min(caution, promise.caution)
    return Promise(
        min(max(caution, 0.0), 1.0),
        kept * promise.ended + ended,
        kept * promise.in_time + in_time,
        min(max(boldness, 0.0), 1.0),
    )


def idle(promise: Promise) -> Promise:
    """The promise of a class that did not ask since the last look: what it took fades, and it holds nobody back."""
    caution, boldness = IDLE_KEPT * promise.caution, 1.0 - IDLE_KEPT * (1.0 - promise.boldness)
    return promise._replace(caution=caution, boldness=boldness)


def offered(reach: Reach, rows: int, now_s: float, slo_s: float, pace_s: float) -> Reach:
    """The reach after a request of `rows` came, of which all workers do one in `pace_s` at best (Lindley, 1952)."""
    return offered_together(reach, (rows,), now_s, slo_s, pace_s)


def offered_together(
    reach: Reach, counts: Iterable[int], now_s: float, slo_s: float, pace_s: float
) -> Reach:
    """`offered` of requests with so many rows each, one after the other, all at one moment."""
    row_s = SPARE * pace_s
    if row_s <= 0.0:
        return reach
    at_s, backlog, share = reach
    backlog = max(0.0, backlog - max(0.0, now_s - at_s) / row_s)
    for rows in counts:
        fits = (backlog + rows) * row_s <= ROOM * slo_s
        share += (fits - share) / (1.0 + LATELY)
        if fits:
            backlog += rows
    return Reach(now_s, backlog, share)
