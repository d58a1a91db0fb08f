"""What an operator decides about a share."""

from dataclasses import dataclass

from server.sharing.planner.workload import Objective

HUNG_S = 10.0


@dataclass(frozen=True, slots=True)
class ShareLimits:
    """Within what a share plans and runs."""

    budget_s: float
    """Device seconds a second, for all streams together; one worker has no more than 1."""
    rates_fps: tuple[float, ...]
    """Frames a second that a task may be run at, ascending; those above a package's stream rate are left out."""
    objective: Objective = "mean"
    x_votes: tuple[int, ...] = (1,)
    late_s: float = 0.2
    """A frame of a "drop" stream that has waited longer is dropped."""
    queue_frames: int = 16
    """Frames of one stream that may wait."""
    max_batch: int = 8
    """Frames that run together."""
    hung_s: float = HUNG_S
    """A call of a network that takes longer will not come back: heads take milliseconds."""
