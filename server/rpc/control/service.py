"""gearshift.v1.Control: what was decided lately and why, the state it was decided in, candidates. For operators.

Explaining asks the policy again, so answers are made on a thread of their own, a few at a time, never on the front's.
"""

import time
from collections.abc import Mapping

from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.errors import BadInput, UnknownModel
from server.policy.candidates.candidacy import Ordered
from server.rpc.control import explanation, standing
from server.rpc.questions import Later, Questions
from server.rpc.transport.call import Handler
from server.runtime.dispatch.explained import weighed
from server.texts import shown
from wire import control_pb2 as pb

SERVICE = "gearshift.v1.Control"
MOST_REASON = 500
"""Characters of an operator's reason that are kept."""
USUAL_COUNT, MOST_COUNT = 10, 100
"""Decisions told where the request names no count, and at most."""


class Control:
    """Answers for the families as they are now."""

    def __init__(self, families: Mapping[str, ServedFamily], unserved: Unserved) -> None:
        self._families = families
        self._unserved = unserved
        self._questions = Questions("control")

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        unary = self._questions.unary
        functions = {
            "GetDecisions": unary(pb.GetDecisionsRequest, self._decisions),
            "GetPlan": unary(pb.GetPlanRequest, self._plan),
            "GetFrontier": unary(pb.GetFrontierRequest, self._frontier),
            "Promote": unary(pb.PromoteRequest, self._promote),
            "RollBack": unary(pb.RollBackRequest, self._roll_back),
        }
        return {f"/{SERVICE}/{name}": Handler(one) for name, one in functions.items()}

    def close(self) -> None:
        """Answer what was asked and end the thread. After the front has stopped."""
        self._questions.close()

    def _decisions(self, request: pb.GetDecisionsRequest) -> pb.GetDecisionsResponse:
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

    def _plan(self, request: pb.GetPlanRequest) -> pb.GetPlanResponse:
        names = (
            [request.family]
            if request.family
            else [n for n in dict(self._families) if n not in self._unserved]
        )
        chosen = [self._family(name) for name in names]
        return pb.GetPlanResponse(plans=[explanation.plan(one) for one in chosen])

    def _frontier(self, request: pb.GetFrontierRequest) -> pb.GetFrontierResponse:
        return standing.frontier(self._family(request.family))

    def _promote(self, request: pb.PromoteRequest) -> Later:
        served, name = self._family(request.family), request.variant
        done = served.candidates.order(name, Ordered(promote=True))
        return Later(done, lambda: pb.PromoteResponse(variant=standing.standing(served, name)))

    def _roll_back(self, request: pb.RollBackRequest) -> Later:
        served, name = self._family(request.family), request.variant
        reason = shown(request.reason, MOST_REASON)  # it goes into the log and a file
        done = served.candidates.order(name, Ordered(promote=False, reason=reason))
        return Later(done, lambda: pb.RollBackResponse(variant=standing.standing(served, name)))

    def _family(self, name: str) -> ServedFamily:
        if name in self._unserved:
            raise self._unserved.error(name)
        served = self._families.get(name)
        if served is None:
            known = ", ".join(sorted(dict(self._families)))
            raise UnknownModel(f"no family is called '{shown(name)}' here; there is {known}")
        return served
