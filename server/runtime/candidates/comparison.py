"""Runs a candidate on rows that others have answered, and others on rows that it has, in moments nobody waits for."""

import logging
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.backends.base import BackendError
from models.catalog import Family
from server.policy.arms import probing
from server.policy.arms.quarantine import hung_after_s
from server.policy.candidates.agreement import scores_of
from server.policy.candidates.candidacy import Compared, Event, Timed, Unusable
from server.runtime.candidates.runnable import RunnableArm
from server.runtime.dispatch.dispatcher import Dispatcher
from server.runtime.dispatch.jobs import Arrays
from server.runtime.workers.buffers import checked
from server.runtime.workers.guarded import within
from server.runtime.workers.samples import Sample, Samples, fit_together, top

_log = logging.getLogger(__name__)

MOST_ROWS = 8
"""In one run: small, so that a worker that wants its core waits for little."""
PATIENCE_S = 1.0
"""Rows held so long (s) are run though requests may come: a server that is never idle must come to a verdict too, and a
publisher waits for it, whatever the SLO."""
SHARE = 0.02
"""Of all workers' time, that such runs may take."""


class Comparison:
    """One family's. `turn` takes no longer than one run of each of two arms."""

    def __init__(self, family: Family, dispatcher: Dispatcher, samples: Samples) -> None:
        self._family = family
        self._dispatcher = dispatcher
        self._samples = samples
        self._scores = scores_of(family)
        self._free_s = 0.0

    def turn(self, ours: RunnableArm, references: Sequence[RunnableArm]) -> list[Event]:
        """What live rows tell of `ours`, now; nothing where there are none, or it is no moment for it.

        Where neither `ours` nor one of the `references` has answered the rows, the first reference runs on them too.
        """
        begun_s = time.monotonic()
        oldest = self._samples.oldest()
        if oldest is None or not references or begun_s < self._free_s:
            return []
        holds = min(arm.profile.max_batch for arm in (ours, *references)) // oldest.row_units
        most = max(1, min(MOST_ROWS, holds))
        units = min(most * oldest.row_units, ours.profile.max_batch)
        if not self._may(ours.profile.upper_s[units], begun_s - oldest.taken_s):
            return []
        taken = self._samples.take(most, partial(fit_together, oldest))
        if not taken:
            return []
        arrived = self._dispatcher.load().arrived
        events = self._compared(ours, references, taken)
        if events and isinstance(events[0], Compared) and self._is_quiet(arrived):
            events += self._timed(ours, taken, arrived)
        ended_s = time.monotonic()
        rest_s = (ended_s - begun_s) / (SHARE * self._dispatcher.limits.workers)
        self._free_s = ended_s + rest_s
        return events

    def _compared(
        self, ours: RunnableArm, references: Sequence[RunnableArm], taken: Sequence[Sample]
    ) -> list[Event]:
        answered = next((s for s in references if s.profile.arm == taken[0].arm), None)
        theirs = answered or references[0]
        said = np.concatenate([s.classes for s in taken if s.classes is not None] or [_NO_CLASSES])
        inputs, rows = _together(taken), sum(sample.rows for sample in taken)
        units = _units(taken)
        by_us, by_them = said, said
        if answered is None:
            try:
                by_them = self._run(theirs, inputs, (rows, units))
            except (BackendError, MemoryError):
                return []  # nobody else can say whether these rows can be answered at all
        if taken[0].arm != ours.profile.arm:
            try:
                by_us = self._run(ours, inputs, (rows, units))
            except (BackendError, MemoryError) as error:
                other = theirs.profile.arm.variant
                return [Unusable(f"it failed on live rows that {other} answered: {error}")]
        if self._scores is None:
            return [Compared(rows, None, theirs.claim)]
        agreed = int(((by_us == by_them) & (by_us >= 0)).sum())
        return [Compared(rows, agreed, theirs.claim)]

    def _timed(self, ours: RunnableArm, taken: Sequence[Sample], arrived: int) -> list[Event]:
        """The same again, its caches warm now as in use; forgotten where a request came meanwhile."""
        if ours.foreseen_s is None:
            return []
        inputs, units = _together(taken), _units(taken)
        try:
            _, took_s = _called(ours, inputs, units)
        except (BackendError, MemoryError) as error:
            return [Unusable(f"it failed on live rows that it had answered before: {error}")]
        return [Timed(took_s / ours.foreseen_s(units))] if self._is_quiet(arrived) else []

    def _run(self, arm: RunnableArm, inputs: Arrays, size: tuple[int, int]) -> NDArray[np.intp]:
        """`size`: how many rows, of how much work in all."""
        rows, units = size
        outputs = checked(
            _called(arm, inputs, units)[0], rows, self._family, arm.profile.arm.variant
        )
        return top(outputs[self._scores]) if self._scores else _NO_CLASSES

    def _may(self, takes_s: float, held_s: float) -> bool:
        slack = self._dispatcher.slack(self._family.slo.latency_s)
        quiet = slack.idle and not slack.waiting and probing.risk(slack, takes_s) <= probing.RISK
        return bool(quiet) or held_s >= PATIENCE_S

    def _is_quiet(self, arrived: int) -> bool:
        load = self._dispatcher.load()
        return load.arrived == arrived and not load.running


def _called(arm: RunnableArm, inputs: Arrays, units: int) -> tuple[Arrays, float]:
    """The outputs, and how long (s) the backend took. `units`: how much work that is."""

    def run() -> tuple[Arrays, float]:
        begun_s = time.monotonic()
        outputs = arm.backend.run(inputs)
        return outputs, time.monotonic() - begun_s

    limit_s = hung_after_s(arm.profile.mean_s[min(units, arm.profile.max_batch)])
    return within(limit_s, run, f"a run of {arm.profile.arm.variant}")


def _units(taken: Sequence[Sample]) -> int:
    return sum(sample.rows * sample.row_units for sample in taken)


def _together(taken: Sequence[Sample]) -> Arrays:
    names = taken[0].inputs
    return {name: np.concatenate([sample.inputs[name] for sample in taken]) for name in names}


_NO_CLASSES: NDArray[np.intp] = np.empty(0, np.intp)
