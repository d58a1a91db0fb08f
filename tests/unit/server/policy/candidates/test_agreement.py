"""How often classifiers must agree, and when too few rows do."""

import pytest

from models.catalog import Family, Slo, TensorSpec
from server.policy.candidates import agreement
from server.policy.candidates.agreement import (
    REMEMBERED,
    Tally,
    added,
    is_contradicted,
    least,
    upper,
)

X = (TensorSpec("x", "FP32", (-1, 4)),)


def a_family(*outputs: TensorSpec, labels: int = 3) -> Family:
    return Family("f", X, outputs, (), Slo(1.0), labels=tuple("abcdef"[:labels]))


def test_both_being_right_is_what_must_agree():
    assert least(0.9, 0.8) == pytest.approx(0.7)
    assert least(0.4, 0.5) == 0.0


def test_wilsons_upper_end_is_above_the_share_and_meets_it_with_many_rows():
    assert upper(50, 100) == pytest.approx(0.6437, abs=1e-3)
    assert upper(100, 100) == pytest.approx(1.0)
    assert 0.0 < upper(0, 100) < 0.1
    assert upper(50_000, 100_000) == pytest.approx(0.5, abs=0.005)


def test_a_share_just_below_the_bound_is_not_held_against_it():
    assert not is_contradicted(Tally(100, 75, 80.0), 64)
    assert is_contradicted(Tally(100, 60, 80.0), 64)


def test_a_few_rows_prove_nothing():
    assert not is_contradicted(Tally(63, 0, 60.0), 64)
    assert is_contradicted(Tally(64, 0, 60.0), 64)
    assert not is_contradicted(Tally(), 0)


def test_where_nothing_must_agree_nothing_is_held_against_it():
    assert not is_contradicted(Tally(1000, 0, 0.0), 64)


def test_rows_of_long_ago_count_less():
    tally = Tally()
    for _ in range(100):
        tally = added(tally, 64, 64, 0.8)
    for _ in range(12):
        tally = added(tally, 64, 20, 0.8)

    assert tally.rows <= 2 * REMEMBERED
    assert is_contradicted(tally, 64)


@pytest.mark.parametrize(
    ("family", "scores"),
    [
        (a_family(TensorSpec("y", "FP32", (-1, 3))), "y"),
        (a_family(TensorSpec("e", "FP32", (-1, 8)), TensorSpec("y", "FP16", (-1, 3))), "y"),
        (a_family(TensorSpec("y", "FP32", (-1, 4))), None),
        (a_family(TensorSpec("y", "INT64", (-1, 3))), None),
        (a_family(TensorSpec("y", "FP32", (-1, 3, 3))), None),
        (a_family(TensorSpec("y", "FP32", (-1, 0)), labels=0), None),
        (a_family(TensorSpec("y", "FP32", (-1, 1)), labels=1), None),
    ],
)
def test_class_scores_are_floats_one_a_label(family: Family, scores: str | None):
    assert agreement.scores_of(family) == scores
