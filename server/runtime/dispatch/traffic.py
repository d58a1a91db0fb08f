"""What came and how it fared: the shell's knowledge that a policy is told beside its queue."""

from collections.abc import Sequence

from server.policy.decision import Arm, Finished, Outlook
from server.policy.queueing import forecast
from server.policy.queueing.standing import Standing
from server.runtime.dispatch.jobs import Job
from server.runtime.dispatch.limits import Limits


class Traffic:
    """Written and read under the dispatcher's lock, but for `standing`'s ends."""

    def __init__(self, limits: Limits) -> None:
        self.arrived = 0
        """Rows offered since the start."""
        self.standing = Standing(
            limits.weights, limits.percentile, limits.slo_s, limits.min_accuracy
        )
        self.workers = limits.workers
        self._arrivals = forecast.Arrivals(limits.slo_s)

    def came(self, job: Job, now_s: float, pace_s: float, *, hopeless: bool = False) -> None:
        """A request was offered; all workers do a row in `pace_s` (s) at best.

        What is `hopeless`, nobody could serve: unless it is promised, it takes nobody's time and says nothing.
        """
        rows = job.units
        self.arrived += rows
        if hopeless and not says_something(self.standing, job):
            return
        if is_promised(self.standing, job):
            self.standing.offered(rows, now_s, pace_s)
        else:
            self.standing.asked(rows, job.deadline_s - job.arrival_s, job.slo_class, now_s)
        self._arrivals = forecast.observe(self._arrivals, rows, now_s)

    def came_together(self, jobs: Sequence[Job], now_s: float, pace_s: float) -> None:
        """`came` of jobs that are let in and ask for the same accuracy and variant."""
        standing, counts = self.standing, [job.units for job in jobs]
        self.arrived += sum(counts)
        from_s = standing.promised_from_s(jobs[0].min_accuracy, jobs[0].variant)
        promised: list[int] = []
        for job, rows in zip(jobs, counts, strict=True):
            bound_s = job.deadline_s - job.arrival_s
            if bound_s >= from_s:
                promised.append(rows)
            else:
                standing.asked(rows, bound_s, job.slo_class, now_s)
        if promised:
            standing.offered_together(promised, now_s, pace_s)
        self._arrivals = forecast.observe_together(self._arrivals, counts, now_s)

    def missed(self, job: Job, *, refused: bool = False) -> None:
        """A job will not be answered in time. `refused`: it never had a chance; many rows may never have been possible.

        Nothing is said by what nobody could serve, unless it is promised.
        """
        promised = not (refused and job.rows > 1) and is_promised(self.standing, job)
        self.standing.ended(job.slo_class, in_time=False, promised=promised)

    def missed_once(self, job: Job) -> None:
        """The same of a job that waited, or of the whole that it is a piece of."""
        whole = job if job.part_of is None else job.part_of.job
        if not whole.missed:
            self.missed(whole)
        job.missed = whole.missed = True

    def rate_rps(self, now_s: float) -> float:
        """Rows a second expected soon."""
        return forecast.rate_rps(self._arrivals, now_s)

    def outlook(
        self,
        finished: tuple[Finished, ...],
        now_s: float,
        last: Arm | None = None,
        busy_s: float = 0.0,
    ) -> Outlook:
        """What the policy is told; `finished`: the batches since it was last asked, `last`: what its worker ran.

        `busy_s`: how long (s) the batches that run are expected to go on, added up.
        """
        return Outlook(
            self.rate_rps(now_s),
            self.workers,
            self.arrived,
            finished,
            self.standing.values(now_s),
            forecast.clump_rows(self._arrivals),
            forecast.burst_rows(self._arrivals),
            self.standing.caution,
            self.standing.boldness,
            last,
            self.standing.haste(now_s),
            busy_s,
        )


def says_something(standing: Standing, job: Job) -> bool:
    """Whether it counts that a job was refused which nobody could serve: it asks for what the SLO says, and one row."""
    return job.rows == 1 and is_promised(standing, job)


def is_promised(standing: Standing, job: Job) -> bool:
    """Whether the job asks for no more than the SLO says."""
    return standing.is_promised(job.deadline_s - job.arrival_s, job.min_accuracy, job.variant)
