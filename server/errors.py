"""What can go wrong, in one tree. Layers raise these; only rpc/status.py knows their gRPC codes.

GearshiftError
├── BadConfiguration   the operator's files or flags: exit code 2
└── RequestError       one request's answer
    ├── UnknownModel     no such family or version
    ├── BadInput         the request breaks the family's signature or the protocol
    ├── Unsupported      the protocol allows it, this server does not do it
    ├── Overloaded       not all requests can be answered in time; this one is not run
    ├── DeadlineMissed   this request cannot be (or was not) answered in time
    ├── NotReady         the family is loading, or the server is stopping
    ├── CannotLoad       the family cannot be loaded as it is published, or as it was asked for
    ├── ComputeFailed    the backend failed on it; the cause is in the log
    ├── TooLarge         the message is larger than any that could be served
    ├── UnknownTask      no such task in the package, or not in service
    ├── TaskPresent      the task is in service already, as it is on disk
    ├── UnknownStream    no such stream is open
    ├── BudgetTooSmall   no plan for these tasks and streams fits the device budget
    ├── BadPackage       the task package on disk cannot be used
    ├── NoPackage        this server serves no task package
    ├── UnknownRegion    no shared memory is registered by this name
    └── RegionPresent    shared memory is registered by this name already
"""


class GearshiftError(Exception):
    """Anything this server raises on purpose; the message says what, where and what to do."""


class BadConfiguration(GearshiftError):
    """The configuration, the model repository or the machine does not allow starting."""


class RequestError(GearshiftError):
    """One request's failure, told to its client.

    `retry_s`: after how long (s) the same request may fare better; None where asking again does not help.
    """

    def __init__(self, message: str, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_s = retry_s


class UnknownModel(RequestError):
    """No such family, or no such version of it."""


class BadInput(RequestError):
    """The request breaks the family's signature or the protocol."""


class Unsupported(RequestError):
    """The protocol allows it; this server does not do it."""


class Overloaded(RequestError):
    """Not all waiting requests can be answered in time, and this one was chosen to go."""


class DeadlineMissed(RequestError):
    """The request cannot be answered in time."""


class NotReady(RequestError):
    """The family is still loading, or the server is stopping."""


class CannotLoad(RequestError):
    """The family cannot be loaded as it is published, or as it was asked for."""


class ComputeFailed(RequestError):
    """The backend failed; the cause is in the server's log."""


class TooLarge(RequestError):
    """The message is larger than any that could be served, or packed more tightly than is taken."""


class UnknownTask(RequestError):
    """The package has no such task, or it is not in service."""


class TaskPresent(RequestError):
    """The task is in service already, as it is on disk."""


class UnknownStream(RequestError):
    """No such stream is open."""


class BudgetTooSmall(RequestError):
    """No plan fits: `smallest_s` is the smallest budget (device seconds a second) that has one."""

    def __init__(self, message: str, smallest_s: float) -> None:
        super().__init__(message)
        self.smallest_s = smallest_s


class BadPackage(RequestError):
    """The task package on disk cannot be used: damaged, or its tasks do not fit its base."""


class NoPackage(RequestError):
    """This server serves no task package."""


class UnknownRegion(RequestError):
    """No region of shared memory is registered by this name."""


class RegionPresent(RequestError):
    """A region of shared memory is registered by this name already."""
