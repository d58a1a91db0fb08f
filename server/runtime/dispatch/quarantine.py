"""Keeps a family's quarantine: feeds the pure rules, says what they decide in the log and the metrics, passes it on."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from math import isfinite

from server.metrics import FamilyMetrics
from server.policy.arms import quarantine as rules
from server.policy.arms import telling
from server.policy.arms.incidents import Back, Event, Free, Out, Returned, RunCanary, Stay, Verdict
from server.policy.decision import Arm, ArmProfile
from server.runtime.dispatch.running import CanaryRun

_log = logging.getLogger(__name__)

_REASONS = {
    "failed": "a batch failed on it, and so did known-good input",
    "flaky": "batches fail on it whose requests pass one by one",
    "slow": "batches took many times their prediction and half of their time to answer, and others are not late",
    "overdue": "a batch runs for many times its prediction and half of its time to answer, and others are not late",
    "hung": "a batch does not return",
}


class Quarantine:
    """Which arms are out of use. Any thread may tell what befell an arm. `slo_s`: the family's latency bound.

    `changed` is called, without the lock, when the arms in use are others than before, or a probe is due that was not.
    """

    def __init__(
        self, family: str, metrics: FamilyMetrics, changed: Callable[[], None], slo_s: float
    ) -> None:
        self._family = family
        self._metrics = metrics
        self._changed = changed
        self._heard: Callable[[Out | Stay], None] = _unheard
        self._lock = threading.Lock()
        self._episodes: dict[Arm, telling.Episodes] = {}
        self.state = rules.Cases(slo_s=slo_s)
        """A value: read it as often as you like."""
        self._due: tuple[object, float] = (None, 0.0)

    def know(self, arms: Iterable[Arm]) -> None:
        """These are the family's arms now."""
        with self._lock:
            self.state = rules.with_arms(self.state, arms)
            known = tuple(self.state.cases)
        for arm in known:
            self._metrics.may_be_quarantined(arm.variant, arm.backend, _REASONS)

    def listen(self, heard: Callable[[Out | Stay], None]) -> None:
        """Let `heard` know of every arm that goes out of use, or stays so after a probe; set once. It must be quick."""
        self._heard = heard

    def is_out(self, arm: Arm) -> bool:
        """Whether `arm` is out of use now."""
        case = self.state.cases.get(arm)
        return case is not None and bool(case.reason)

    def tell(self, event: Event) -> None:
        """Something befell an arm; when this returns, the dispatcher has been told what follows."""
        verdicts = self._step(event)
        for verdict in verdicts:
            self._announce(verdict)
            if isinstance(verdict, Out | Stay):
                self._heard(verdict)
        if isinstance(event, Returned) or any(isinstance(v, Out | Back) for v in verdicts):
            self._changed()

    def canary(self, arms: Iterable[ArmProfile], *, waiting: bool) -> CanaryRun | None:
        """The one of `arms` that the calling worker is to probe now; `waiting`: requests wait for the worker."""
        if self._due_s() > time.monotonic():
            return None
        verdicts = self._step(Free(waiting))
        arm = next((v.arm for v in verdicts if isinstance(v, RunCanary)), None)
        return next((CanaryRun(profile) for profile in arms if profile.arm == arm), None)

    def until_trial_s(self, wait_s: float | None) -> float | None:
        """How long an idle worker may sleep that has `wait_s` by itself; None: until it is woken."""
        due_s = self._due_s()
        if not isfinite(due_s):
            return wait_s
        trial_s = max(0.0, due_s - time.monotonic())
        return trial_s if wait_s is None else min(wait_s, trial_s)

    def _due_s(self) -> float:
        """When the next probe is due; found anew where a case has changed, as it is asked before every batch."""
        state, (cases, due_s) = self.state, self._due
        if state.cases is not cases:
            due_s = rules.next_due_s(state)
            self._due = (state.cases, due_s)
        return due_s

    def _step(self, event: Event) -> tuple[Verdict, ...]:
        with self._lock:
            self.state, verdicts = rules.step(self.state, event, time.monotonic())
        return verdicts

    def _announce(self, verdict: Verdict) -> None:
        state = self.state
        self._metrics.quarantined(len(rules.out(state)))
        if isinstance(verdict, Out):
            self._metrics.quarantine(verdict.arm.variant, verdict.arm.backend, verdict.reason)
        with self._lock:
            before = self._episodes.get(verdict.arm, telling.Episodes())
            self._episodes[verdict.arm], is_news = telling.step(before, verdict, time.monotonic())
        if is_news:
            self._say(verdict, before)

    def _say(self, verdict: Verdict, before: telling.Episodes) -> None:
        state, now_s = self.state, time.monotonic()
        left = len(state.cases) - len(rules.out(state))
        match verdict:
            case Out(arm, reason, until_s):
                text = (
                    "%s: %s is out of use: %s; %d other arms go on, it is tried again in %.1f s%s"
                )
                more = f" ({before.unsaid} times more since that was last said)"
                again = (text, self._family, _named(arm), _REASONS[reason], left, until_s - now_s)
                _log.warning(*again, more if before.unsaid else "")
            case Stay(arm, reason, until_s):
                text = "%s: %s stays out of use (%s): its probes are bad since %.1f s; it is tried again in %.1f s"
                out_s = now_s - before.out_s
                _log.warning(text, self._family, _named(arm), reason, out_s, until_s - now_s)
            case Back(arm, out_s):
                text = "%s: %s is in use again after %.1f s"
                _log.info(text, self._family, _named(arm), out_s)
            case RunCanary():
                pass


def _named(arm: Arm) -> str:
    return f"{arm.variant} on {arm.backend} ({arm.device})"


def _unheard(_verdict: Out | Stay) -> None:
    pass
