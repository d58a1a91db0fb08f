"""What becomes of jobs, in words: the error for one that is refused or dropped, the record for one that was run."""

from server.errors import BadInput, DeadlineMissed, NotReady, Overloaded, RequestError
from server.metrics import Served
from server.policy.admission import Refuse
from server.policy.decision import Drop
from server.runtime.jobs import Answer, Batch, Job

_REFUSALS: dict[str, type[RequestError]] = {
    "full": Overloaded,
    "overloaded": Overloaded,
    "late": DeadlineMissed,
    "too_large": BadInput,  # more rows than this hardware was measured with
    "unservable": NotReady,  # what no arm of the family could ever serve was refused as bad input before
}
_OUTCOMES: dict[type[RequestError], str] = {
    Overloaded: "shed",
    DeadlineMissed: "expired",
    NotReady: "not_ready",
}


def refusal(family: str, refused: Refuse) -> RequestError:
    """The answer to a job that may not wait."""
    text = f"model '{family}': {refused.message}{_hint(refused.retry_s)}"
    return _REFUSALS[refused.reason](text, refused.retry_s)


def dropped(family: str, drop: Drop, job: Job, now_s: float, retry_s: float | None) -> Answer:
    """The answer to a job that waited in vain. `retry_s`: when (s) the rest of the queue can be done."""
    waited_ms = (now_s - job.arrival_s) * 1e3
    allowed_ms = (job.deadline_s - job.arrival_s) * 1e3
    if drop.reason == "late":
        text = (
            f"model '{family}' cannot answer in time: waited {waited_ms:.1f} of {allowed_ms:.1f} ms"
        )
        return Answer(job, error=DeadlineMissed(text))
    text = (
        f"model '{family}' is overloaded: not every waiting request can be answered within its SLO "
        f"(this one waited {waited_ms:.1f} of {allowed_ms:.1f} ms); "
        f"retry later or allow more time{_hint(retry_s)}"
    )
    return Answer(job, error=Overloaded(text, retry_s))


def outcome(error: RequestError | None) -> str:
    """The metric's label for how a job ended."""
    return _OUTCOMES.get(type(error), "failed") if error is not None else "ok"


def served(answer: Answer, batch: Batch, now_s: float) -> Served:
    """What the metrics keep of an answered job."""
    job = answer.job
    return Served(
        job.slo_class,
        batch.arm.arm.variant,
        job.rows,
        batch.arm.accuracy,
        batch.started_s - job.arrival_s,
        batch.compute_s,
        now_s - job.arrival_s,
        now_s <= job.deadline_s,
    )


def _hint(retry_s: float | None) -> str:
    return "" if retry_s is None else f" (what waits now takes about {retry_s * 1e3:.0f} ms)"
