"""Kept decisions made plain: what was weighed, and one line for a log that is read in the night."""

import logging
import threading
from collections.abc import Callable, Mapping

from server.policy.decision import Idle, Run, WaitUntil
from server.policy.dispatch.explain import Alternative, alternatives
from server.policy.dispatch.tuning import DEFAULT, NAMED
from server.runtime.dispatch.journal import Journal, Record

_log = logging.getLogger(__name__)


def weighed(record: Record) -> tuple[Alternative, ...]:
    """What the policy weighed for a decision, best first: asked again with what it saw. Empty where it has no price.

    Only the adaptive ones have the choice of all arms; another with a price serves by the one it chose.
    """
    run = record.decision
    if not isinstance(run, Run) or run.terms is None:
        return ()
    tuning = NAMED.get(record.policy)
    arms = (run.profile,) if tuning is None else record.arms
    return alternatives(arms, record.tickets, record.outlook, record.at_s, tuning or DEFAULT)


def line(family: str, record: Record) -> str:
    """One decision in one line."""
    seen = f"{record.waiting} waiting, {record.outlook.rate_rps:.0f} rps forecast"
    dropped = f"dropped {len(record.decision.dropped)}"
    match record.decision:
        case Run() as run:
            what = f"{run.rows} rows on {run.profile.arm.variant} ({run.reason})"
            price = f", price {run.terms.price:.2g} acc/s" if run.terms else ""
            return f"{family}: {what}: {seen}{price}{_next_best(run, record)}; {dropped}"
        case WaitUntil(at_s):
            return f"{family}: wait {(at_s - record.at_s) * 1e3:.1f} ms: {seen}; {dropped}"
        case Idle():
            return f"{family}: idle: {seen}; {dropped}"


def _next_best(run: Run, record: Record) -> str:
    """The best step on another variant, if one was in time: that another size comes close says little."""
    taken = run.profile.arm.variant
    best = next((c for c in weighed(record) if c.in_time and c.variant != taken), None)
    return "" if best is None else f"; next best {best.variant} x {best.rows}"


class DecisionLog(threading.Thread):
    """Logs each family's latest decision, if it is a new one, every `every_s`. Off the path of requests.

    `journals`: those of the families that serve now, by name.
    """

    def __init__(self, journals: Callable[[], Mapping[str, Journal]], every_s: float) -> None:
        super().__init__(name="decision-log", daemon=True)
        self._journals = journals
        self._every_s = every_s
        self._stop = threading.Event()

    def run(self) -> None:
        """Log until stopped."""
        shown: dict[str, Record] = {}
        while not self._stop.wait(self._every_s):
            for family, journal in self._journals().items():
                for record in journal.last(1):
                    if shown.get(family) is not record:
                        shown[family] = record
                        _log.info("%s", line(family, record))

    def stop(self) -> None:
        """Log no more."""
        self._stop.set()
