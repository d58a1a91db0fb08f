"""Quick profiles on a machine that is slow for a second, or that others use: ratios between arms hold."""

from collections.abc import Callable
from statistics import median

import pytest

from models.backends.scripted import Script, ScriptedBackend
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from profiler.measuring.measure import Bench, Effort, Instruments, Loaded, Step
from profiler.measuring.terms import Terms
from profiler.profiles import Profile

FAMILY = Family(
    name="tiny",
    inputs=(TensorSpec("x", "UINT8", (-1, 2)),),
    outputs=(TensorSpec("y", "FP32", (-1, 3)),),
    variants=(),
    slo=Slo(0.05),
    max_batch=8,
)
TICK_S = 0.001


class RoughMachine:
    """Work takes `slower(now)` times as long; the thread waits `waiting(now)` times what it works."""

    def __init__(
        self,
        slower: Callable[[float], float] = lambda _: 1.0,
        waiting: Callable[[float], float] = lambda _: 0.0,
    ) -> None:
        self.now_s = 0.0
        self.waited_s = 0.0
        self._slower = slower
        self._waiting = waiting

    def work(self, seconds: float) -> None:
        while seconds > 1e-12:
            part_s = min(seconds, TICK_S)
            took_s, waited_s = self._slower(self.now_s), self._waiting(self.now_s)
            self.now_s += part_s * (took_s + waited_s)
            self.waited_s += part_s * waited_s
            seconds -= part_s


def measured(
    machine: RoughMachine, arms: list[tuple[float, Script]], budget_s: float
) -> tuple[Bench, list[Step]]:
    """A profile of arms `v0`, `v1`... with accuracies and scripts."""
    terms = Terms(bound_s=0.075, precision=0.002)
    instruments = Instruments(lambda: machine.now_s, waited_s=lambda: machine.waited_s)
    bench = Bench(FAMILY, Effort(budget_s, terms), instruments)
    for number, (accuracy, script) in enumerate(arms):
        backend = ScriptedBackend(script, FAMILY, sleep=machine.work)
        variant = Variant(f"v{number}", "fp32", "v.scripted", "", Accuracy(accuracy, "invented"))
        bench.add(Loaded(backend, 1), variant)
    return bench, list(bench.steps())


FRONTIER = [(0.70 + 0.01 * k, Script(0.001, 0.004 + 0.001 * k)) for k in range(8)]
"""Eight arms that all pay."""


def off(profile: Profile, script: Script, batch: int) -> float:
    """How many times too slow a profile has a batch."""
    return profile.latency_s(batch) / (script.fixed_s + batch * script.per_row_s)


@pytest.mark.parametrize("begin_s", [0.3, 0.9, 1.5, 2.4])
def test_a_slow_second_hits_no_arm_more_than_others(begin_s: float):
    """Three times as slow for a second, wherever it falls."""
    machine = RoughMachine(slower=lambda s: 3.0 if begin_s <= s < begin_s + 1.0 else 1.0)

    bench, _ = measured(machine, FRONTIER, 5.0)

    for batch in (1, 4, 8):
        found = [off(p, s, batch) for p, (_, s) in zip(bench.profiles(), FRONTIER, strict=True)]
        assert max(found) / min(found) < 1.15


def test_what_others_use_of_the_cpus_is_in_no_median():
    """Neighbours take half of every other 0.7 s, and more and more."""
    machine = RoughMachine(waiting=lambda s: 1.0 + s / 5 if s % 1.4 < 0.7 else 0.0)

    bench, _ = measured(machine, FRONTIER, 10.0)

    for profile, (_, script) in zip(bench.profiles(), FRONTIER, strict=True):
        assert off(profile, script, 1) == pytest.approx(1.0, abs=0.02)
        assert profile.mean_table(8)[1] > 1.2 * profile.latency_s(1)


def test_waits_for_a_cpu_do_not_make_a_profile_take_longer():
    machine = RoughMachine(waiting=lambda _: 4.0)

    measured(machine, FRONTIER, 10.0)

    assert machine.now_s == pytest.approx(10.0, abs=0.6)


def test_looking_at_the_machine_takes_a_tenth_of_the_time_at_most():
    """Each run takes a second: the quickest arm's, too."""
    arms = [(0.7, Script(1.0)), (0.75, Script(1.1)), (0.8, Script(1.2))]
    machine = RoughMachine()

    _, steps = measured(machine, arms, 60.0)

    listed_s = sum(sum(step.took_s) for step in steps)
    assert listed_s > 0.7 * machine.now_s  # the rest: first runs and those after another arm's


def test_the_time_goes_to_the_arms_that_a_decision_hangs_on():
    """Twelve arms of which nine are beaten, five of these by much."""
    paying = [
        (0.70, Script(0.001, 0.003)),
        (0.75, Script(0.001, 0.005)),
        (0.8, Script(0.001, 0.008)),
    ]
    beaten = [(0.69, Script(0.001, 0.006 + 0.001 * k)) for k in range(9)]

    _, steps = measured(jittered(), [*paying, *beaten], 8.0)

    spent = {n: sum(sum(s.took_s) for s in steps if s.arm == f"v{n}@scripted") for n in range(12)}
    turns = {n: sum(s.arm == f"v{n}@scripted" for s in steps) for n in range(12)}
    assert sum(spent[n] for n in range(3)) > 0.75 * sum(spent.values())
    assert max(turns[n] for n in range(3, 12)) <= 2
    assert min(turns[n] for n in range(3)) >= 10


def test_two_close_arms_get_more_runs_than_one_apart():
    near = [(0.70, Script(0.0, 0.0040)), (0.70, Script(0.0, 0.00402))]
    apart = [(0.60, Script(0.0, 0.0015)), (0.8, Script(0.0, 0.009))]

    _, steps = measured(jittered(), [*near, *apart], 2.0)

    turns = [sum(s.arm == f"v{n}@scripted" for s in steps) for n in range(4)]
    assert median(turns[:2]) > median(turns[2:])


def test_no_batch_size_has_its_runs_in_one_moment():
    """In every stretch of turns the arms are mixed."""
    _, steps = measured(jittered(), FRONTIER, 10.0)

    cells = [(s.arm, s.batch) for s in steps]
    repeats = cells[len(set(cells)) + 6 :]
    assert len(repeats) > 50
    for k in range(0, len(repeats) - 6, 6):
        assert len(set(repeats[k : k + 6])) >= 4


def jittered() -> RoughMachine:
    """Speeds scatter by 20 %, the same at every call of the same moment."""
    return RoughMachine(slower=lambda s: 1.0 + 0.2 * ((s * 7919.0) % 1.0))
