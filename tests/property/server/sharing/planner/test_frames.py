"""Which tasks are due on which frame: nested, exact in the long run, near-even."""

from fractions import Fraction
from math import lcm

from hypothesis import given
from hypothesis import strategies as st

from server.sharing.planner.frames import due, schedule_of
from server.sharing.planner.plan import Choice, Plan, Scores
from server.sharing.planner.tree import stem_of

RATES = st.sampled_from((0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0))
CUTS = st.lists(st.tuples(st.sampled_from((0, 3, 5, 8)), RATES), min_size=1, max_size=6)
FPS = 10.0


def a_plan(cuts: list[tuple[int, float]]) -> Plan:
    scores = Scores(1.0, 1.0, 1.0)
    choices = tuple(Choice(f"task{i}", f, rate, 1, scores) for i, (f, rate) in enumerate(cuts))
    return Plan(choices, stem_of(cuts), cost=0.0, objective=1.0)


def frames_of(plan: Plan, fps: float, count: int) -> dict[str, list[int]]:
    schedule = schedule_of(plan, fps)
    seen: dict[str, list[int]] = {choice.task: [] for choice in plan.choices}
    for index in range(count):
        for task, _ in due(index, schedule).tasks:
            seen[task].append(index)
    return seen


def a_period(plan: Plan, fps: float) -> int:
    """Frames after which every rate has come out whole."""
    shares = [Fraction(c.rate_fps).limit_denominator(1000) / Fraction(fps) for c in plan.choices]
    return lcm(*(share.denominator for share in shares))


@given(CUTS)
def test_a_task_sees_exactly_its_rate_in_every_whole_period(cuts: list[tuple[int, float]]):
    plan = a_plan(cuts)
    period = a_period(plan, FPS)

    seen = frames_of(plan, FPS, 2 * period)

    for choice in plan.choices:
        want = Fraction(choice.rate_fps).limit_denominator(1000) * period / Fraction(FPS)
        assert sum(i < period for i in seen[choice.task]) == want
        assert len(seen[choice.task]) == 2 * want


@given(CUTS)
def test_a_step_of_the_stem_runs_on_a_subset_of_the_frames_of_the_step_before(
    cuts: list[tuple[int, float]],
):
    plan = a_plan(cuts)
    seen = frames_of(plan, FPS, 200)

    runs: list[set[int]] = [set(range(200))]
    for step in plan.stem:
        deeper = [c.task for c in plan.choices if c.frozen == step.end]
        runs.append(set[int]().union(*(seen[task] for task in deeper)))
        assert runs[-1] <= runs[-2]
    for choice in plan.choices:
        on = [i + 1 for i, step in enumerate(plan.stem) if step.start < choice.frozen <= step.end]
        assert set(seen[choice.task]) <= runs[on[0] if on else 0]


@given(CUTS)
def test_the_stem_runs_no_deeper_than_a_task_needs_and_at_its_steps_rates(
    cuts: list[tuple[int, float]],
):
    plan = a_plan(cuts)
    period, schedule = a_period(plan, FPS), schedule_of(plan, FPS)

    deepest = [max(due(i, schedule).points, default=0) for i in range(period)]

    for step in plan.stem:
        runs = sum(end >= step.end for end in deepest)
        assert runs == Fraction(step.rate_fps).limit_denominator(1000) * period / Fraction(FPS)


@given(RATES, RATES)
def test_frames_are_evenly_spaced_to_within_one_frame_of_the_parent(one: float, other: float):
    slow, fast = sorted((one, other))
    seen = frames_of(a_plan([(3, slow), (3, fast)]), FPS, 1000)

    parent_gap = -(-FPS // fast)
    for index, frame in enumerate(seen["task0"]):
        assert abs((frame + 1) - (index + 1) * FPS / slow) <= parent_gap


@given(CUTS, st.sampled_from((1.0, 4.0, 10.0, 29.97)))
def test_a_slow_stream_runs_every_task_at_most_on_every_frame(
    cuts: list[tuple[int, float]], fps: float
):
    seen = frames_of(a_plan(cuts), fps, 100)

    for frozen, rate in cuts:
        names = [f"task{i}" for i, cut in enumerate(cuts) if cut == (frozen, rate)]
        for name in names:
            assert len(set(seen[name])) == len(seen[name])
            if rate >= fps:
                assert len(seen[name]) == 100
