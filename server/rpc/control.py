"""gearshift.v1.Control: what was decided lately and why, the state it was decided in, candidates. For operators.

Explaining asks the policy again, so answers are made on a thread of their own, a few at a time, never on the front's.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from server.errors import BadInput, Overloaded, UnknownModel
from server.policy.candidacy import Ordered
from server.rpc import explanation, standing
from server.rpc.call import Call, Handler
from server.rpc.convert import parse
from server.rpc.service import Hosted
from server.rpc.status import status_of
from server.rpc.wire import control_pb2 as pb
from server.runtime.explained import weighed

SERVICE = "gearshift.v1.Control"
USUAL_COUNT, MOST_COUNT = 10, 100
"""Decisions told where the request names no count, and at most."""
_MOST_PENDING = 16
"""Questions that may wait for the thread."""


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that is there once `done` is: given from the thread that does it, so that no other waits."""

    done: "Future[None]"
    answer: Callable[[], Any]

    def then(self, call: Call) -> None:
        """Answer `call` as soon as it is done, or say why it is not."""
        self.done.add_done_callback(lambda done: self._tell(call, done.exception()))

    def _tell(self, call: Call, error: BaseException | None) -> None:
        if error is not None:
            call.fail(*status_of(error))
            return
        try:
            call.reply(self.answer().SerializeToString())
        except Exception as failure:  # noqa: BLE001 - whoever asked must be answered, and the thread go on
            call.fail(*status_of(failure))


class Control:
    """Answers for the families as they are hosted now."""

    def __init__(self, hosted: Mapping[str, Hosted]) -> None:
        self._hosted = hosted
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="control")
        self._room = threading.Semaphore(_MOST_PENDING)

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        answers: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "GetDecisions": (pb.GetDecisionsRequest, self._decisions),
            "GetPlan": (pb.GetPlanRequest, self._plan),
            "GetFrontier": (pb.GetFrontierRequest, self._frontier),
            "Promote": (pb.PromoteRequest, self._promote),
            "RollBack": (pb.RollBackRequest, self._roll_back),
        }
        return {f"/{SERVICE}/{name}": Handler(self._unary(*one)) for name, one in answers.items()}

    def close(self) -> None:
        """Answer what was asked and end the thread. After the front has stopped."""
        self._pool.shutdown()

    def _unary(
        self, request_type: Any, answer: Callable[[Any], Any]
    ) -> Callable[[Call, bytes | None], None]:
        def function(call: Call, data: bytes | None) -> None:
            request = parse(request_type, data or b"")
            if not self._room.acquire(blocking=False):
                raise Overloaded(f"{_MOST_PENDING} questions wait already; ask again later", 1.0)
            self._pool.submit(self._answer, call, answer, request)

        return function

    def _answer(self, call: Call, answer: Callable[[Any], Any], request: Any) -> None:
        try:
            answered = answer(request)
            if isinstance(answered, Later):
                answered.then(call)
            else:
                call.reply(answered.SerializeToString())
        except Exception as error:  # noqa: BLE001 - one question that fails must be answered, and not end the thread
            call.fail(*status_of(error))
        finally:
            self._room.release()

    def _decisions(self, request: Any) -> Any:
        journal = self._family(request.family).dispatcher.journal
        if not 0 <= request.count <= MOST_COUNT:
            raise BadInput(
                f"count {request.count} is not between 1 and {MOST_COUNT} (0: {USUAL_COUNT})"
            )
        records = journal.last(request.count or USUAL_COUNT)
        now_s = time.monotonic()
        return pb.GetDecisionsResponse(
            decisions=[explanation.decision(record, weighed(record), now_s) for record in records]
        )

    def _plan(self, request: Any) -> Any:
        chosen = [self._family(request.family)] if request.family else self._hosted.values()
        return pb.GetPlanResponse(plans=[explanation.plan(one) for one in chosen])

    def _frontier(self, request: Any) -> Any:
        return standing.frontier(self._family(request.family))

    def _promote(self, request: Any) -> "Later":
        hosted, name = self._family(request.family), request.variant
        done = hosted.candidates.order(name, Ordered(promote=True))
        return Later(done, lambda: pb.PromoteResponse(variant=standing.standing(hosted, name)))

    def _roll_back(self, request: Any) -> "Later":
        hosted, name = self._family(request.family), request.variant
        done = hosted.candidates.order(name, Ordered(promote=False, reason=request.reason))
        return Later(done, lambda: pb.RollBackResponse(variant=standing.standing(hosted, name)))

    def _family(self, name: str) -> Hosted:
        hosted = self._hosted.get(name)
        if hosted is None:
            known = ", ".join(sorted(self._hosted))
            raise UnknownModel(f"no family is called '{name}' here; there is {known}")
        return hosted
