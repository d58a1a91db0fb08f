"""What a share tells metrics as it happens. This one listens in silence; `server/metrics` knows one that counts."""

from server.sharing.planner.plan import Plan
from server.sharing.runtime.frames import DropReason, Outcome
from server.sharing.runtime.views import ReplanReason


class Meter:
    """Override what is of interest. Called from the share's threads: be quick, do not raise, do not call the share."""

    def frame(self, outcome: Outcome, reason: DropReason | None) -> None:
        """A frame was answered."""

    def stem(self, frames: int, seconds: float) -> None:
        """So many frames went through (part of) the stem together."""

    def task(self, task: str, frames: int, failed: int) -> None:
        """A task's head saw so many frames together; `failed` of them have no score."""

    def head(self, task: str, frames: int, seconds: float) -> None:
        """A task's head took so long for so many frames (its share, where it was fused with others)."""

    def busy(self, seconds: float) -> None:
        """The device was at work for so long: one round of the worker, all included."""

    def replanned(self, reason: ReplanReason, plan: Plan, seconds: float) -> None:
        """The plan was made anew (it may be the same), which took so long."""

    def streams(self, count: int) -> None:
        """So many are open now."""
