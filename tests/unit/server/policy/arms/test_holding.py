"""What is held where memory does not hold all: hand-made cases, and that no budget is ever exceeded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.policy.arms.holding import ArmMemory, MemoryTerms, TooLittleMemory, held_within
from server.policy.arms.residency import Layout
from server.policy.decision import Arm
from tests.support.builders import a_profile

MIB = 1 << 20
SLO_S = 0.05


def an_arm(name: str, accuracy: float, row_s: float, mib: int) -> ArmMemory:
    return ArmMemory(a_profile(name, accuracy, row_s), mib * MIB)


SMALL = an_arm("small", 0.70, 0.002, 10)
MIDDLE = an_arm("middle", 0.76, 0.005, 20)
LARGE = an_arm("large", 0.80, 0.010, 40)
BEATEN = an_arm("beaten", 0.69, 0.012, 5)
ALL = [SMALL, MIDDLE, LARGE, BEATEN]


def terms(mib: int, rate_rps: float = 0.0) -> MemoryTerms:
    return MemoryTerms(mib * MIB, Layout(1, 1), SLO_S, rate_rps)


def names(arms: frozenset[Arm]) -> set[str]:
    return {arm.variant for arm in arms}


def test_where_all_fit_all_are_held():
    assert names(held_within(ALL, terms(75))) == {"small", "middle", "large", "beaten"}


def test_what_no_load_needs_is_held_only_where_there_is_room_left():
    assert "beaten" not in names(held_within(ALL, terms(70)))
    assert names(held_within(ALL, terms(36))) == {"small", "middle", "beaten"}


def test_the_load_of_the_moment_says_what_is_held():
    quiet = held_within([SMALL, LARGE], terms(40, rate_rps=20.0))
    busy = held_within([SMALL, LARGE], terms(40, rate_rps=480.0))

    assert names(quiet) == {"large"}
    assert names(busy) == {"small"}


def test_what_is_there_stays_while_another_set_is_hardly_better():
    twin = an_arm("twin", 0.7001, 0.002, 10)

    held = held_within([SMALL, twin], terms(10), present=[SMALL.profile.arm])

    assert names(held) == {"small"}


def test_where_nothing_fits_it_is_said_what_the_smallest_takes():
    with pytest.raises(TooLittleMemory) as raised:
        held_within(ALL, terms(4))

    assert raised.value.least_bytes == 5 * MIB


def test_where_all_are_too_slow_for_the_bound_something_is_held_all_the_same():
    slow = [an_arm("slow", 0.7, 1.0, 10), an_arm("slower", 0.8, 2.0, 20)]

    assert names(held_within(slow, terms(15))) == {"slow"}


@given(
    st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(1e-3, 0.1), st.integers(1, 50)), min_size=1),
    st.integers(1, 200),
    st.floats(0.0, 1000.0),
)
def test_the_budget_is_kept_and_somebody_answers(
    drawn: list[tuple[float, float, int]], mib: int, rate_rps: float
):
    arms = [an_arm(f"v{i}", *one) for i, one in enumerate(drawn[:8])]
    if min(one.memory_bytes for one in arms) > mib * MIB:
        return

    held = held_within(arms, terms(mib, rate_rps))

    taken = sum(one.memory_bytes for one in arms if one.profile.arm in held)
    assert held
    assert taken <= mib * MIB
