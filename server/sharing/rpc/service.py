"""gearshift.v1.Tasks: streams of frames for the tasks of one package, and what operators may ask and change of them."""

import math
import threading
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from models.artifacts import ArtifactError
from models.backends.base import BackendError
from models.stems.package import Package
from server.errors import BadInput, BadPackage, NoPackage, NotReady
from server.rpc.decode import parse
from server.rpc.questions import Questions
from server.rpc.status import status_of
from server.rpc.transport.call import Call, Handler
from server.sharing.control.share import Share
from server.sharing.planner.plan import Plan
from server.sharing.rpc import decode as sharing_in
from server.sharing.rpc import encode as sharing_out
from server.sharing.rpc.stalls import Stallable, Stalls
from server.sharing.rpc.stream import Analysis
from server.sharing.rpc.stream_host import ServedShare
from wire import tasks_pb2 as pb

SERVICE = "gearshift.v1.Tasks"
_METHODS = ("AddTask", "RemoveTask", "ListTasks", "GetTaskPlan", "SetTaskBudget")
_Request = TypeVar("_Request", bound=Message)


class Tasks:
    """The service of one package. `read` gives what the repository holds now; `refused` counts frames refused."""

    def __init__(
        self,
        served: ServedShare,
        read: Callable[[], Package],
        refused: Callable[[], None],
        stall_s: float,
    ) -> None:
        self.served = served
        self.refused = refused
        self.stalls = Stalls(stall_s)
        self._read = read
        self._questions = Questions("tasks")
        self._open: set[Analysis] = set()
        self._lock = threading.Lock()

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        unary = {
            "AddTask": self._unary(pb.AddTaskRequest, self._add),
            "RemoveTask": self._unary(pb.RemoveTaskRequest, self._remove),
            "ListTasks": self._unary(pb.ListTasksRequest, self._list),
            "GetTaskPlan": self._unary(pb.GetTaskPlanRequest, self._plan),
            "SetTaskBudget": self._unary(pb.SetTaskBudgetRequest, self._set_budget),
        }
        analyse = Handler(self._analyse, True, sharing_in.most_bytes(self.served.base))
        return {
            f"/{SERVICE}/Analyse": analyse,
            **{f"/{SERVICE}/{name}": unary[name] for name in _METHODS},
        }

    def _unary(
        self, request_type: type[_Request], answer: Callable[[_Request], Message]
    ) -> Handler:
        return Handler(self._questions.unary(request_type, _explained(answer)))

    def start(self) -> None:
        """Begin to look for clients that do not read."""
        self.stalls.start()

    def close(self) -> None:
        """Answer what was asked and end the threads. After the front and the share have stopped."""
        self._questions.close()
        self.stalls.stop()

    def replanned(self, reason: str, plan: Plan) -> None:
        """Tell every stream that the plan is another now. Any thread."""
        with self._lock:
            streams = list(self._open)
        for stream in streams:
            stream.tell(plan, reason)

    def between(self, job: Callable[[], None]) -> None:
        """For Analysis: one job after the other, and after what was asked before."""
        self._questions.between(job)

    def left(self, stream: Stallable) -> None:
        """For Analysis: it is over."""
        self.stalls.forget(stream)
        with self._lock:
            self._open = {one for one in self._open if one is not stream}

    def _analyse(self, call: Call, data: bytes | None) -> None:
        if call.state is None:
            call.state = Analysis(call, self)
            with self._lock:
                self._open.add(call.state)
        stream = call.state
        assert isinstance(stream, Analysis)
        try:
            stream.take(None if data is None else parse(pb.AnalyseRequest, data))
        except Exception as error:  # noqa: BLE001 - the stream's own end, so that what it holds is given back
            stream.end(*status_of(error))

    @property
    def _share(self) -> Share:
        if not self.served.is_ready():
            raise NotReady(f"task package '{self.served.base.name}' is still loading", 1.0)
        return self.served.share

    def _add(self, request: pb.AddTaskRequest) -> pb.AddTaskResponse:
        plan = self._share.add_task(request.task)
        return pb.AddTaskResponse(plan=sharing_out.plan(plan, "task_added"))

    def _remove(self, request: pb.RemoveTaskRequest) -> pb.RemoveTaskResponse:
        plan = self._share.remove_task(request.task)
        return pb.RemoveTaskResponse(plan=sharing_out.plan(plan, "task_removed"))

    def _set_budget(self, request: pb.SetTaskBudgetRequest) -> pb.SetTaskBudgetResponse:
        if not 0.0 < request.budget < math.inf:
            raise BadInput(f"budget {request.budget:g} is not above 0 (device seconds a second)")
        plan = self._share.set_budget(request.budget)
        return pb.SetTaskBudgetResponse(plan=sharing_out.plan(plan, "budget_set"))

    def _plan(self, _request: pb.GetTaskPlanRequest) -> pb.GetTaskPlanResponse:
        return sharing_out.view(self._share.plan(), self._share.costs())

    def _list(self, _request: pb.ListTasksRequest) -> pb.ListTasksResponse:
        serving = [choice.task for choice in self._share.plan().plan.choices]
        return sharing_out.listing(self._read(), serving)


class NoTasks:
    """The service of a server without a package."""

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        paths = [f"/{SERVICE}/{name}" for name in ("Analyse", *_METHODS)]
        return {path: Handler(self._refuse, streaming=path.endswith("Analyse")) for path in paths}

    def _refuse(self, _call: Call, _data: bytes | None) -> None:
        raise NoPackage(
            "this server serves no task package; name one of its repository with --share-package"
        )


def _explained(answer: Callable[[_Request], Message]) -> Callable[[_Request], Message]:
    """The same answer; what is wrong with the package on disk is told to whoever asked."""

    def function(request: _Request) -> Message:
        try:
            return answer(request)
        except (ArtifactError, BackendError) as error:
            raise BadPackage(
                f"the task package cannot be used as it is on disk: {error}"
            ) from error

    return function
