"""What an operator is told of arms that go out of use and come back: the first time, what lasts, and its end. Pure.

An arm that goes in and out is told of once in EVERY_S, with how often it was out since; metrics count each time.
"""

from dataclasses import dataclass, replace
from math import inf

from server.policy.arms.incidents import Back, Out, RunCanary, Stay, Verdict

EVERY_S = 60.0
"""So often (s) at most an operator is told that the same arm is out of use: by a person's clock, whatever the SLO."""
LASTS_S = 1.0
"""An arm that has been out so long (s), its probes being bad, is told of in any case, once: by then it is no hiccup to
a person who reads the log, whatever the SLO."""


@dataclass(frozen=True, slots=True)
class Episodes:
    """Of one arm: when it was last said to be out, whether of this time out, and how often it was out unsaid since.

    `out_s`: when it went out; `lasting`: whether it was said that it stays out.
    """

    said_s: float = -inf
    is_said: bool = False
    unsaid: int = 0
    out_s: float = 0.0
    lasting: bool = False


def step(episodes: Episodes, verdict: Verdict, now_s: float) -> tuple[Episodes, bool]:
    """The episodes after a verdict, and whether this one is to be told."""
    match verdict:
        case Out():
            return _out(episodes, now_s)
        case Stay():
            lasts = now_s - episodes.out_s >= LASTS_S and not episodes.lasting
            if not lasts:
                return episodes, False
            return replace(episodes, said_s=now_s, is_said=True, unsaid=0, lasting=True), True
        case Back():
            return replace(episodes, is_said=False), episodes.is_said
        case RunCanary():
            return episodes, False


def _out(episodes: Episodes, now_s: float) -> tuple[Episodes, bool]:
    if now_s < episodes.said_s + EVERY_S:
        unsaid = episodes.unsaid + 1
        return Episodes(episodes.said_s, is_said=False, unsaid=unsaid, out_s=now_s), False
    return Episodes(now_s, is_said=True, out_s=now_s), True
