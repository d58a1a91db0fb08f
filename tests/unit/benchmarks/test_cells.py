"""The policy benchmark's grid: what a utilisation of 1 is, and which arms a decision is timed with."""

from itertools import pairwise

import pytest

from benchmarks.policies import cells, decision_time
from benchmarks.policies.cells import Cell, Machine
from tests.support.builders import a_profile, three_arms


def test_a_machine_is_as_fast_as_its_most_accurate_arm_in_the_best_batch_inside_the_slo():
    arms = (a_profile("small", 0.7, 0.001), a_profile("large", 0.8, 0.010, 0.005, max_batch=16))

    assert Machine("some", arms, slo_s=0.050).largest_rps == pytest.approx(8 / 0.045)


def test_the_grid_holds_every_combination_once():
    grid = cells.grid(["gpu", "cpu"], ["gamma", "surges"])

    assert len(grid) == len(set(grid)) == 2 * 2 * len(cells.UTILISATIONS) * len(cells.WORKERS)
    assert Cell("cpu", "gamma", 1.5, 4) in grid


def test_interpolated_arms_grow_in_accuracy_and_latency_between_the_given_ones():
    given = sorted(three_arms(), key=lambda arm: arm.accuracy)

    arms = decision_time.interpolated(given, 9)

    assert arms[0].mean_s == pytest.approx(given[0].mean_s)
    assert arms[-1].accuracy == given[-1].accuracy
    assert all(a.accuracy < b.accuracy and a.mean_s[4] < b.mean_s[4] for a, b in pairwise(arms))


def test_the_committed_cpu_profile_has_the_default_familys_eight_variants():
    machine = cells.machine("cpu", cells.default_sources())

    assert len(machine.arms) == 8
    assert machine.slo_s == 4.0 * max(arm.mean_s[1] for arm in machine.arms)
