"""What becomes of jobs, in words: the error for one that is refused or dropped, the record for one that was run."""

from collections.abc import Iterable
from math import inf

from server.errors import (
    BadInput,
    ComputeFailed,
    DeadlineMissed,
    NotReady,
    Overloaded,
    RequestError,
)
from server.policy.arms import quarantine
from server.policy.decision import Arm, Drop
from server.policy.queueing.admission import Refuse
from server.runtime.dispatch.jobs import Job, JobAnswer

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
    BadInput: "invalid",
}


def refusal(family: str, refused: Refuse) -> RequestError:
    """The answer to a job that may not wait."""
    text = f"model '{family}': {refused.message}{_hint(refused.retry_s)}"
    if refused.reason == "too_large":
        text = f"inference request batch-size must be <= {refused.most_rows} for '{family}': {refused.message}"
    return _REFUSALS[refused.reason](text, refused.retry_s)


def out_of_use(
    family: str, state: quarantine.Cases, arms: Iterable[Arm], now_s: float
) -> NotReady | None:
    """The answer to a job that needs one of `arms`: which are out of use, until when; None where none of them is."""
    out = quarantine.out(state)
    waits_s = {arm: quarantine.due_s(state, arm) - now_s for arm in arms if arm in out}
    if not waits_s:
        return None
    reasons = "; ".join(
        f"{arm.variant} on {arm.backend} ({arm.device}) {out[arm].reason}, {_again(wait_s)}"
        for arm, wait_s in waits_s.items()
    )
    known_s = [max(0.0, wait_s) for wait_s in waits_s.values() if wait_s < inf]
    text = f"model '{family}': what this request accepts is out of use: {reasons}; retry then, or elsewhere"
    return NotReady(text, min(known_s, default=None))


def let_down(family: str, retries: int) -> ComputeFailed:
    """The answer to a job that failed on arm after arm."""
    return ComputeFailed(
        f"model '{family}': {retries + 1} arms failed on batches with this request; the server's log has the causes"
    )


def dropped(family: str, drop: Drop, job: Job, now_s: float, retry_s: float | None) -> JobAnswer:
    """The answer to a job that waited in vain. `retry_s`: when (s) the rest of the queue can be done."""
    if drop.reason == "late":
        return JobAnswer(job, error=late(family, job, now_s))
    waited_ms, allowed_ms = _waited_ms(job, now_s)
    text = (
        f"model '{family}' is overloaded: not every waiting request can be answered within its SLO "
        f"(this one waited {waited_ms:.1f} of {allowed_ms:.1f} ms); "
        f"retry later or allow more time{_hint(retry_s)}"
    )
    return JobAnswer(job, error=Overloaded(text, retry_s))


def gave_way(family: str, job: Job, now_s: float) -> JobAnswer:
    """The answer to a job whose time was up, and for which there is no more room."""
    waited_ms, allowed_ms = _waited_ms(job, now_s)
    text = (
        f"model '{family}' is overloaded: this request's time was up (it waited {waited_ms:.1f} of {allowed_ms:.1f} "
        "ms), and others need its place in the queue; retry later"
    )
    return JobAnswer(job, error=Overloaded(text, None))


def late(family: str, job: Job, now_s: float) -> DeadlineMissed:
    """The answer to a job whose time is up."""
    waited_ms, allowed_ms = _waited_ms(job, now_s)
    return DeadlineMissed(
        f"model '{family}' cannot answer in time: waited {waited_ms:.1f} of {allowed_ms:.1f} ms"
    )


def outcome(error: RequestError | None) -> str:
    """The metric's label for how a job ended."""
    return _OUTCOMES.get(type(error), "failed") if error is not None else "ok"


def _waited_ms(job: Job, now_s: float) -> tuple[float, float]:
    """(waited so far, allowed)."""
    return (now_s - job.arrival_s) * 1e3, (job.deadline_s - job.arrival_s) * 1e3


def _again(wait_s: float) -> str:
    return (
        f"tried again in {max(0.0, wait_s):.1f} s"
        if wait_s < inf
        else "tried again once a probe ends"
    )


def _hint(retry_s: float | None) -> str:
    return "" if retry_s is None else f" (what waits now takes about {retry_s * 1e3:.0f} ms)"
