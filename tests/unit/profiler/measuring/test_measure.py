"""Measuring on a clock that only moves when the scripted backend waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.backends.base import BackendError, Tensors
from models.backends.scripted import Script, ScriptedBackend
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from profiler.measuring.measure import (
    Bench,
    Effort,
    Instruments,
    Loaded,
    Step,
    sample_inputs,
)
from profiler.measuring.terms import Terms
from profiler.profiles import Profile

VARIANT = Variant("tiny", "fp32", "tiny.scripted", "", Accuracy(0.5, "invented"))
FAMILY = Family(
    name="tiny",
    inputs=(TensorSpec("x", "UINT8", (-1, 2, 3)), TensorSpec("f", "FP32", (-1, 4))),
    outputs=(TensorSpec("y", "FP32", (-1, 3)),),
    variants=(VARIANT,),
    slo=Slo(0.05),
    max_batch=8,
)


class Clock:
    """Time that passes only when someone sleeps; ten times as much in a hiccup."""

    def __init__(self, slow: Callable[[int], bool] = lambda _: False) -> None:
        self.now_s = 0.0
        self.sleeps = 0
        self._slow = slow

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.now_s += seconds * (10.0 if self._slow(self.sleeps) else 1.0)


class Picky(ScriptedBackend):
    """Has no memory for more than `most` rows."""

    most = 8

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        if len(inputs["x"]) > self.most:
            raise MemoryError("no room for the batch")
        return super().run(inputs)


def a_bench(
    *scripts: Script, effort: Effort | None = None, clock: Clock | None = None
) -> tuple[Bench, Clock]:
    """A bench with an arm `v0`, `v1`... for each script."""
    clock = clock or Clock()
    bench = Bench(FAMILY, effort or Effort(), Instruments(clock))
    for number, script in enumerate(scripts):
        backend = ScriptedBackend(script, FAMILY, sleep=clock.sleep)
        bench.add(Loaded(backend, 1), replace(VARIANT, name=f"v{number}"))
    return bench, clock


def measured(script: Script, effort: Effort, clock: Clock | None = None) -> list[Step]:
    return list(a_bench(script, effort=effort, clock=clock)[0].steps())


def measure_arm(
    loaded: Loaded,
    family: Family,
    variant: Variant,
    effort: Effort,
    instruments: Instruments,
) -> Profile:
    """One arm's profile, alone. Raises BackendError if it cannot run at all."""
    bench = Bench(family, effort, instruments)
    arm = bench.add(loaded, variant)
    for _ in bench.steps():
        pass
    profile = bench.profile(arm)
    if profile is None:
        raise BackendError(bench.failed[arm])
    return profile


def test_the_profile_is_the_scripts_latency_curve():
    clock = Clock()
    backend = ScriptedBackend(Script(0.002, 0.001), FAMILY, sleep=clock.sleep)

    profile = measure_arm(
        Loaded(backend, 1, load_s=0.3), FAMILY, VARIANT, Effort(), Instruments(clock)
    )

    assert profile.mean_table(8) == pytest.approx([0.0, *(0.002 + b * 0.001 for b in range(1, 9))])
    assert profile.upper_table(8) == pytest.approx(profile.mean_table(8))
    assert (profile.variant, profile.backend, profile.load_s) == ("tiny", "scripted", 0.3)
    assert profile.seconds == pytest.approx(clock.now_s)


def test_the_time_budget_is_kept_by_all_arms_together():
    effort = Effort(2.0, Terms(precision=0.0))
    bench, clock = a_bench(Script(0.010, 0.005), Script(0.020, 0.005), effort=effort)

    list(bench.steps())

    assert clock.now_s == pytest.approx(2.0, abs=0.1)


def test_what_loading_cost_is_taken_off_the_budget():
    bench, clock = a_bench(Script(0.010), effort=Effort(2.3))
    bench.charge(2.0)

    list(bench.steps())

    assert clock.now_s == pytest.approx(0.3, abs=0.05)


def test_loading_leaves_half_of_the_budget_however_long_it_takes():
    effort = Effort(2.0, Terms(precision=0.0))
    bench, clock = a_bench(Script(0.010, 0.005), Script(0.020, 0.005), effort=effort)
    for load_s in (0.7, 40.0, 40.0):
        bench.charge_loading(load_s)

    list(bench.steps())

    assert clock.now_s == pytest.approx(1.0, abs=0.1)


def test_medians_that_are_known_cost_no_more_time():
    clock = Clock()

    measured(Script(0.001, 0.0), Effort(budget_s=100.0), clock)

    assert clock.now_s < 5.0


def test_batches_past_the_latency_bound_are_not_tried():
    seen = measured(Script(0.0, 0.010), Effort(terms=Terms(bound_s=0.045)))

    assert max(step.batch for step in seen) == 4


def test_arms_take_turns():
    bench, _ = a_bench(Script(0.001, 0.01), Script(0.002, 0.01), Script(0.003, 0.01))

    seen = [(step.arm, step.batch) for step in bench.steps()]

    names = ["v0@scripted", "v1@scripted", "v2@scripted"]
    assert seen[:6] == [(n, 1) for n in names] + [(n, 8) for n in names]


def test_an_arm_can_be_used_once_its_large_batch_is_there():
    bench, _ = a_bench(Script(0.001, 0.01))

    first, second = [next(steps) for steps in [bench.steps()] for _ in range(2)]

    assert (first.usable, second.usable) == (False, True)
    assert bench.profile("v0@scripted") is not None


def test_one_arm_can_be_made_usable_before_the_others():
    bench, _ = a_bench(Script(0.001, 0.01), Script(0.002, 0.01))

    seen = [(step.arm, step.batch) for step in bench.first_steps("v1@scripted")]

    assert seen == [("v1@scripted", 1), ("v1@scripted", 8)]


def test_the_first_run_of_a_batch_size_is_no_sample():
    clock = Clock(slow=lambda n: n == 1)

    seen = measured(Script(0.010, 0.0), Effort(), clock)

    assert max(s for step in seen for s in step.took_s) == pytest.approx(0.010)


def test_rare_hiccups_leave_the_median_and_are_seen_in_the_tail():
    clock = Clock(slow=lambda n: n % 10 == 0)
    backend = ScriptedBackend(Script(0.010, 0.0), FAMILY, sleep=clock.sleep)

    effort = Effort(20.0, Terms(precision=0.0))
    profile = measure_arm(Loaded(backend, 1), FAMILY, VARIANT, effort, Instruments(clock))

    assert profile.latency_s(8) == pytest.approx(0.010)
    assert profile.latency_s(8, 0.95) == pytest.approx(0.100)
    assert profile.mean_table(8)[8] == pytest.approx(0.011, rel=0.05)


def test_the_gate_is_entered_around_every_single_run():
    clock, entered, most = Clock(), [0], [0]
    backend = ScriptedBackend(Script(0.010), FAMILY, sleep=clock.sleep)

    @contextmanager
    def gate() -> Iterator[None]:
        entered[0] += 1
        before = clock.sleeps
        yield
        most[0] = max(most[0], clock.sleeps - before)

    measure_arm(Loaded(backend, 1), FAMILY, VARIANT, Effort(), Instruments(clock, gate))

    assert (entered[0], most[0]) == (clock.sleeps, 1)


def test_waiting_at_the_gate_is_not_the_arms_latency():
    clock = Clock()
    backend = ScriptedBackend(Script(0.010), FAMILY, sleep=clock.sleep)

    @contextmanager
    def gate() -> Iterator[None]:
        clock.now_s += 1.0
        yield

    profile = measure_arm(
        Loaded(backend, 1), FAMILY, VARIANT, Effort(budget_s=60.0), Instruments(clock, gate)
    )

    assert profile.latency_s(1) == pytest.approx(0.010)


def test_an_arm_that_cannot_run_is_left_out_and_the_others_go_on():
    bench, _ = a_bench(Script(0.001, fail_on_run=2), Script(0.001))

    list(bench.steps())

    assert "run 2" in bench.failed["v0@scripted"]
    assert [p.variant for p in bench.profiles()] == ["v1"]


def test_an_arm_alone_that_cannot_run_is_an_error():
    backend = ScriptedBackend(Script(fail_on_run=1), FAMILY, sleep=Clock().sleep)

    with pytest.raises(BackendError, match="run 1"):
        measure_arm(Loaded(backend, 1), FAMILY, VARIANT, Effort(), Instruments(Clock()))


def test_a_curve_ends_below_the_batch_there_is_no_memory_for():
    clock = Clock()
    backend = Picky(Script(0.001, 0.01), FAMILY, sleep=clock.sleep)
    backend.most = 5

    profile = measure_arm(Loaded(backend, 1), FAMILY, VARIANT, Effort(), Instruments(clock))

    assert profile.largest_measured == 5
    assert "no room for the batch" in profile.note


def test_an_arm_that_never_pays_says_what_beats_it_and_gets_no_more_runs():
    bench, _ = a_bench(Script(0.010, 0.02), Script(0.001, 0.01))

    seen = list(bench.steps())

    assert "dominated by v1@scripted" in bench.profiles()[0].note
    assert bench.profiles()[1].note == ""
    assert {s.batch for s in seen if s.arm == "v0@scripted"} == {1, 8}


def test_sample_inputs_fit_the_signature_and_use_the_whole_range():
    found = sample_inputs(FAMILY, 64)

    assert (found["x"].shape, found["x"].dtype) == ((64, 2, 3), np.uint8)
    assert (found["f"].shape, found["f"].dtype) == ((64, 4), np.float32)
    assert found["x"].max() > 240


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "INT64", "FP16", "FP64", "UINT16"])
def test_every_datatype_has_samples(datatype: str):
    family = Family("t", (TensorSpec("x", datatype, (-1, 3)),), (), (), Slo(0.1))

    assert len(sample_inputs(family, 4)["x"]) == 4
