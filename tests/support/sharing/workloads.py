"""Workloads of tasks that share a network, for tests: every argument defaulted, or drawn by hypothesis."""

from dataclasses import replace

from hypothesis import strategies as st

from server.sharing.planner.costing import additive
from server.sharing.planner.repair import repaired
from server.sharing.planner.workload import Branch, Objective, Rules, Task, Workload

LAYER_COSTS = (1.0, 2.0, 3.0, 4.0)
"""Of a network of four layers."""


def a_task(
    name: str = "task",
    branches: tuple[Branch, ...] = (Branch(0, 0.9, 0.05), Branch(3, 0.8, 0.1)),
    *,
    event_length_s: float = 0.6,
    event_frequency: float = 0.3,
    correlation: float = 0.1,
    weight: float = 1.0,
    floor: float = 0.0,
) -> Task:
    """A task for the network of `LAYER_COSTS`."""
    return Task(name, branches, event_length_s, event_frequency, correlation, weight, floor)


def a_rule_set(
    budget: float = 40.0,
    rates_fps: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0),
    *,
    stream_fps: float = 10.0,
    x_votes: tuple[int, ...] = (1,),
    objective: Objective = "mean",
    published_form: bool = False,
) -> Rules:
    """Rules for a stream of 10 frames a second."""
    return Rules(budget, rates_fps, stream_fps, x_votes, objective, published_form)


def a_workload(*tasks: Task, rules: Rules | None = None) -> Workload:
    """The tasks (or one) on the network of `LAYER_COSTS`."""
    given = tasks or (a_task(),)
    return Workload(given, additive(LAYER_COSTS, given), rules or a_rule_set())


chances = st.floats(0.0, 1.0)


@st.composite
def tasks(draw: st.DrawFn, name: str = "task") -> Task:
    """Any task with repaired branches."""
    cuts = draw(st.sets(st.integers(0, len(LAYER_COSTS)), min_size=1))
    raw = [Branch(cut, draw(chances), draw(chances)) for cut in cuts]
    return a_task(
        name,
        repaired(raw),
        event_length_s=draw(st.floats(0.05, 3.0)),
        event_frequency=draw(st.floats(0.01, 1.0)),
        correlation=draw(chances),
    )


@st.composite
def workloads(draw: st.DrawFn, most: int = 4) -> Workload:
    """One to `most` tasks, any objective and votes, and a budget that may be too small."""
    names = [f"task{i}" for i in range(draw(st.integers(1, most)))]
    rules = a_rule_set(
        draw(st.floats(1.0, 150.0)),
        x_votes=draw(st.sampled_from([(1,), (1, 2, 3)])),
        objective=draw(st.sampled_from(["mean", "maxmin"])),
        published_form=draw(st.booleans()),
    )
    drawn = [replace(draw(tasks(name)), weight=draw(st.floats(0.1, 5.0))) for name in names]
    return a_workload(*drawn, rules=rules)
