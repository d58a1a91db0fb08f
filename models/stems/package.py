"""What a task package holds: one base network, where it may be cut, and tasks with a head for each cut. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A place where the base network may be cut: one tensor, through which everything goes."""

    frozen: int
    """Layers before it: what planners call it by. 0 is the input itself."""
    tensor: str
    shape: tuple[int, ...]
    """Of one frame's activation, without the batch."""
    stem: str
    """Content hash of all that affects the activation: weights, buffers, graph, preparation, dtype; sha256 in hex."""


@dataclass(frozen=True, slots=True)
class Base:
    """The network that all tasks were fine-tuned from. Its artefact is ONNX, FP32 (any, *shape) in."""

    name: str
    shape: tuple[int, ...]
    """Of a frame, such as (1, 28, 28): pixel values 0 to 255; the network prepares them itself."""
    artifact: str
    sha256: str
    points: tuple[Point, ...]
    """By `frozen`, ascending; the first is the input."""


@dataclass(frozen=True, slots=True)
class Head:
    """A task's own layers from one point on: ONNX, the point's activation in, `score` (any,) in [0, 1] out."""

    frozen: int
    stem: str
    """The hash of the point that it was trained behind."""
    artifact: str
    sha256: str
    threshold: float
    """A frame is positive where its score is at least this."""
    true_positive: float
    false_positive: float
    """Of single frames, measured on held-out data, as it is: planners repair what is not monotone."""


@dataclass(frozen=True, slots=True)
class SharedTask:
    """One task: what it looks for and how its events are."""

    name: str
    meaning: str
    event_length_s: float
    event_frequency: float
    correlation: float
    heads: tuple[Head, ...]
    """By `frozen`, ascending."""
    origin: str = ""
    """JSON: data, seed, how the rates were measured."""


@dataclass(frozen=True, slots=True)
class Package:
    """Base and tasks, as they lie in the repository under the base's name."""

    base: Base
    stream_fps: float
    tasks: tuple[SharedTask, ...]
