"""Answers as futures, for callers in the same process."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from server.engine.values import Answer
from server.runtime.dispatch.jobs import Job


class Pending(Future[Answer]):
    """A request's answer to be. Cancelled while it waits, the request is not run; while it runs, it cannot be."""

    def __init__(self, withdraw: Callable[[Job], bool]) -> None:
        super().__init__()
        self.job: Job | None = None
        """Set once the request is checked; its answer refers back to this."""
        self._withdraw = withdraw

    def cancel(self) -> bool:
        """Whether the request was still waiting, and will not be run."""
        job = self.job
        if job is None or self.done() or not self._withdraw(job):
            return self.cancelled()
        self.job = None
        super().cancel()
        self.set_running_or_notify_cancel()  # who waits for several futures is told
        return True

    def settle(self, answers: Sequence[Answer]) -> None:
        """Take the one answer."""
        (answer,) = answers
        self.job = None
        if answer.error is None:
            self.set_result(answer)
        else:
            self.set_exception(answer.error)
