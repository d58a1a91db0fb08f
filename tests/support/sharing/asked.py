"""Raw calls of gearshift.v1.Tasks on a server, and what they tell."""

from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import pytest

from tests.support.serving.server import (
    PATIENCE_S,
    Server,
)
from tests.support.sharing.packages import (
    SHAPE,
    flat_frames,
)
from wire import tasks_pb2 as pb

LEVELS = {"a": 0.25, "b": 0.5, "c": 0.75}
SHARED = {"GEARSHIFT__SHARING__PACKAGE": "tiny", "GEARSHIFT__SHARING__TASKS": "a,b"}


def ask(server: Server, method: str, **request: Any) -> Any:
    """One unary call. Raises grpc.RpcError."""
    call = server.channel.unary_unary(
        f"/gearshift.v1.Tasks/{method}",
        getattr(pb, f"{method}Request").SerializeToString,
        getattr(pb, f"{method}Response").FromString,
    )
    return call(getattr(pb, f"{method}Request")(**request), timeout=PATIENCE_S)


def refusal(server: Server, method: str, **request: Any) -> tuple[grpc.StatusCode, str]:
    """How a unary call fails."""
    with pytest.raises(grpc.RpcError) as error:
        ask(server, method, **request)
    return error.value.code(), error.value.details()  # type: ignore[attr-defined] - an RpcError of a call is a Call too


def analyse(server: Server, messages: Any) -> Any:
    """One stream of these messages."""
    call = server.channel.stream_stream(
        "/gearshift.v1.Tasks/Analyse",
        pb.AnalyseRequest.SerializeToString,
        pb.AnalyseResponse.FromString,
    )
    return call(messages, timeout=PATIENCE_S)


def opening(**more: Any) -> Any:
    """The first message: recorded frames, none of which may be lost."""
    return pb.AnalyseRequest(opening=pb.Opening(**{"late": "wait", **more}))


def a_frame(frame_id: int, mean: float) -> Any:
    """A flat frame of this brightness, 0 to 255."""
    (pixels,) = flat_frames(mean)
    frame = pb.StreamFrame(frame_id=frame_id, pixels=pixels.tobytes(), shape=SHAPE, datatype="FP32")
    return pb.AnalyseRequest(frame=frame)


def frames_of(answers: Any) -> list[Any]:
    """The answers to frames."""
    return [one.frame for one in answers if one.HasField("frame")]


def scores(answers: Sequence[Any], task: str) -> dict[int, float]:
    """Frame id -> what the task said."""
    return {
        f.frame_id: result.score for f in answers for result in f.results if result.task == task
    }


def names_in(plan: Any) -> list[str]:
    """The tasks of a plan, in its order."""
    return [choice.task for choice in plan.choices]


def until(answers: Iterator[Any], frame_id: int) -> list[Any]:
    """The answers up to that of this frame."""
    got: list[Any] = []
    while not got or not (got[-1].HasField("frame") and got[-1].frame.frame_id == frame_id):
        got.append(next(answers))
    return got


def has_streams(server: Server, count: int) -> None:
    assert ask(server, "GetTaskPlan").streams == count
