"""What should be in memory: hand-made cases."""

import pytest

from server.policy.arms.mixing import LoadLevel, PricedArm, expected_awg
from server.policy.arms.residency import Layout, ResidencyBounds, ResidentSet, layouts, plan, row_s
from server.policy.decision import Arm
from tests.support.builders import a_profile

ONE = Layout(1, 1)
MIB = 1 << 20


def an_offer(
    name: str, accuracy: float, row_ms: float, mib: int = 10, load_s: float = 0.0
) -> PricedArm:
    """An arm called `name`."""
    return PricedArm(Arm(name, "scripted"), accuracy, row_ms / 1e3, mib * MIB, load_s)


SMALL, MIDDLE, LARGE = (
    an_offer("small", 0.70, 2.0),
    an_offer("middle", 0.76, 5.0),
    an_offer("large", 0.80, 10.0),
)


def arms(*offers: PricedArm) -> frozenset[Arm]:
    """The arms of these offers."""
    return frozenset(offer.arm for offer in offers)


def test_at_a_low_load_the_most_accurate_is_all_that_is_needed():
    found = plan(
        {ONE: [SMALL, MIDDLE, LARGE]}, [LoadLevel(50.0, 1.0)], ResidencyBounds(100 * MIB, 1)
    )

    assert found.residency.arms == arms(LARGE)
    assert found.awg == pytest.approx(0.80)


def test_where_memory_holds_one_the_load_says_which():
    terms = ResidencyBounds(10 * MIB, 1)

    busy = plan({ONE: [SMALL, MIDDLE, LARGE]}, [LoadLevel(500.0, 1.0)], terms)
    quiet = plan({ONE: [SMALL, MIDDLE, LARGE]}, [LoadLevel(100.0, 1.0)], terms)

    assert busy.residency.arms == arms(SMALL)
    assert quiet.residency.arms == arms(LARGE)


def test_loads_of_both_kinds_call_for_both_kinds_of_arms():
    levels = [LoadLevel(50.0, 0.5), LoadLevel(500.0, 0.5)]

    found = plan({ONE: [SMALL, MIDDLE, LARGE]}, levels, ResidencyBounds(20 * MIB, 1))

    assert found.residency.arms == arms(SMALL, LARGE)
    assert found.awg == pytest.approx(0.5 * 0.80 + 0.5 * 0.70)


def test_an_arm_is_not_loaded_for_less_than_loading_costs():
    slow_to_load = an_offer("large", 0.80, 10.0, load_s=60.0)
    present = ResidentSet(ONE, arms(MIDDLE))

    soon = plan(
        {ONE: [MIDDLE, slow_to_load]},
        [LoadLevel(50.0, 1.0)],
        ResidencyBounds(99 * MIB, 1, horizon_s=600.0),
        present,
    )
    later = plan(
        {ONE: [MIDDLE, slow_to_load]},
        [LoadLevel(50.0, 1.0)],
        ResidencyBounds(99 * MIB, 1, horizon_s=6000.0),
        present,
    )

    assert (soon.residency, soon.reason) == (present, "kept")
    assert (later.residency.arms, later.reason) == (arms(slow_to_load), "better")


def test_a_gain_below_the_threshold_changes_nothing():
    barely = an_offer("barely", 0.761, 5.0)
    present = ResidentSet(ONE, arms(MIDDLE))

    found = plan(
        {ONE: [MIDDLE, barely]}, [LoadLevel(50.0, 1.0)], ResidencyBounds(10 * MIB, 1), present
    )

    assert (found.residency, found.reason) == (present, "kept")


def test_a_present_residency_that_no_longer_fits_is_given_up_however_good():
    present = ResidentSet(ONE, arms(SMALL, LARGE))

    found = plan(
        {ONE: [SMALL, LARGE]}, [LoadLevel(500.0, 1.0)], ResidencyBounds(10 * MIB, 1), present
    )

    assert found.residency.arms == arms(SMALL)


def test_threads_pay_where_a_row_alone_is_too_slow_for_one():
    narrow, wide = Layout(1, 2), Layout(2, 1)
    slow = PricedArm(LARGE.arm, 0.80, float("inf"), 10 * MIB, 0.0)

    found = plan(
        {narrow: [SMALL, slow], wide: [SMALL, LARGE]},
        [LoadLevel(50.0, 1.0)],
        ResidencyBounds(99 * MIB, 2),
    )

    assert found.residency == ResidentSet(wide, arms(LARGE))


def test_a_layout_beyond_the_cores_is_passed_over():
    found = plan(
        {Layout(1, 8): [SMALL], ONE: [SMALL]}, [LoadLevel(900.0, 1.0)], ResidencyBounds(99 * MIB, 4)
    )

    assert found.residency.layout == ONE


def test_what_fits_nowhere_is_refused_with_the_budget_named():
    with pytest.raises(ValueError, match="fits 5 bytes"):
        plan({ONE: [SMALL]}, [LoadLevel(50.0, 1.0)], ResidencyBounds(5, 1))


def test_no_load_is_refused():
    with pytest.raises(ValueError, match="no load"):
        plan({ONE: [SMALL]}, [], ResidencyBounds(99 * MIB, 1))


def test_layouts_fill_the_cores():
    assert layouts(4, [1, 2, 3, 8]) == [Layout(1, 4), Layout(2, 2), Layout(3, 1)]


def test_a_row_costs_least_in_the_best_batch_within_half_the_bound():
    profile = a_profile(first_s=0.004, more_s=0.002, p95=1.0)

    assert row_s(profile, 0.016) == pytest.approx(0.008 / 3)
    assert row_s(profile, 0.005) == pytest.approx(0.004)
    assert row_s(profile, 0.003) == float("inf")


def test_nothing_in_memory_is_worth_nothing():
    assert expected_awg([], 1, [LoadLevel(10.0, 1.0)]) == 0.0
