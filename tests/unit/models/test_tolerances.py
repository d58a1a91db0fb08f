"""What counts as agreement, by datatype and precision."""

import numpy as np
import pytest

from models.tolerances import compared


def row(*values: float, dtype: str = "float32") -> np.ndarray:
    return np.array([values], dtype)


def test_the_last_bits_of_a_float_are_agreement_and_the_largest_difference_is_told():
    found = compared("y", [row(1.0, 1e-6)], [row(1.0, 1.5e-6)], "fp32")

    assert found.agrees
    assert found.value == pytest.approx(5e-7, rel=1e-2)


def test_a_thousandth_of_a_float_is_none_in_fp32_and_agreement_in_bf16():
    assert not compared("y", [row(1.0, 0.0)], [row(1.001, 0.0)], "fp32").agrees
    assert compared("y", [row(1.0, 0.0)], [row(1.001, 0.0)], "bf16").agrees


def test_whole_numbers_are_equal_or_not():
    expected, found = row(2**40 + 7, 5, dtype="int64"), row(10, 5, dtype="int64")

    difference = compared("y", [expected], [found], "fp32")

    assert not difference.agrees
    assert difference.value == 0.5
    assert "10 instead of 1099511627783" in difference.where


def test_doubles_computed_as_floats_do_not_agree():
    expected = row(1 / 3, 1.0, dtype="float64")

    assert not compared(
        "y", [expected], [expected.astype("float32").astype("float64")], "fp32"
    ).agrees


def test_what_is_no_number_must_be_none_at_the_same_place():
    nan, inf = float("nan"), float("inf")

    assert compared("y", [row(nan, inf, 1)], [row(nan, inf, 1)], "fp32").agrees
    assert not compared("y", [row(nan, 1)], [row(0, 1)], "fp32").agrees
    assert not compared("y", [row(inf, 1)], [row(-inf, 1)], "fp32").agrees


def test_each_row_counts_by_its_own_size():
    expected, found = [row(1e20), row(1.0)], [row(1e20), row(1.01)]

    assert not compared("y", expected, found, "fp32").agrees


def test_another_shape_or_type_is_no_agreement():
    assert not compared("y", [row(1, 2)], [row(1, 2, 3)], "int8").agrees
    assert not compared("y", [row(1)], [row(1, dtype="float64")], "int8").agrees


def test_quantised_rows_are_compared_as_wholes():
    rng = np.random.default_rng(1)
    full = rng.standard_normal((1, 100)).astype("float32")
    noise = rng.standard_normal((1, 100)).astype("float32")

    assert compared("y", [full], [full + 0.1 * noise], "int8").agrees
    assert not compared("y", [full], [noise], "int8").agrees


def test_a_narrow_row_that_has_overflowed_is_no_agreement():
    nan, inf = float("nan"), float("inf")

    for precision in ("fp16", "bf16", "int8"):
        assert not compared("y", [row(1, 2)], [row(nan, nan)], precision).agrees
        assert not compared("y", [row(1, 2)], [row(1, inf)], precision).agrees
        assert compared("y", [row(nan, 2)], [row(1, 2)], precision).agrees


def test_the_pair_that_is_told_is_one_that_differs():
    inf = float("inf")

    difference = compared("y", [row(-inf, 1, 2)], [row(-inf, 1, 5)], "fp32")

    assert "5.0 instead of 2.0" in difference.where
