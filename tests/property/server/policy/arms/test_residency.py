"""The residency plan against every subset tried, each mixed at best by a linear programme of its own."""

from itertools import chain, combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from server.policy.arms.mixing import LoadLevel, PricedArm
from server.policy.arms.residency import Layout, ResidencyBounds, ResidentSet, plan
from server.policy.decision import Arm

MIB = 1 << 20
LAYOUTS = (Layout(1, 2), Layout(2, 1))
few = settings(max_examples=30, deadline=None)


@st.composite
def offers(draw: st.DrawFn, most: int = 5) -> list[PricedArm]:
    """Arms of any cost, accuracy, size and load time."""
    return [
        PricedArm(
            Arm(f"arm{i}", "scripted"),
            draw(st.floats(0.5, 0.9)),
            draw(st.floats(0.001, 0.02)),
            draw(st.integers(1, 8)) * MIB,
            draw(st.floats(0.0, 5.0)),
        )
        for i in range(draw(st.integers(1, most)))
    ]


levels = st.lists(
    st.builds(LoadLevel, st.floats(10.0, 2000.0), st.floats(0.1, 1.0)), min_size=1, max_size=3
)


def mixed(held: tuple[PricedArm, ...], instances: int, load: list[LoadLevel]) -> float:
    """Expected accuracy-weighted goodput of `held`, each level's mix by a linear programme."""
    total, shares = 0.0, sum(level.share for level in load)
    for level in load:
        found = linprog(
            [-o.accuracy for o in held],
            A_ub=[[1.0] * len(held), [o.row_s * level.rate_rps / instances for o in held]],
            b_ub=[1.0, 1.0],
        )
        total -= level.share / shares * found.fun
    return total


def best_by_trying(
    found: dict[Layout, list[PricedArm]],
    load: list[LoadLevel],
    terms: ResidencyBounds,
    present: ResidentSet | None,
) -> float:
    """The most any subset on any layout is worth."""
    best = -np.inf
    for layout, all_of in found.items():
        sizes = range(1, len(all_of) + 1)
        most = max(o.accuracy for o in all_of if o.memory_bytes <= terms.memory_bytes)
        for held in chain.from_iterable(combinations(all_of, n) for n in sizes):
            if sum(o.memory_bytes for o in held) > terms.memory_bytes:
                continue
            here = present.arms if present and present.layout.threads == layout.threads else ()
            loading_s = sum(o.load_s for o in held if o.arm not in here)
            loading = loading_s * most / (terms.horizon_s * layout.instances)
            best = max(best, mixed(held, layout.instances, load) - loading)
    return float(best)


@few
@given(offers(), offers(), levels, st.integers(8, 24))
def test_no_subset_of_arms_on_any_layout_is_worth_more(
    narrow: list[PricedArm], wide: list[PricedArm], load: list[LoadLevel], mib: int
):
    found, terms = dict(zip(LAYOUTS, (narrow, wide), strict=True)), ResidencyBounds(mib * MIB, 2)

    planned = plan(found, load, terms)

    assert abs(planned.value - best_by_trying(found, load, terms, None)) < 1e-6


@few
@given(offers(), levels, st.integers(8, 24), st.data())
def test_what_is_kept_is_within_the_threshold_of_the_best(
    found: list[PricedArm], load: list[LoadLevel], mib: int, data: st.DataObject
):
    held = data.draw(st.sets(st.sampled_from([o.arm for o in found]), min_size=1))
    present, terms = (
        ResidentSet(LAYOUTS[0], frozenset(held)),
        ResidencyBounds(mib * MIB, 2, gain=0.01),
    )

    planned = plan({LAYOUTS[0]: found}, load, terms, present)

    best = best_by_trying({LAYOUTS[0]: found}, load, terms, present)
    slack = terms.gain if planned.reason == "kept" else 0.0
    assert planned.value >= best - slack - 1e-6
    assert planned.reason == "kept" or planned.residency != present


@few
@given(offers(), levels, st.integers(8, 20), st.integers(0, 20))
def test_more_memory_never_lowers_the_value(
    found: list[PricedArm], load: list[LoadLevel], mib: int, more: int
):
    less = plan({LAYOUTS[0]: found}, load, ResidencyBounds(mib * MIB, 2))
    with_more = plan({LAYOUTS[0]: found}, load, ResidencyBounds((mib + more) * MIB, 2))

    assert with_more.value >= less.value - 1e-6


@few
@given(offers(), levels, st.integers(8, 24))
def test_the_plan_fits_its_memory(found: list[PricedArm], load: list[LoadLevel], mib: int):
    planned = plan({LAYOUTS[0]: found}, load, ResidencyBounds(mib * MIB, 2))

    held = [o for o in found if o.arm in planned.residency.arms]
    assert len(held) > 0
    assert sum(o.memory_bytes for o in held) <= mib * MIB


@few
@given(offers(), levels, st.integers(8, 24))
def test_an_arm_that_costs_more_and_gives_less_is_never_held(
    found: list[PricedArm], load: list[LoadLevel], mib: int
):
    best = max(found, key=lambda o: o.accuracy)
    worse = PricedArm(
        Arm("worse", "scripted"),
        best.accuracy - 0.01,
        1.1 * best.row_s,
        best.memory_bytes,
        best.load_s,
    )

    planned = plan({LAYOUTS[0]: [*found, worse]}, load, ResidencyBounds(mib * MIB, 2))

    assert worse.arm not in planned.residency.arms
