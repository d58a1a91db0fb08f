"""The rows at which runtimes part."""

import numpy as np
import pytest

from models.catalog import Family, Slo, TensorSpec
from models.tolerances import is_tame
from profiler.measuring.extremes import extreme_rows, is_edge


def family(*inputs: TensorSpec) -> Family:
    return Family("f", inputs, (), (), Slo(0.05), max_batch=8)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (-1, 2), (-1, 40)])
def test_a_row_of_few_values_is_shown_as_many_as_a_large_one(shape: tuple[int, ...]):
    rows = list(extreme_rows(family(TensorSpec("x", "FP32", shape))))

    shown = np.concatenate([row["x"].ravel() for row in rows])

    assert {2.5, -0.5, 7.0, -255.5} <= set(shown.tolist())
    assert np.isnan(shown).any()
    assert np.isinf(shown).any()


def test_whole_numbers_next_to_the_ends_of_floats_are_shown_to_single_values_too():
    rows = list(extreme_rows(family(TensorSpec("x", "INT64", (-1, 1)))))

    shown = {int(row["x"][0, 0]) for row in rows}

    assert {2**24 + 1, 2**31, 2**53 + 1, -(2**63)} <= shown


def test_several_inputs_are_not_equal_everywhere():
    specs = TensorSpec("x", "INT32", (-1, 4)), TensorSpec("k", "INT32", (-1, 4))

    rows = list(extreme_rows(family(*specs)))

    assert sum(bool((row["x"] != row["k"]).any()) for row in rows[:8]) >= 4


@pytest.mark.parametrize(
    ("value", "tame"),
    [(1.0, True), (-1e19, True), (1e20, False), (np.nan, False), (np.inf, False), (-np.inf, False)],
)
def test_numbers_that_runtimes_take_for_others_are_told(value: float, tame: bool):
    array = np.array([[0.0, value]], np.float32)

    assert is_tame(array) == tame
    assert is_edge({"x": array}) != tame


def test_whole_numbers_and_nothing_are_tame():
    assert is_tame(np.array([2**62]))
    assert is_tame(np.empty((0, 3), np.float32))
