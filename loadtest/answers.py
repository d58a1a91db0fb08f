"""What the answers of a server say about how they were made."""

from collections.abc import Mapping
from typing import NamedTuple

from wire import inference_pb2 as pb


class Facts(NamedTuple):
    """What an answer says about how it was made; NaN and "" where it says nothing."""

    variant: str
    precision: str
    backend: str
    accuracy: float
    batch_size: float
    queue_s: float
    compute_s: float


def facts(answer: bytes) -> Facts:
    """The response parameters of a serialised ModelInferResponse. Raises DecodeError on anything else."""
    parameters = pb.ModelInferResponse.FromString(answer).parameters
    return Facts(
        _text(parameters, "variant"),
        _text(parameters, "precision"),
        _text(parameters, "backend"),
        _number(parameters, "accuracy"),
        _number(parameters, "batch_size"),
        _number(parameters, "queue_ms") / 1e3,
        _number(parameters, "compute_ms") / 1e3,
    )


def _text(parameters: Mapping[str, pb.InferParameter], name: str) -> str:
    value = parameters.get(name)
    return "" if value is None else value.string_param


def _number(parameters: Mapping[str, pb.InferParameter], name: str) -> float:
    value = parameters.get(name)
    choice = None if value is None else value.WhichOneof("parameter_choice")
    return float("nan") if choice in (None, "string_param") else float(getattr(value, choice))
