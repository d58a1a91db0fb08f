"""Shapes and work where sizes are free."""

import pytest

from models.catalog import UNITS, Family, FreeSize, Slo, TensorSpec

TOKENS = FreeSize("tokens", 32, 512)
TEXT = Family(
    "text",
    (TensorSpec("ids", "INT64", (-1, -1), ("tokens",)),),
    (
        TensorSpec("states", "FP32", (-1, -1, 8), ("tokens",)),
        TensorSpec("kept", "FP32", (-1, -1), ("",)),
    ),
    (),
    Slo(0.05),
    max_batch=4,
    sizes=(TOKENS,),
)
SIDES = (FreeSize("height", 200, 800), FreeSize("width", 100, 400))
PICTURES = Family(
    "pictures",
    (TensorSpec("x", "FP32", (-1, 3, -1, -1), ("height", "width")),),
    (),
    (),
    Slo(0.05),
    sizes=SIDES,
)


def test_what_is_free_takes_any_size_and_what_is_fixed_its_own():
    states = TEXT.outputs[0]

    assert states.fits((7, 8))
    assert not states.fits((7, 9))
    assert not states.fits((8,))


def test_sizes_that_are_given_are_set_and_what_follows_from_a_row_stays_free():
    family = TEXT.typical

    assert [spec.shape for spec in family.inputs] == [(-1, 32)]
    assert [(spec.shape, spec.sizes) for spec in family.outputs] == [
        ((-1, 32, 8), ()),
        ((-1, -1), ("",)),
    ]
    assert TEXT.largest.inputs[0].shape == (-1, 512)


@pytest.mark.parametrize(("tokens", "units"), [(1, 1), (8, 1), (16, 2), (32, UNITS), (512, 64)])
def test_work_follows_the_size(tokens: int, units: int):
    assert TEXT.units({"tokens": tokens}) == units


def test_work_follows_the_product_of_sizes_that_are_free_together():
    assert PICTURES.units({"height": 200, "width": 100}) == UNITS
    assert PICTURES.units({"height": 400, "width": 200}) == 4 * UNITS
    assert PICTURES.with_units(4 * UNITS).inputs[0].shape == (-1, 3, 400, 200)


def test_the_largest_batch_holds_the_largest_row():
    assert TEXT.most_units == TEXT.units({"tokens": 512}) == 64
    assert PICTURES.most_units == PICTURES.max_batch * UNITS


def test_without_free_sizes_a_row_is_a_unit():
    fixed = Family("f", (TensorSpec("x", "FP32", (-1, 3)),), (), (), Slo(0.05), max_batch=7)

    assert (fixed.units({}), fixed.row_units, fixed.most_units) == (1, 1, 7)
    assert fixed.typical is fixed.largest is fixed.with_units(3.0) is fixed
