"""Whatever the arms cost, the plan keeps its time, starts every arm, and drops only what never pays."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.measuring.measurements import Measurements
from profiler.measuring.terms import Next, Terms
from profiler.profiles import Profile

WARMUP = 1


@dataclass(frozen=True)
class Truth:
    """An arm as it is: accuracy, and latency (s) of a batch; it fails above `most` rows."""

    accuracy: float
    first_s: float
    more_s: float
    bend: int
    most: int

    def latency_s(self, batch: int) -> float:
        return self.first_s + self.more_s * (batch - 1) + self.more_s * max(0, batch - self.bend)


truths = st.builds(
    Truth,
    st.sampled_from([0.6, 0.7, 0.7, 0.8]),
    st.floats(1e-4, 0.05),
    st.floats(1e-5, 0.05),
    st.integers(1, 32),
    st.sampled_from([0, 5, 32, 32, 32]),
)
families = st.lists(truths, min_size=1, max_size=8)


def ran(arms: list[Truth], budget_s: float) -> tuple[Measurements, list[tuple[Next, float, float]]]:
    """What was measured after the plan, and every turn with (time before it, what it took)."""
    measured = Measurements(Terms(bound_s=0.1), 32)
    for number, arm in enumerate(arms):
        measured.add(Profile(f"v{number}", "fp32", "b", "cpu", 1, ()), arm.accuracy)
    now_s, seen, jitter = 0.0, list[tuple[Next, float, float]](), 0
    while isinstance(turn := measured.plan(budget_s - now_s), Next):
        truth = arms[int(turn.name[1:].split("@")[0])]
        if turn.batch > truth.most:
            measured.end_below(turn, "too large")
            continue
        runs: list[float] = []
        for _ in range(turn.runs):
            jitter = (jitter * 1103515245 + 12345) % 2**31
            runs.append(truth.latency_s(turn.batch) * (1 + 0.02 * jitter / 2**31))
        took_s = sum(runs) + WARMUP * measured.is_new(turn) * runs[0]
        measured.record(turn, now_s, tuple(runs), took_s)
        seen.append((turn, now_s, took_s))
        now_s += took_s
    return measured, seen


@settings(max_examples=60, deadline=None)
@given(families, st.floats(0.0, 20.0))
def test_the_budget_is_exceeded_by_one_turn_at_most_beyond_what_is_owed(
    arms: list[Truth], budget_s: float
):
    _, seen = ran(arms, budget_s)

    late = [turn for turn, at_s, _ in seen if at_s > budget_s and turn.batch != 1]
    assert late == []


@settings(max_examples=60, deadline=None)
@given(families, st.floats(0.0, 20.0))
def test_every_arm_that_can_run_has_batch_one(arms: list[Truth], budget_s: float):
    measured, _ = ran(arms, budget_s)

    for number, truth in enumerate(arms):
        profile = measured.profile(f"v{number}@b")
        assert (profile is not None) == (truth.most >= 1)
        assert profile is None or profile.points[0].batch == 1


@settings(max_examples=30, deadline=None)
@given(families, st.floats(0.0, 5.0))
def test_the_same_observations_give_the_same_plan(arms: list[Truth], budget_s: float):
    assert ran(arms, budget_s)[1] == ran(arms, budget_s)[1]


@settings(max_examples=60, deadline=None)
@given(families)
def test_an_arm_called_dominated_is_slower_at_every_measured_batch_and_no_more_accurate(
    arms: list[Truth],
):
    measured, _ = ran(arms, 10.0)

    for profile in measured.profiles():
        if "dominated by " not in profile.note:
            continue
        truth = arms[int(profile.variant[1:])]
        better = arms[int(profile.note.split("dominated by v")[1].split("@")[0])]
        assert better.accuracy >= truth.accuracy
        assert all(better.latency_s(p.batch) < truth.latency_s(p.batch) for p in profile.points)


@settings(max_examples=60, deadline=None)
@given(families)
def test_no_batch_is_run_again_that_an_arm_failed_on(arms: list[Truth]):
    _, seen = ran(arms, 10.0)

    for turn, _, _ in seen:
        truth = arms[int(turn.name[1:].split("@")[0])]
        assert turn.batch <= truth.most
