"""A client of shared tasks: sends labelled streams at their own pace through gRPC, and scores what comes back."""

import queue
import re
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from benchmarks import rig
from gearshift.asking import Answer, ask
from server.sharing.planner.measured import Window, measured_scores, reported
from server.sharing.planner.plan import Scores
from wire import tasks_pb2 as pb

_SERVICE = "/gearshift.v1.Tasks/"
_PATIENCE_S = 60.0
_BUSY = "gearshift_share_busy_seconds_total"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Frames (n, *shape) of one stream; window w of `window_frames` is an event of task t as `events[t][w]` says."""

    frames: NDArray[np.uint8]
    window_frames: int
    fps: float
    events: dict[str, NDArray[np.bool_]]

    @property
    def seconds(self) -> float:
        """How long it takes to send."""
        return len(self.frames) / self.fps


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of some streams; F1 is of events, the mean over tasks; rates are of all streams together."""

    predicted_f1: float
    measured_f1: float
    by_task: dict[str, dict[str, float]]
    task_fps: float
    busy: float
    """Device seconds a second, as the server counts them."""
    dropped: int
    unanswered: int


@dataclass
class Desk:
    """A server's control calls, and which tasks it has."""

    server: rig.Server
    channel: grpc.Channel
    tasks: list[str]

    @classmethod
    @contextmanager
    def of(cls, server: rig.Server, tasks: Sequence[str]) -> Generator["Desk"]:
        """What that server answers on the loopback."""
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            desk = cls(server, channel, list(tasks))
            desk.await_ready()
            yield desk

    def await_ready(self) -> None:
        """Return once its tasks are in service. Raises RuntimeError where they are not within a minute."""
        give_up_s = time.monotonic() + _PATIENCE_S
        while not self._is_ready():
            if time.monotonic() > give_up_s:
                raise RuntimeError("the server's tasks are not in service within a minute")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            self.plan()
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:  # pyright: ignore[reportAttributeAccessIssue]
                raise
            return False
        return True

    def busy_s(self) -> float:
        """Device seconds that its tasks have used since the start."""
        found = re.search(rf"^{_BUSY} (\S+)$", self.server.metrics(), re.MULTILINE)
        assert found, f"the server tells no {_BUSY}"
        return float(found[1])

    def add(self, task: str) -> float:
        """Take a task into service; the seconds that took."""
        begun_s = time.perf_counter()
        self._ask("AddTask", pb.AddTaskRequest(task=task), pb.AddTaskResponse)
        self.tasks.append(task)
        return time.perf_counter() - begun_s

    def remove(self, task: str) -> float:
        """Take a task out of service; the seconds that took."""
        begun_s = time.perf_counter()
        self._ask("RemoveTask", pb.RemoveTaskRequest(task=task), pb.RemoveTaskResponse)
        self.tasks.remove(task)
        return time.perf_counter() - begun_s

    def plan(self) -> pb.GetTaskPlanResponse:
        """What is planned now."""
        return self._ask("GetTaskPlan", pb.GetTaskPlanRequest(), pb.GetTaskPlanResponse)

    def analyse(self, messages: Iterator[pb.AnalyseRequest]) -> Iterator[pb.AnalyseResponse]:
        """An Analyse call's answers as they come."""
        return self.channel.stream_stream(
            f"{_SERVICE}Analyse",
            request_serializer=pb.AnalyseRequest.SerializeToString,
            response_deserializer=pb.AnalyseResponse.FromString,
        )(messages)

    def _ask(self, method: str, request: Message, response: type[Answer]) -> Answer:
        return ask(self.channel, f"{_SERVICE}{method}", request, response, _PATIENCE_S)


@dataclass
class Sent:
    """One stream under way, and its answers: per task and window the analysed frames, in order."""

    labelled: Labelled
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    said: dict[str, dict[int, list[bool]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    votes: dict[str, int] = field(default_factory=dict)
    opened: threading.Event = field(default_factory=threading.Event)

    def run(self, desk: Desk, go: threading.Event) -> None:
        """Open, and once `go` is set send every frame when it is due; return when all is answered."""
        for answer in desk.analyse(self._messages(go)):
            if answer.WhichOneof("message") == "plan":
                self.votes = {choice.task: choice.x_vote for choice in answer.plan.choices}
                self.opened.set()
            elif answer.WhichOneof("message") == "frame":
                self._take(answer.frame)
            else:
                raise RuntimeError(f"refused: {answer.refused.error}")

    def windows(self, task: str) -> list[Window]:
        """Each window as the task reported it: by the number of votes asked for at the end."""
        said, votes = self.said[task], self.votes[task]
        return [
            Window(bool(event), reported(said[number], votes))
            for number, event in enumerate(self.labelled.events[task])
        ]

    def _messages(self, go: threading.Event) -> Iterator[pb.AnalyseRequest]:
        yield pb.AnalyseRequest(opening=pb.Opening(fps=self.labelled.fps, late="drop"))
        go.wait()
        begun_s = time.perf_counter()
        for number, frame in enumerate(self.labelled.frames):
            time.sleep(max(0.0, begun_s + number / self.labelled.fps - time.perf_counter()))
            yield pb.AnalyseRequest(frame=pb.StreamFrame(frame_id=number, pixels=frame.tobytes()))

    def _take(self, answer: pb.FrameAnswer) -> None:
        self.outcomes[answer.outcome] += 1
        window = answer.frame_id // self.labelled.window_frames
        for result in answer.results:
            if not result.error:
                self.said[result.task][window].append(result.positive)


def watched(desk: Desk, streams: Sequence[Labelled], tasks: Sequence[str]) -> Seen:
    """Send all streams at once and say what came of it. Raises RuntimeError where a stream failed."""
    sent = [Sent(labelled) for labelled in streams]
    seconds = max(labelled.seconds for labelled in streams)
    busy_s = desk.busy_s()
    with _running(desk, sent):
        time.sleep(seconds / 2)
        plan = desk.plan().plan
    busy_s = desk.busy_s() - busy_s
    scores = {task: measured_scores(w for one in sent for w in one.windows(task)) for task in tasks}
    frames = sum(len(v) for one in sent for said in one.said.values() for v in said.values())
    total = sum(len(labelled.frames) for labelled in streams)
    return Seen(
        predicted_f1=statistics.mean(choice.f1 for choice in plan.choices),
        measured_f1=statistics.mean(one.f1 for one in scores.values()),
        by_task=_by_task(plan, scores),
        task_fps=frames / seconds,
        busy=busy_s / seconds,
        dropped=sum(one.outcomes["dropped"] for one in sent),
        unanswered=total - sum(sum(one.outcomes.values()) for one in sent),
    )


@contextmanager
def _running(desk: Desk, sent: Sequence[Sent]) -> Generator[None]:
    """All streams opened, then under way; returns when the last frame is answered. Raises RuntimeError."""
    go, failures = threading.Event(), queue.Queue[BaseException]()

    def run(one: Sent) -> None:
        try:
            one.run(desk, go)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failures.put(error)
            one.opened.set()

    threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in sent]
    for thread, one in zip(threads, sent, strict=True):
        thread.start()
        one.opened.wait(_PATIENCE_S)
    go.set()
    yield
    for thread in threads:
        thread.join()
    if not failures.empty():
        raise RuntimeError(f"a stream failed: {failures.get()}")


def _by_task(plan: pb.TaskPlan, scores: dict[str, Scores]) -> dict[str, dict[str, float]]:
    return {
        choice.task: {
            "frozen": choice.frozen,
            "fps": choice.rate_fps,
            "x_vote": choice.x_vote,
            "predicted_f1": choice.f1,
            "measured_f1": scores[choice.task].f1,
            "recall": scores[choice.task].recall,
            "precision": scores[choice.task].precision,
        }
        for choice in plan.choices
    }
