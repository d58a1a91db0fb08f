"""Numbers that count rows: told for any number of them, or not at all."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.backends.rows.counts import Count, holds
from models.backends.rows.shapes import ROWS


def told(
    kind: str, *given: Any, result: Any, counted: tuple[bool, ...] = (True, False), **more: Any
) -> bool:
    node = helper.make_node(kind, [f"i{n}" for n in range(len(given))], ["o"], **more)
    return holds(node, [np.array(one) for one in given], counted, np.array(result))


def test_a_count_is_so_many_times_the_rows_and_the_rest():
    count = Count.read(np.array([3 * ROWS - 2, 7]))

    assert count is not None
    assert (count.each.tolist(), count.rest.tolist()) == ([3, 0], [-2, 7])
    assert not count.is_shape
    assert not count.is_constant


@pytest.mark.parametrize("value", [0.5, ROWS << 31, float("nan"), "rows"])
def test_what_is_no_count_is_not_read_as_one(value: Any):
    assert Count.read(np.array(value)) is None


@pytest.mark.parametrize(
    ("kind", "left", "right", "result"),
    [
        ("Add", ROWS, 1, ROWS + 1),
        ("Sub", [ROWS, 2], 1, [ROWS - 1, 1]),
        ("Mul", ROWS, 6, 6 * ROWS),
        ("Div", 6 * ROWS, 3, 2 * ROWS),
        ("Equal", ROWS, -1, False),
        ("Less", ROWS, 1 - ROWS, False),
    ],
)
def test_sums_products_and_quotients_without_a_remainder_hold(
    kind: str, left: Any, right: Any, result: Any
):
    counted = (True, bool(np.any(np.abs(right) > ROWS // 2)))

    assert told(kind, left, right, result=result, counted=counted)


@pytest.mark.parametrize(
    ("kind", "left", "right", "result"),
    [
        ("Div", ROWS, 2, ROWS // 2),
        ("Div", 2 * ROWS + 1, 2, ROWS),
        ("Equal", ROWS, 5, False),
        ("Greater", ROWS, 8, True),
        ("Min", ROWS, 8, 8),
        ("Mod", ROWS, 8, ROWS % 8),
    ],
)
def test_what_hangs_on_how_many_rows_there_are_does_not(
    kind: str, left: Any, right: Any, result: Any
):
    assert not told(kind, left, right, result=result)


def test_numbers_are_handed_on_where_rows_do_not_say_which():
    assert told("Gather", [ROWS, 4], 0, result=ROWS)
    assert not told("Gather", [4, 5], ROWS, result=4, counted=(False, True))
    assert not told("Where", True, ROWS, 4, result=ROWS, counted=(True, True, False))
    assert told("Where", True, ROWS, 4, result=ROWS, counted=(False, True, False))
    assert told("Cast", ROWS, result=float(ROWS), counted=(True,), to=TensorProto.FLOAT)
    assert not told("Cast", ROWS, result=ROWS % 256, counted=(True,), to=TensorProto.UINT8)


def test_a_product_of_all_holds_with_rows_in_it_once():
    assert told("ReduceProd", [ROWS, 6], result=6 * ROWS, counted=(True,))
    assert not told("ReduceProd", [ROWS, ROWS], result=ROWS * ROWS, counted=(True,))
    assert told("Div", 6 * ROWS, ROWS, result=6, counted=(True, True))
