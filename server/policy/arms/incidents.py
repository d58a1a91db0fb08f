"""What befalls an arm, and what is to be done about it: the words of server/policy/arms/quarantine.py. Pure values."""

from typing import NamedTuple

from server.policy.decision import Arm


class Ran(NamedTuple):
    """A batch ended. `retried`: it held a job that was tried elsewhere before, so that its input may be to blame.

    `took_s` here and in what follows is the run's own time: without what it is known to have waited for a CPU.
    `bound_s`: the time that the most urgent of its requests may take in all.
    """

    arm: Arm
    predicted_s: float
    took_s: float
    retried: bool = False
    bound_s: float = 0.0


class Failed(NamedTuple):
    """A batch raised an error. `alone`: the canary passed and so did each of its jobs by itself."""

    arm: Arm
    canary_passed: bool
    alone: bool = False


class Overdue(NamedTuple):
    """A run goes on that is slow by now. Where the arm is out afterwards, the shell gives the run up."""

    arm: Arm
    predicted_s: float
    took_s: float
    retried: bool = False
    bound_s: float = 0.0


class Hung(NamedTuple):
    """A run goes on long after it was slow; the shell gives it up."""

    arm: Arm
    retried: bool = False


class Returned(NamedTuple):
    """A run that was given up came back; its arm may be tried again."""

    arm: Arm


class Free(NamedTuple):
    """A worker could probe an arm. `waiting`: requests wait for it."""

    waiting: bool


class Probed(NamedTuple):
    """A probe ended: it raised an error, or took so long."""

    arm: Arm
    ok: bool
    predicted_s: float
    took_s: float


Event = Ran | Failed | Overdue | Hung | Returned | Free | Probed


class Out(NamedTuple):
    """Take the arm out of use. `reason`: `failed`, `flaky`, `slow`, `overdue` or `hung`."""

    arm: Arm
    reason: str
    until_s: float


class Stay(NamedTuple):
    """A probe was bad: the arm stays out."""

    arm: Arm
    reason: str
    until_s: float


class RunCanary(NamedTuple):
    """Run the canary on this arm now and tell."""

    arm: Arm


class Back(NamedTuple):
    """Use the arm again. `out_s`: how long it was out."""

    arm: Arm
    out_s: float


Verdict = Out | Stay | RunCanary | Back
