"""Decisions, arms and load -> the messages of gearshift.v1. It converts; what it is given, others keep."""

import time
from collections.abc import Iterable, Sequence

from server.engine.served import ServedFamily
from server.metrics import WINDOW_S
from server.policy.arms import quarantine
from server.policy.decision import ArmProfile, Idle, Run, Terms, Ticket, WaitUntil
from server.policy.dispatch.explain import Alternative
from server.runtime.dispatch.journal import Record
from wire import control_pb2 as pb


def decision(record: Record, weighed: Sequence[Alternative], now_s: float) -> pb.Decision:
    """A Decision."""
    message = pb.Decision(
        seconds_ago=now_s - record.at_s,
        queue_length=record.waiting,
        forecast_rps=record.outlook.rate_rps,
        took_us=record.took_s * 1e6,
        dropped=[
            pb.Dropped(request=_request(drop.ticket, record.at_s), reason=drop.reason)
            for drop in record.decision.dropped
        ],
        candidates=[_candidate(one) for one in weighed],
    )
    match record.decision:
        case Run() as run:
            _fill_run(message, run, record.at_s)
        case WaitUntil(at_s):
            message.action = message.reason = "wait"
            message.wait_ms = (at_s - record.at_s) * 1e3
        case Idle():
            message.action = "idle"
    return message


def plan(served: ServedFamily) -> pb.Plan:
    """A Plan: the family's arms, load and results as they are now."""
    dispatcher, metrics, slo = served.dispatcher, served.metrics, served.family.slo
    arms = sorted(dispatcher.arms, key=lambda arm: -arm.accuracy)
    load, recent = dispatcher.load(), metrics.recent()
    return pb.Plan(
        family=served.family.name,
        policy=served.dispatcher.policy,
        arms=[_arm(arm, metrics.speed_of(arm.arm)) for arm in arms],
        load=pb.Load(
            workers=dispatcher.limits.workers,
            running=load.running,
            queue_length=load.tickets,
            queue_rows=load.rows,
            queue_capacity_rows=dispatcher.limits.capacity_rows,
            forecast_rps=load.rate_rps,
            arrived_rows=load.arrived,
        ),
        recent=pb.Results(
            window_s=WINDOW_S,
            offered=recent.offered,
            in_time=recent.in_time,
            attainment=recent.attainment,
            effective_accuracy=recent.effective_accuracy,
        ),
        outcomes=metrics.outcomes(),
        slo_ms=slo.latency_s * 1e3,
        min_accuracy=slo.min_accuracy,
        out_of_use=_out_of_use(served),
        promises=[
            pb.Promise(
                slo_class=name,
                percentile=slo.percentile,
                attainment=promise.attainment,
                caution=promise.caution,
            )
            for name, promise in sorted(dispatcher.standing.promises.items())
        ],
    )


def _fill_run(message: pb.Decision, run: Run, at_s: float) -> None:
    message.action, message.reason = "run", run.reason
    message.variant, message.backend = run.profile.arm.variant, run.profile.arm.backend
    message.rows = run.rows
    message.expected_ms = run.profile.mean_s[run.rows] * 1e3
    message.members.extend(_request(ticket, at_s) for ticket in run.tickets)
    if run.terms is not None:
        message.terms.CopyFrom(_terms(run.terms))


def _request(ticket: Ticket, at_s: float) -> pb.Request:
    return pb.Request(
        id=ticket.id,
        rows=ticket.rows,
        waited_ms=(at_s - ticket.arrival_s) * 1e3,
        left_ms=(ticket.deadline_s - at_s) * 1e3,
        min_accuracy=ticket.min_accuracy,
        variant=ticket.variant or "",
        slo_class=ticket.slo_class,
    )


def _terms(terms: Terms) -> pb.Terms:
    return pb.Terms(
        waiting_rows=terms.waiting,
        rate_rps=terms.rate_rps,
        affordable_ms=terms.affordable_s * 1e3,
        price_per_s=terms.price,
        stay=terms.stay,
    )


def _candidate(one: Alternative) -> pb.Candidate:
    return pb.Candidate(
        variant=one.variant,
        rows=one.rows,
        worth=one.worth,
        latency_ms=one.latency_s * 1e3,
        in_time=one.in_time,
    )


def _arm(arm: ArmProfile, scale: float) -> pb.ArmPlan:
    return pb.ArmPlan(
        variant=arm.arm.variant,
        backend=arm.arm.backend,
        device=arm.arm.device,
        accuracy=arm.accuracy,
        speed_scale=scale,
        latency=latencies(arm),
    )


def latencies(arm: ArmProfile) -> list[pb.BatchLatency]:
    """BatchLatency of 1, 2, 4, ... rows and of the largest batch."""
    return [
        pb.BatchLatency(rows=b, mean_ms=arm.mean_s[b] * 1e3, upper_ms=arm.upper_s[b] * 1e3)
        for b in _sizes(arm.max_batch)
    ]


def _out_of_use(served: ServedFamily) -> list[pb.OutOfUse]:
    state, now_s = served.dispatcher.quarantine.state, time.monotonic()
    return [
        pb.OutOfUse(
            variant=arm.variant,
            backend=arm.backend,
            device=arm.device,
            reason=case.reason,
            retry_ms=max(0.0, quarantine.due_s(state, arm) - now_s) * 1e3,
        )
        for arm, case in quarantine.out(state).items()
    ]


def _sizes(most: int) -> Iterable[int]:
    """1, 2, 4, ... and `most`."""
    return sorted({*(1 << i for i in range(most.bit_length())), most})
