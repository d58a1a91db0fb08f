"""The policy benchmark's grid: what a utilisation of 1 is, and which arms a decision is timed with."""

from itertools import pairwise

import pytest

from benchmarks.policies import cells, decision_time
from benchmarks.policies.cells import Cell, Machine
from server.simulator.noise import slowed_at
from tests.support.builders import a_profile, three_arms


def test_a_machine_is_as_fast_as_its_most_accurate_arm_in_the_best_batch_inside_the_slo():
    arms = (a_profile("small", 0.7, 0.001), a_profile("large", 0.8, 0.010, 0.005, max_batch=16))

    assert Machine("some", arms, slo_s=0.050).largest_rps == pytest.approx(8 / 0.045)


def test_the_grid_holds_every_combination_once():
    grid = cells.grid(["gpu", "cpu"], ["gamma", "surges"])

    assert len(grid) == len(set(grid)) == 2 * 2 * len(cells.UTILISATIONS) * len(cells.WORKERS)
    assert Cell("cpu", "gamma", 1.5, 4) in grid


def test_rough_cells_hold_every_condition_trace_and_load_once_and_the_slow_arm():
    found = cells.rough(["gpu", "cpu"])

    assert len(found) == len(set(found))
    assert {cell.condition for cell in found} == {*cells.ROUGH, cells.SLOW_ARM}
    assert Cell("gpu", "azure_conv", 1.5, 4, "stalls") in found
    assert Cell("cpu", "poisson", 0.8, 1, "slow arm") in found


def test_with_a_slow_arm_the_cheapest_takes_three_times_as_long_and_others_do_not():
    sources = cells.default_sources()
    machine = cells.machine("cpu", sources)

    setup = cells.setup(Cell("cpu", "poisson", 1.0, 1, cells.SLOW_ARM), 1, sources)

    cheapest = cells.cheapest(machine.arms)
    assert cheapest == "mobilenet_v2-int8"
    assert slowed_at(setup.spell, 500.0, cheapest) == 3.0
    assert slowed_at(setup.spell, 500.0, "efficientnet_lite0-int8") == 1.0


def test_seeds_take_the_stretches_of_two_minutes_in_turn():
    sources = cells.default_sources()
    cell = Cell("cpu", "surges", 1.0, 1)

    first, second = (cells.offered(cell, seed, 60.0, sources) for seed in (10, 11))
    whole = {seed: cells.offered(cell, seed, 120.0, sources) for seed in (10, 11)}

    assert first.tolist() == [t for t in whole[10].tolist() if t < 60.0]
    assert (second + 60.0).tolist() == pytest.approx([t for t in whole[11] if t >= 60.0])


def test_a_long_run_is_not_a_stretch():
    times = cells.offered(Cell("cpu", "poisson", 1.0, 1), 13, 300.0, cells.default_sources())

    assert times[-1] > 290.0


def test_more_workers_run_for_less_time():
    assert Cell("cpu", "poisson", 1.0, 1).run_s(60.0) == 60.0
    assert Cell("cpu", "poisson", 1.0, 4).run_s(60.0) == 30.0


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
