"""Requests that allow far less time than others: how many come, and how much they allow. Pure."""

from math import exp
from typing import NamedTuple

from server.policy.decision import NO_HASTE, Haste

HASTY = 0.7
"""A request is in haste where it allows less than this share of the SLO's bound."""
FADING_SLOS = 42.0
"""What came is forgotten over so many latency bounds."""


class Hurry(NamedTuple):
    """As of `at_s`: a fading rate of rows in haste (rows/s), each counted by what its answer is worth, and their mean
    bound (s)."""

    at_s: float = 0.0
    rate_rps: float = 0.0
    bound_s: float = 0.0


def observe(seen: Hurry, rows: float, bound_s: float, now_s: float, slo_s: float) -> Hurry:
    """The memory after rows in haste that are worth `rows` came at `now_s`."""
    fading_s = FADING_SLOS * slo_s
    kept_rps = _faded(seen, now_s, fading_s)
    rate_rps = kept_rps + rows / fading_s
    share = (rows / fading_s) / rate_rps if rate_rps else 0.0
    return Hurry(max(now_s, seen.at_s), rate_rps, seen.bound_s + share * (bound_s - seen.bound_s))


def haste(seen: Hurry, now_s: float, slo_s: float) -> Haste:
    """What a policy is told."""
    if not seen.rate_rps:
        return NO_HASTE
    return Haste(_faded(seen, now_s, FADING_SLOS * slo_s), seen.bound_s)


def _faded(seen: Hurry, now_s: float, fading_s: float) -> float:
    return seen.rate_rps * exp(-max(0.0, now_s - seen.at_s) / fading_s)
