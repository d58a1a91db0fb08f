"""What one family can be asked for just now: follows its arms as they come and go. It refuses nobody."""

from collections.abc import Callable, Iterable
from math import inf
from typing import NamedTuple

from models.catalog import Family
from server.policy.decision import ArmProfile
from server.policy.queueing import offer
from server.runtime.dispatch.dispatcher import Dispatcher

AHEAD = 2.0
"""A request may come when batches as long as its own have just begun: twice its time is needed then (as in Nexus: Shen
et al., SOSP 2019). It also leaves room for slow moments."""


class Offer(NamedTuple):
    """The most rows of one request; each 0 where no acceptable arm in use can run even one.

    `usual`: of one that asks for no SLO, answered in time though others are served too; `hoped`: the same at best, on
    an idle machine that is as fast as it is now or was when its arms were measured; `most`: of one with all the time
    that it needs. None is above what may wait: such a request would always be refused.
    """

    usual: int
    hoped: int
    most: int


class Offers:
    """One family's: its SLO is that of requests which ask for none; `profiled` tells its arms as they were measured."""

    def __init__(
        self,
        family: Family,
        dispatcher: Dispatcher,
        profiled: Callable[[], Iterable[ArmProfile]],
    ) -> None:
        self.slo = family.slo
        self._whole = family.most_units
        self._dispatcher = dispatcher
        self._profiled = profiled
        self._plain: tuple[tuple[ArmProfile, ...], Offer] | None = None

    def plain(self) -> Offer:
        """To requests without parameters. Any thread."""
        arms = self._dispatcher.arms
        if self._plain is None or self._plain[0] is not arms:
            self._plain = (arms, self.of(None, self.slo.min_accuracy))
        return self._plain[1]

    def of(self, variant: str | None, least: float) -> Offer:
        """To requests that pin this variant, where they do, and ask for so much accuracy. Any thread."""
        arms = self._dispatcher.arms
        in_use = {arm.arm for arm in arms}
        either = [*arms, *(arm for arm in self._profiled() if arm.arm in in_use)]
        pieces = offer.Pieces(self._dispatcher.limits.workers, self._whole)
        usual = offer.most_rows(arms, variant, least, self._inside_s / AHEAD, pieces)
        hoped = offer.most_rows(either, variant, least, self._inside_s, pieces)
        most = offer.most_rows(arms, variant, least, inf, pieces)
        bounds = max(usual, min(1, hoped)), hoped, most
        return Offer(*(min(rows, self.capacity_rows) for rows in bounds))

    def shortfall(self) -> str:
        """What an operator should know where no request without an SLO of its own can be answered; empty otherwise."""
        able = [arm for arm in self._dispatcher.arms if arm.accuracy >= self.slo.min_accuracy]
        fastest = min(able, key=lambda arm: arm.upper_s[1], default=None)
        if fastest is None or fastest.upper_s[1] <= self._inside_s:
            return ""
        arm = fastest.arm
        return (
            f"no arm answers a row within the SLO of {self.slo.latency_s * 1e3:g} ms: the fastest, {arm.variant} on "
            f"{arm.backend} ({arm.device}), takes {fastest.upper_s[1] * 1e3:.3g} ms; no request that asks for no "
            "slo_ms of its own can be in time; raise slo_ms here or in the manifest, or add a faster variant"
        )

    @property
    def capacity_rows(self) -> int:
        """Rows that may wait in all."""
        return self._dispatcher.limits.capacity_rows

    def waiting(self) -> int:
        """How many requests of one row, without parameters, may wait before another one is refused. Any thread."""
        limits = self._dispatcher.limits
        most = offer.most_waiting(self._dispatcher.arms, limits.workers, self._inside_s)
        return int(max(1, min(limits.capacity_rows, most)))

    @property
    def _inside_s(self) -> float:
        """The time (s) that a batch may take, at most."""
        return self.slo.latency_s - self._dispatcher.limits.reply_margin_s
