"""Control of what is in service: tasks, costs, budget. Every change is planned, loaded and measured, then swapped in.

The swap is one assignment; a change that fails on the way leaves everything as it was.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace

from models.backends.base import BackendError
from models.stems.package import Package, SharedTask
from server.errors import RequestError, TaskPresent, UnknownTask
from server.sharing.control.in_service import InService
from server.sharing.control.limits import ShareLimits
from server.sharing.control.loading import (
    points_of,
    reporting,
    same_base,
    task_in,
    together_with,
    too_small,
)
from server.sharing.control.planning import planned, planned_beyond
from server.sharing.control.pricing import BATCHES, STEM_S, TASK_S, Gauge, MeasuringBudget
from server.sharing.planner import costing
from server.sharing.planner.plan import Infeasible, Plan
from server.sharing.planner.workload import NetworkCosts
from server.sharing.runtime.device import Device
from server.sharing.runtime.networks import Networks, Source
from server.sharing.runtime.program import Program
from server.sharing.runtime.views import ReplanReason
from server.sharing.runtime.worker import FrameWorkerContext
from server.texts import shown

_log = logging.getLogger(__name__)

SEARCH_S = 0.3
"""For one plan: adding a task must not take a second, and its heads are measured too."""


class ShareControl:
    """One change at a time, on the thread that asks for it."""

    def __init__(self, source: Source, setup: ShareLimits, context: FrameWorkerContext) -> None:
        self._source = source
        self._context = context
        self._turns = threading.RLock()
        self._device = Device(context, setup.hung_s)
        self._gauge = Gauge(context.program.package.base, self._device.turn, context.clock)
        networks, package = context.program.networks, context.program.package
        with reporting("the stem"):
            stem_s = self._gauge.stem(networks, MeasuringBudget(BATCHES, STEM_S))
        self.in_service = InService(networks, package, (), costing.measured(stem_s, {}), setup)
        self._tidied = self.in_service

    def add(self, name: str) -> Plan:
        """See `Share.add_task`."""
        with self._turns:
            now, package = self._now, self._read()
            task = task_in(package, name)
            if name not in now.tasks:
                tasks = (*now.tasks, name)
                return self._with(package, replace(now, tasks=tasks), (task,), "task_added")
            if task == task_in(now.package, name):
                raise TaskPresent(f"task '{shown(name)}' is in service already, as it is on disk")
            return self._with(package, now, (task,), "task_upgraded")

    def upgrade(self) -> Plan:
        """See `Share.upgrade`."""
        with self._turns:
            now, package = self._now, self._read()
            old = {task.name: task for task in now.package.tasks}
            changed = [t for t in package.tasks if t.name in now.tasks and t != old[t.name]]
            return self._with(package, now, changed, "task_upgraded") if changed else now.plan

    def remove(self, name: str) -> Plan:
        """See `Share.remove_task`."""
        with self._turns:
            now = self._now
            if name not in now.tasks:
                raise UnknownTask(f"task '{shown(name)}' is not in service; {list(now.tasks)} are")
            tasks = tuple(task for task in now.tasks if task != name)
            left = replace(now.forgetting(name), tasks=tasks)
            plan = self._replan(left, "task_removed", must_fit=False)
            if self._device.settled():
                now.networks.drop(name)
            self._context.reports.forget_task(name)
            return plan

    def budget(self, budget_s: float) -> Plan:
        """See `Share.set_budget`."""
        with self._turns:
            now = self._now
            wanted = replace(now, setup=replace(now.setup, budget_s=budget_s))
            return self._replan(wanted, "budget_set", must_fit=True)

    def admit(self, fps: float) -> None:
        """Plan for one stream more. Raises BudgetTooSmall. To be called with `turn` held."""
        now = self._now
        more = replace(now, streams_fps=(*now.streams_fps, fps))
        self._replan(more, "stream_opened", must_fit=True)

    def left(self) -> None:
        """Plan for the streams that are still open."""
        with self._turns:
            if sorted(self._now.streams_fps) != sorted(self.in_service.streams_fps):
                self._replan(self._now, "stream_closed", must_fit=False)

    @property
    def _now(self) -> InService:
        """With the streams that are open now: one may have closed since the last plan."""
        return replace(self.in_service, streams_fps=self._context.streams.rates_fps())

    def turn(self) -> threading.RLock:
        """Held for as long as nothing else may change."""
        return self._turns

    def recalibrate(self, costs: NetworkCosts) -> None:
        """These are what parts cost now."""
        with self._turns:
            was_over = self.in_service.over_budget
            self._replan(self._now.costing(costs), "costs_moved", must_fit=False)
            if self.in_service.over_budget and not was_over:
                _log.warning("shared tasks cost more than their budget, however they are planned")

    def shelve(self, task: str, text: str) -> None:
        """Run a task's heads no more: they do not come back."""
        with self._turns:
            if task in self.in_service.tasks:
                shelved = self.in_service.shelved | {task: text}
                self._swap(replace(self.in_service, shelved=shelved))

    def close(self) -> None:
        """End the thread that networks are timed on, after the change that is under way."""
        with self._turns:
            self._device.close()

    def tidy(self) -> None:
        """What a swap has left for later: cut the stem at the plan's points only, fuse heads where that pays."""
        with self._turns:
            now = self.in_service
            if now is self._tidied or not self._device.settled():
                return
            self._tidied = now  # once: what fails now would fail again
            with reporting("the stem"):
                self._device.loaded(lambda: now.networks.cut(points_of(now.plan)))
            fused = {frozen: self._fused(now, frozen) for frozen in points_of(now.plan)}
            self._context.program = Program(now.plan, now.package, now.networks, fused, now.shelved)

    def _fused(self, now: InService, frozen: int) -> list[tuple[str, ...]]:
        """Tasks at a point that are always due together, and faster so."""
        there = [c for c in now.plan.choices if c.frozen == frozen and c.task not in now.shelved]
        rates = {c.task: c.rate_fps for c in there}
        groups = [tuple(t for t in rates if rates[t] == rate) for rate in set(rates.values())]
        return [
            group for group in groups if len(group) > 1 and self._pays(now.networks, frozen, group)
        ]

    def _pays(self, networks: Networks, frozen: int, group: tuple[str, ...]) -> bool:
        """Not where one of them fails or hangs: that is the worker's to tell, frame by frame."""
        batch = self._context.ledger.typical_batch()
        try:
            fuses = self._device.loaded(lambda: networks.fuses(frozen, group))
            return fuses and self._gauge.fusing_pays(networks, frozen, group, batch)
        except BackendError as error:
            _log.warning("heads of %s at %d run one by one: %s", list(group), frozen, error)
            return False

    def _with(
        self, package: Package, now: InService, changed: Sequence[SharedTask], reason: ReplanReason
    ) -> Plan:
        """`now`, with tasks as they are in `package`; those that changed are measured and start afresh."""
        names = [task.name for task in changed]
        kept = [task for task in self.in_service.serving if task.name not in names]
        package = together_with(package, kept)
        try:
            with reporting(f"task '{names[0]}'"):
                networks = self._source.open(package)
                now = replace(now.forgetting(*names), networks=networks, package=package)
                for task in changed:
                    heads = dict(now.costs.heads) | self._measured(networks, task)
                    now = replace(now, costs=NetworkCosts(now.costs.stem, heads))
            plan = self._replan(now, reason, must_fit=True)
        except RequestError:
            for name in set(names) - set(self.in_service.tasks):
                self.in_service.networks.drop(name)
            raise
        for name in names:
            self._context.reports.forget_task(name)
        return plan

    def _measured(self, networks: Networks, task: SharedTask) -> dict[tuple[str, int], float]:
        for head in task.heads:
            self._device.loaded(lambda head=head: networks.ready([(task.name, head.frozen)]))
        stem_s = self.in_service.costs.stem
        by_point = self._gauge.task(networks, task, MeasuringBudget(BATCHES, TASK_S), stem_s)
        heads_s = {(task.name, frozen): took_s for frozen, took_s in by_point.items()}
        return dict(costing.measured({}, heads_s, self._context.ledger.typical_batch()).heads)

    def _replan(self, now: InService, reason: ReplanReason, *, must_fit: bool) -> Plan:
        """Plan for `now` and swap. Raises BudgetTooSmall where it `must_fit` and does not."""
        begun_s = self._context.clock()

        def keep_going() -> bool:
            return self._context.clock() < begun_s + SEARCH_S

        try:
            search = planned if must_fit else planned_beyond
            plan = search(now.situation, self.in_service.plan, keep_going)
        except Infeasible as error:
            raise too_small(now.situation, error) from error
        self._swap(replace(now, plan=plan))
        self._context.ledger.replanned(reason)
        self._context.meter.replanned(reason, plan, self._context.clock() - begun_s)
        return plan

    def _swap(self, now: InService) -> None:
        cuts = [(choice.task, choice.frozen) for choice in now.plan.choices]
        with reporting("a head"):
            self._device.loaded(lambda: now.networks.ready(cuts))
            self._device.loaded(lambda: now.networks.warm(points_of(now.plan)))
        program = Program(now.plan, now.package, now.networks, shelved=now.shelved)
        self._context.program, self.in_service = program, now
        self._context.ledger.restart(self._context.clock())

    def _read(self) -> Package:
        """What is on disk. Raises NotReady where its base is not the one that is served."""
        with reporting("the task package"):
            return same_base(self._source.read(), self.in_service.package)
