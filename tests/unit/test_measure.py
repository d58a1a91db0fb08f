"""Measuring on a clock that only moves when the scripted backend waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from models.backends.base import BackendError
from models.backends.scripted import Script, ScriptedBackend
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from profiler.measure import (
    Effort,
    Instruments,
    Loaded,
    Visit,
    batches,
    measure_arm,
    sample_inputs,
    visits,
)

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


def measured(script: Script, effort: Effort, clock: Clock | None = None) -> list[Visit]:
    clock = clock or Clock()
    backend = ScriptedBackend(script, FAMILY, sleep=clock.sleep)
    return list(visits(backend, FAMILY, effort, Instruments(clock)))


def test_the_profile_is_the_scripts_latency_curve():
    clock = Clock()
    backend = ScriptedBackend(Script(0.002, 0.001), FAMILY, sleep=clock.sleep)

    profile = measure_arm(
        Loaded(backend, 1, load_s=0.3), FAMILY, VARIANT, Effort(), Instruments(clock)
    )

    assert profile.mean_table(8) == pytest.approx([0.0, *(0.002 + b * 0.001 for b in range(1, 9))])
    assert profile.upper_table(8) == pytest.approx(profile.mean_table(8))
    assert (profile.variant, profile.backend, profile.load_s) == ("tiny", "scripted", 0.3)


def test_the_time_budget_is_kept():
    clock = Clock()

    measured(Script(0.010, 0.005), Effort(budget_s=2.0, precision=0.0), clock)

    assert clock.now_s == pytest.approx(2.0, abs=0.3)


def test_a_median_that_is_known_costs_no_more_time():
    clock = Clock()

    measured(Script(0.001, 0.0), Effort(budget_s=100.0), clock)

    assert clock.now_s < 5.0


def test_batches_past_the_latency_bound_are_not_tried():
    seen = measured(Script(0.0, 0.010), Effort(bound_s=0.030))

    assert {v.batch for v in seen} == {1, 2, 4}


def test_every_batch_size_is_measured_in_every_round():
    seen = measured(Script(0.0, 0.100), Effort(budget_s=0.1, rounds=3))

    assert [v.batch for v in seen] == [1, 2, 4, 8] * 3


def test_warm_up_runs_do_not_count():
    clock = Clock(slow=lambda n: n <= 2)

    seen = measured(Script(0.010, 0.0), Effort(grid=(8,), warmup_runs=2), clock)

    assert max(s for v in seen for s in v.took_s) == pytest.approx(0.010)


def test_rare_hiccups_leave_the_median_and_are_seen_in_the_tail():
    clock = Clock(slow=lambda n: n % 10 == 0)
    backend = ScriptedBackend(Script(0.010, 0.0), FAMILY, sleep=clock.sleep)

    effort = Effort(budget_s=5.0, precision=0.0)
    profile = measure_arm(Loaded(backend, 1), FAMILY, VARIANT, effort, Instruments(clock))

    assert profile.latency_s(4) == pytest.approx(0.010)
    assert profile.latency_s(4, 0.95) == pytest.approx(0.100)
    assert profile.mean_table(4)[4] == pytest.approx(0.011, rel=0.05)


def test_the_gate_is_entered_around_every_single_run():
    clock, entered, most = Clock(), [0], [0]
    backend = ScriptedBackend(Script(0.010), FAMILY, sleep=clock.sleep)

    @contextmanager
    def gate() -> Iterator[None]:
        entered[0] += 1
        before = clock.sleeps
        yield
        most[0] = max(most[0], clock.sleeps - before)

    list(visits(backend, FAMILY, Effort(), Instruments(clock, gate)))

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


def test_a_run_that_fails_is_an_error():
    with pytest.raises(BackendError, match="run 5"):
        measured(Script(0.001, fail_on_run=5), Effort())


def test_the_grid_ends_at_the_familys_largest_batch():
    assert batches((1, 2, 4, 8, 16, 32), 12) == (1, 2, 4, 8, 12)
    assert batches((1, 2, 4), 1) == (1,)


def test_sample_inputs_fit_the_signature_and_use_the_whole_range():
    found = sample_inputs(FAMILY, 64)

    assert (found["x"].shape, found["x"].dtype) == ((64, 2, 3), np.uint8)
    assert (found["f"].shape, found["f"].dtype) == ((64, 4), np.float32)
    assert found["x"].max() > 240


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "INT64", "FP16", "FP64", "UINT16"])
def test_every_datatype_has_samples(datatype: str):
    family = Family("t", (TensorSpec("x", datatype, (-1, 3)),), (), (), Slo(0.1))

    assert len(sample_inputs(family, 4)["x"]) == 4
