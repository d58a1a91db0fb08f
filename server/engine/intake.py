"""A front's way into the engine: requests are checked as they come, handed on together, and answered in batches."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from math import inf, isfinite, isnan

from server.engine.checking.checks import Checked
from server.engine.delivery import WayBack, let_go, release, way_back
from server.engine.plain import Plain
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Deliver, Request, Scalar
from server.errors import BadInput, RequestError
from server.runtime.dispatch import jobs
from server.runtime.dispatch.jobs import Job, Loan

NOTHING: Mapping[str, Scalar | None] = {}
"""No parameters."""


class Intake:
    """One front's. `deliver` is given the answers; `also` is what it checks itself of a good request, by raising
    RequestError. `collect`, `flush` and `cancel` are for one thread, the front's own; the rest is for any.
    Whom a request was checked for has it, and answers it, whatever `families` are by then."""

    def __init__(
        self,
        families: Mapping[str, ServedFamily],
        unserved: Unserved,
        deliver: Deliver,
        also: Callable[[Request, Checked, ServedFamily], None] | None = None,
    ) -> None:
        self._families = families
        self._unserved = unserved
        self._deliver = deliver
        self._also = also
        self._collected: dict[ServedFamily, list[Job]] = {}

    def check(self, request: Request, to: Deliver | None = None) -> Job:
        """The request, good to be collected or submitted; `to`: who is given its answer, if it is not the front.

        Raises RequestError; its inputs are released then.
        """
        try:
            return self._job(request, self.family(request.model), to or self._deliver)
        except BaseException as error:
            if isinstance(error, RequestError):
                self.refused(request.model)
            release(request)
            raise

    def current(self, job: Job) -> Job:
        """The job, checked anew where another family has the name by now: that of one that goes would be refused.

        Raises RequestError as `check` does.
        """
        origin = way_back(job)
        now = self._families.get(origin.request.model)
        if now is None or now is origin.family:
            return job
        return self.check(origin.request, origin.deliver)

    def family(self, model: str) -> ServedFamily:
        """The family of this name. Raises UnknownModel, or NotReady for one that cannot be served."""
        family = None if model in self._unserved else self._families.get(model)
        if family is None:
            raise self._unserved.error(model)
        return family

    def plain(
        self,
        model: str,
        to: jobs.Deliver,
        parameters: Mapping[str, Scalar | None] = NOTHING,
        version: str = "",
    ) -> Plain | None:
        """The way in for requests that make this demand and that the front checks itself; None where sizes are free.

        Raises as `check` does.
        """
        family = self.family(model)
        demand = family.checks.demand(parameters, version)
        return None if family.family.sizes else Plain(family, self._families, demand, to)

    def refused(self, model: str) -> None:
        """A request for this model was bad: count it, where there is such a family."""
        family = self._families.get(model)
        if model not in self._unserved and family is not None:
            family.metrics.unrun("default", "invalid")

    def collect(self, job: Job) -> None:
        """Have it handed on with others, by `flush`."""
        self._collected.setdefault(way_back(job).family, []).append(job)

    def flush(self) -> None:
        """Hand on what was collected."""
        if self._collected:
            collected, self._collected = self._collected, {}
            for family, waiting in collected.items():
                family.dispatcher.submit(waiting)

    def submit(self, job: Job) -> None:
        """Hand on at once. Where it is refused, its answer has been delivered when this returns."""
        way_back(job).family.dispatcher.submit([job])

    def cancel(self, job: Job) -> bool:
        """No answer is wanted any more. False where it runs already or was answered: one comes, or came."""
        family = way_back(job).family
        waiting = self._collected.get(family, [])
        if job not in waiting:
            return self.withdraw(job)
        waiting.remove(job)
        family.metrics.unrun(job.slo_class, "cancelled")
        let_go(job)
        return True

    def withdraw(self, job: Job) -> bool:
        """`cancel` of a request that was handed on. Any thread."""
        if not way_back(job).family.dispatcher.cancel(job):
            return False
        let_go(job)
        return True

    def _job(self, request: Request, family: ServedFamily, to: Deliver) -> Job:
        """Its bounds count from when its message came, but for its client's own deadline."""
        checked = family.checks.check(request)
        if self._also is not None:
            self._also(request, checked, family)
        demand = checked.demand
        arrival_s = time.monotonic() if request.arrival_s is None else request.arrival_s
        if not isfinite(arrival_s) or isnan(request.deadline_s or 0.0):
            raise BadInput(
                "arrival_s must be finite, and deadline_s a moment, on time.monotonic's clock"
            )
        deadline_s = arrival_s + min(demand.slo.latency_s, demand.timeout_s or inf)
        if request.deadline_s is not None:
            deadline_s = min(deadline_s, request.deadline_s)
        return Job(
            checked.inputs,
            checked.rows,
            arrival_s,
            deadline_s,
            demand.slo.min_accuracy,
            demand.variant,
            demand.slo.name,
            WayBack(request, family, checked.outputs, to),
            loan=None if request.release is None else Loan(partial(release, request)),
            row_units=checked.row_units,
            sizes=checked.sizes,
            soft=demand.soft and request.deadline_s is None,
        )
