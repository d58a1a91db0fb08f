"""Jobs that come together fare as they would one after the other."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from server.runtime.dispatch.dispatcher import Limits
from tests.support.builders import a_profile
from tests.support.desk import Desk, a_job

JOBS = st.lists(
    st.tuples(
        st.sampled_from([60.0, 60.0, 0.05, 1e-5]),
        st.sampled_from([1, 1, 1, 3, 20]),
        st.sampled_from([None, None, None, "v", "w"]),
    ),
    max_size=40,
)
"""Seconds that each may take (the last are hopeless), its rows, its pinned variant."""


def a_desk(capacity: int) -> Desk:
    arms = [a_profile("v", first_s=0.01, more_s=0.001, max_batch=8)]
    return Desk(Limits(capacity_rows=capacity, slo_s=60.0), arms)


def seen(desk: Desk) -> tuple[object, ...]:
    """Who waits, in order, and what became of the others."""
    load, standing = desk.dispatcher.load(), desk.dispatcher.standing
    waiting = desk.dispatcher.depth, load.rows, load.arrived, standing.promises
    return (*waiting, [type(one.error) for one in desk.answers], desk.outcomes())


@settings(deadline=None)
@given(st.lists(JOBS, max_size=3), st.sampled_from([5, 25, 1000]))
def test_they_are_let_in_or_refused_as_one_by_one(
    groups: Sequence[Sequence[tuple[float, int, str | None]]], capacity: int
):
    together, apart = a_desk(capacity), a_desk(capacity)
    for group in groups:
        together.submit(*(a_job(*one) for one in group))
        for one in group:
            apart.submit(a_job(*one))

    assert seen(together) == seen(apart)
