"""Which graphs are worth having, and how batches run on those there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backends.openvino_graphs.sizes import ONE_BY_ONE, is_plan, pays, plan_of, runs


def test_a_graph_that_runs_its_rows_no_faster_does_not_pay():
    assert not pays(4, {1: 0.010, 4: 0.039})


def test_a_graph_that_runs_its_rows_faster_pays():
    assert pays(4, {1: 0.010, 4: 0.025})


def test_a_graph_is_held_against_the_best_of_the_smaller_ones():
    assert not pays(8, {1: 0.010, 4: 0.020, 8: 0.039})


def test_with_one_graph_rows_run_one_by_one():
    assert plan_of({1: 0.010}) == ONE_BY_ONE


def test_rows_are_filled_up_where_that_is_quicker_than_running_them_one_by_one():
    plan = plan_of({1: 0.010, 4: 0.024})

    assert plan == (1, 1, 4, 4)
    assert runs(7, plan) == [(0, 4, 4), (4, 7, 4)]
    assert runs(6, plan) == [(0, 4, 4), (4, 5, 1), (5, 6, 1)]


@pytest.mark.parametrize("plan", [(), (2,), (1, 1), (1, 3, 2), (0,), (1, 4)])
def test_what_says_of_no_graph_how_rows_run_is_no_plan(plan: tuple[int, ...]):
    assert not is_plan(plan)


@given(
    st.dictionaries(st.sampled_from([2, 4, 8, 16, 32]), st.floats(1e-4, 1.0)),
    st.floats(1e-4, 1.0),
    st.integers(1, 100),
)
def test_every_row_runs_once_and_on_a_graph_that_there_is(
    took_s: dict[int, float], one_s: float, rows: int
):
    plan = plan_of({1: one_s, **took_s})

    parts = runs(rows, plan)

    assert is_plan(plan)
    assert [row for start, end, _ in parts for row in range(start, end)] == list(range(rows))
    assert all(size in {1, *took_s} and size >= end - start for start, end, size in parts)
