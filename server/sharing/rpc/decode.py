"""Openings, frames and labels: protobuf -> domain. Every check of a frame happens here, before it may join a batch."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np

from models.stems.package import Base
from server.errors import BadInput
from server.sharing.runtime.frames import Frame, Late, Pixels
from server.sharing.runtime.reports import WINDOWS
from server.sharing.runtime.views import LabelledWindow
from server.texts import shown
from wire import tasks_pb2 as pb

LEAST_FPS, MOST_FPS = 0.001, 1000.0
"""Frames a second that a stream may be opened with."""
MOST_WINDOWS = WINDOWS
"""In one message of labels: more would push each other out of what is measured."""
_WINDOW_BYTES = 32
_OTHER_BYTES = 64 << 10
_DTYPES = {"UINT8": np.dtype("u1"), "FP32": np.dtype("<f4")}
_LATE: tuple[Late, ...] = get_args(Late)


@dataclass(frozen=True, slots=True)
class Opened:
    """How a stream is to be: its rate, what becomes of late frames, how many may be unanswered (0: any number)."""

    fps: float
    late: Late
    max_in_flight: int


def most_bytes(base: Base) -> int:
    """The largest message of a stream: a frame as FP32 and a quarter more, or labels for the most windows."""
    return max(math.prod(base.shape) * 5, MOST_WINDOWS * _WINDOW_BYTES) + _OTHER_BYTES


def opening(message: pb.Opening, usual_fps: float) -> Opened:
    """The stream that a client asks for. Raises BadInput."""
    fps = message.fps or usual_fps
    if not LEAST_FPS <= fps <= MOST_FPS:
        raise BadInput(
            f"opening: fps {message.fps:g} is not between {LEAST_FPS:g} and {MOST_FPS:g}"
        )
    late = message.late or "drop"
    if late not in _LATE:
        raise BadInput(f"opening: late is '{shown(message.late)}'; expected {' or '.join(_LATE)}")
    if message.max_in_flight < 0:
        raise BadInput(f"opening: max_in_flight {message.max_in_flight} is below 0")
    return Opened(fps, late, message.max_in_flight)


def frame(message: pb.StreamFrame, base: Base, *, finite: bool) -> Frame:
    """One frame, its pixels a read-only view of the message's. Raises BadInput, naming expected and got."""
    arrived_s = time.monotonic()
    pixels = _pixels(message, base, finite=finite)
    if message.HasField("captured_unix_ms"):
        arrived_s -= _age_s(message.captured_unix_ms)
    return Frame(message.frame_id, pixels, arrived_s)


def labels(message: pb.Labels) -> tuple[LabelledWindow, ...]:
    """What a client says of its frames. Raises BadInput where it says nothing, or too much at once."""
    count = len(message.windows)
    if not 0 < count <= MOST_WINDOWS:
        raise BadInput(
            f"labels of task '{shown(message.task)}' name {count or 'no'} window(s); send 1 to {MOST_WINDOWS} a message"
        )
    return tuple(LabelledWindow(w.first_frame, w.last_frame, w.event) for w in message.windows)


def _pixels(message: pb.StreamFrame, base: Base, *, finite: bool) -> Pixels:
    kind = message.datatype or "UINT8"
    dtype = _DTYPES.get(kind)
    if dtype is None:
        raise BadInput(f"frame's data-type is '{shown(kind)}'; expected {' or '.join(_DTYPES)}")
    shape = tuple(message.shape[: len(base.shape) + 1])  # however many there are
    if shape and shape != base.shape:
        raise BadInput(
            f"unexpected shape of a frame for base '{base.name}'. "
            f"Expected {_text(base.shape)}, got {_text(shape)}"
        )
    expected = math.prod(base.shape) * dtype.itemsize
    if len(message.pixels) != expected:
        raise BadInput(
            f"frame byte size mismatch for base '{base.name}': {_text(base.shape)} {kind}. "
            f"Expected {expected}, got {len(message.pixels)}"
        )
    pixels = np.frombuffer(message.pixels, dtype).reshape(base.shape)
    if finite and kind == "FP32" and not np.isfinite(pixels).all():
        raise BadInput(
            f"frame for base '{base.name}' holds NaN or infinite values; expected 0 to 255"
        )
    return pixels


def _age_s(captured_unix_ms: float) -> float:
    age_s = time.time() - captured_unix_ms / 1e3
    if not math.isfinite(age_s):
        raise BadInput(f"captured_unix_ms {captured_unix_ms} is no time")
    return max(0.0, age_s)


def _text(shape: Iterable[int]) -> str:
    return "[" + ",".join(str(n) for n in shape) + "]"
