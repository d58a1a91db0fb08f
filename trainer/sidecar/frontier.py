"""What a server knows of a family's variants and of how its requests fare: asked over gRPC, or read from a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from surroundings.addresses import target
from trainer.errors import TrainError
from wire import control_pb2 as pb

PENDING = frozenset({"profiling", "trial"})
"""States of a candidate that the server has not decided on yet."""
SERVING = "serving"
DROPPED = frozenset({"rejected", "rolled_back"})

_PATIENCE_S = 5.0
"""For one question, connecting included."""
_SERVICE = "/gearshift.v1.Control/"
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]


_Answer = TypeVar("_Answer", bound=Message)


class NoServer(TrainError):
    """Nobody answers there now, or not about this family: it may be different in a while."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A variant as the server sees it; `latency_s`: mean time of a batch by its rows, empty where no arm is open."""

    name: str
    accuracy: float
    origin: str
    state: str
    reason: str
    latency_s: dict[int, float]


@dataclass(frozen=True, slots=True)
class Region:
    """Requests of late with a latency bound of about `bound_s`; `effective_accuracy` is the mean of answers in time."""

    bound_s: float
    offered: int
    in_time: int
    effective_accuracy: float


@dataclass(frozen=True, slots=True)
class Frontier:
    """All of it, at one moment. `window_s` is what "of late" means; `workers` run batches side by side."""

    variants: tuple[Standing, ...]
    regions: tuple[Region, ...]
    window_s: float
    workers: int = 1

    def standing(self, name: str) -> Standing | None:
        """Of the variant of that name; None where the server does not know it (yet)."""
        return next((one for one in self.variants if one.name == name), None)


def ask(server: str, family: str) -> Frontier:
    """The frontier of `family` at the gRPC address `server`.

    Raises NoServer where nobody answers now, or not about this family; TrainError for a server too old to be asked.
    """
    try:
        with grpc.insecure_channel(target(server), options=_OPTIONS) as channel:
            asked = pb.GetFrontierRequest(family=family)
            answer = _call(channel, "GetFrontier", asked, pb.GetFrontierResponse)
            about_plan = pb.GetPlanRequest(family=family)
            plans = _call(channel, "GetPlan", about_plan, pb.GetPlanResponse).plans
    except grpc.RpcError as error:
        raise _why(error, server, family) from None
    return _frontier(answer, max(1, plans[0].load.workers) if plans else 1)


def read(path: Path) -> Frontier:
    """The frontier in a JSON file: a GetFrontierResponse as grpcurl prints it, and `workers` (1). Raises TrainError."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
        answer = pb.GetFrontierResponse()
        json_format.ParseDict(content, answer, ignore_unknown_fields=True)
        workers = int(content.get("workers", 1))
    except (OSError, ValueError, TypeError, AttributeError, json_format.ParseError) as error:
        raise TrainError(
            f"{path} is no frontier: {error}; write what gearshift.v1.Control/GetFrontier answers, as JSON"
        ) from error
    return _frontier(answer, max(1, workers))


def _frontier(answer: pb.GetFrontierResponse, workers: int) -> Frontier:
    return Frontier(
        tuple(_standing(one) for one in answer.variants),
        tuple(_region(one) for one in answer.regions),
        answer.window_s,
        workers,
    )


def _standing(one: pb.VariantStanding) -> Standing:
    latency_s = {size.rows: size.mean_ms / 1e3 for size in one.latency}
    return Standing(one.name, one.accuracy, one.origin, one.state, one.reason, latency_s)


def _region(one: pb.Region) -> Region:
    return Region(one.slo_ms / 1e3, one.offered, one.in_time, one.effective_accuracy)


def _call(channel: grpc.Channel, method: str, request: Message, answer: type[_Answer]) -> _Answer:
    call = channel.unary_unary(
        _SERVICE + method,
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return call(request, timeout=_PATIENCE_S)


def _why(error: grpc.RpcError, server: str, family: str) -> TrainError:
    call: Any = error  # an RpcError of a call is a Call too; grpc's types do not say so
    code, details = call.code(), call.details()
    match code:
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return NoServer(
                f"no server answers at {server} ({details}); start `gearshift serve`, or set key `server` in [sidecar]"
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return NoServer(f"the server at {server} is too busy to be asked: {details}")
        case grpc.StatusCode.NOT_FOUND:
            return NoServer(
                f"the server at {server} does not serve {family}: {details}; start it anew with the repository that "
                "has this family"
            )
        case grpc.StatusCode.UNIMPLEMENTED:
            return TrainError(
                f"the server at {server} tells no frontier; it is older than this command: update it"
            )
        case _:
            return TrainError(f"the server at {server} says {code.name}: {details}")
