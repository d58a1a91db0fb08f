"""Answers, plans and packages -> the messages of gearshift.v1. It converts; what it is given, others keep."""

from collections.abc import Collection, Mapping

from models.stems.package import Package, SharedTask
from server.sharing.planner.plan import Choice, Plan, StemSegment
from server.sharing.planner.voting import Begun, Ended
from server.sharing.planner.workload import NetworkCosts
from server.sharing.runtime.frames import DropReason, FrameDone, Outcome, Result
from server.sharing.runtime.views import PlanView, ReplanReason, TaskView
from wire import tasks_pb2 as pb


def answer(done: FrameDone) -> pb.FrameAnswer:
    """A FrameAnswer."""
    return pb.FrameAnswer(
        frame_id=done.frame_id,
        outcome=done.outcome,
        reason=done.reason or "",
        results=[_result(one) for one in done.results],
        events=[_event(one) for one in done.events],
    )


def plan(made: Plan, reason: str = "", costs: NetworkCosts | None = None) -> pb.TaskPlan:
    """A TaskPlan; with `costs` (of a frame) each part's own."""
    return pb.TaskPlan(
        choices=[_choice(one, costs) for one in made.choices],
        stem=[_step(one, costs) for one in made.stem],
        cost=made.cost,
        objective=made.objective,
        reason=reason,
    )


def view(seen: PlanView, costs: NetworkCosts) -> pb.GetTaskPlanResponse:
    """A GetTaskPlanResponse."""
    return pb.GetTaskPlanResponse(
        package=seen.base,
        budget=seen.budget_s,
        plan=plan(seen.plan, costs=costs),
        tasks=[_standing(one) for one in seen.tasks],
        streams=seen.traffic.streams,
        waiting_frames=seen.traffic.waiting,
        outcomes=_counts(seen.traffic.outcomes),
        dropped=_counts(seen.traffic.dropped),
        reuse=seen.reuse,
        busy=seen.busy,
        replans=_counts(seen.replans),
    )


def listing(package: Package, serving: Collection[str]) -> pb.ListTasksResponse:
    """A ListTasksResponse: the package's tasks in its order, then those in service that it holds no more."""
    held = {task.name for task in package.tasks}
    return pb.ListTasksResponse(
        package=package.base.name,
        frame_shape=package.base.shape,
        stream_fps=package.stream_fps,
        tasks=[
            *(_entry(task, task.name in serving) for task in package.tasks),
            *(pb.TaskEntry(task=name, in_service=True) for name in serving if name not in held),
        ],
    )


def _counts(
    counts: Mapping[Outcome, int] | Mapping[DropReason, int] | Mapping[ReplanReason, int],
) -> dict[str, int]:
    return {str(key): count for key, count in counts.items()}


def _entry(task: SharedTask, in_service: bool) -> pb.TaskEntry:
    return pb.TaskEntry(
        task=task.name,
        meaning=task.meaning,
        in_service=in_service,
        in_package=True,
        event_length_ms=task.event_length_s * 1e3,
        event_frequency=task.event_frequency,
        correlation=task.correlation,
        frozen=[head.frozen for head in task.heads],
    )


def _step(one: StemSegment, costs: NetworkCosts | None) -> pb.StemStep:
    cost = costs.segment(one.start, one.end) * one.rate_fps if costs else 0.0
    return pb.StemStep(start=one.start, end=one.end, rate_fps=one.rate_fps, cost=cost)


def _choice(one: Choice, costs: NetworkCosts | None) -> pb.TaskChoice:
    head = costs.heads.get((one.task, one.frozen), 0.0) if costs else 0.0
    return pb.TaskChoice(
        task=one.task,
        frozen=one.frozen,
        rate_fps=one.rate_fps,
        x_vote=one.x_vote,
        f1=one.scores.f1,
        recall=one.scores.recall,
        precision=one.scores.precision,
        reason=one.reason,
        cost=head * one.rate_fps,
    )


def _result(one: Result) -> pb.TaskResult:
    return pb.TaskResult(
        task=one.task, frozen=one.frozen, score=one.score, positive=one.positive, error=one.error
    )


def _event(event: Begun | Ended) -> pb.TaskEvent:
    match event:
        case Begun():
            what, last_frame = "begun", event.frame_id
        case Ended():
            what, last_frame = "ended", event.last_frame
    return pb.TaskEvent(
        task=event.task,
        what=what,
        first_frame=event.first_frame,
        last_frame=last_frame,
        score=event.score,
    )


def _standing(one: TaskView) -> pb.TaskStanding:
    message = pb.TaskStanding(task=one.choice.task, achieved_fps=one.achieved_fps)
    if (measured := one.measured) is not None:
        message.measured_f1 = measured.scores.f1
        message.measured_recall = measured.scores.recall
        message.measured_precision = measured.scores.precision
        message.labelled_windows = measured.windows
    return message
