"""What a stream of frames needs of the service that it belongs to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from models.stems.package import Base
from server.sharing.control.share import Share
from server.sharing.rpc.stalls import Stallable, Stalls


@dataclass(frozen=True, slots=True)
class ServedShare:
    """What is served: the share, the base that its frames are for, and what the operator has decided."""

    share: Share
    base: Base
    stream_fps: float
    queue_frames: int
    """Of one stream, that may wait."""
    finite: bool
    """Frames with NaN or infinite values are refused."""
    is_ready: Callable[[], bool]


class StreamHost(Protocol):
    """What a stream needs of the service that it belongs to."""

    served: ServedShare
    stalls: Stalls

    def between(self, job: Callable[[], None]) -> None:
        """Do what may take a while, on another thread, one job after the other."""
        ...

    def refused(self) -> None:
        """A frame was refused."""
        ...

    def left(self, stream: Stallable) -> None:
        """The stream is over."""
        ...
