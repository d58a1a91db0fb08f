"""A copy's accuracy from its answers beside fp32's: never surer than the rows allow, never silent about what is odd."""

from math import comb

import numpy as np
import pytest

from models.build.comparing import Answers, judged, unusable, wilson
from models.catalog import Accuracy

FULL = Accuracy(0.9, "own test split", 5000, 0.01)


def scores(classes: list[int], count: int = 3) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[classes]


def classes(n: int) -> list[int]:
    return [i % 3 for i in range(n)]


def differing(n: int, rows: int) -> list[int]:
    return [(c + 1) % 3 if i < rows else c for i, c in enumerate(classes(n))]


def with_labels(right: int, n: int, worse: int = 0, better: int = 0) -> Answers:
    """fp32 is right on `right` of n rows; the copy is wrong on `worse` of those and right on `better` others."""
    labels = np.array(classes(n))
    full = [c if i < right else (c + 1) % 3 for i, c in enumerate(classes(n))]
    made = list(full)
    for i in range(worse):
        made[i] = (labels[i] + 1) % 3
    for i in range(right, right + better):
        made[i] = labels[i]
    return Answers({"y": scores(full)}, {"y": scores(made)}, labels)


@pytest.mark.parametrize("n", [20, 32, 100, 1000])
def test_no_differing_row_of_few_is_no_certainty(n: int):
    alike = judged(FULL, Answers({"y": scores(classes(n))}, {"y": scores(classes(n))})).accuracy
    measured = judged(FULL, with_labels(round(0.9 * n), n)).accuracy

    assert alike.value == measured.value == FULL.value
    assert alike.interval >= FULL.value * 3 / (n + 4)  # the rule of three
    assert measured.interval >= 3 / (n + 4)


def test_the_interval_of_a_loss_covers_it_about_as_often_as_it_says():
    n, worse, better = 32, 0.1, 0.04
    covered = 0.0
    for w in range(n + 1):
        for b in range(n + 1 - w):
            chance = comb(n, w) * comb(n - w, b) * worse**w * better**b * (0.86) ** (n - w - b)
            if chance < 1e-9:
                continue
            known = judged(Accuracy(1.0, "s"), with_labels(n - b, n, w, b)).accuracy
            covered += chance * (abs(known.value - (1 - (worse - better))) <= known.interval)

    assert covered > 0.94


def test_a_loss_is_measured_and_a_gain_is_none():
    lost = judged(FULL, with_labels(90, 100, worse=5)).accuracy
    won = judged(FULL, with_labels(90, 100, better=5)).accuracy

    assert lost.value == pytest.approx(0.85)
    assert "85.0% right, fp32 90.0%; same class 95.0%" in lost.source
    assert won.value == 0.9


def test_a_manifest_that_labels_contradict_is_not_believed():
    found = judged(FULL, with_labels(30, 100))

    assert found.accuracy.value == pytest.approx(0.3)
    (doubt,) = found.doubts
    assert (
        doubt
        == "fp32 is right on 30.0% of 100 labelled rows, the manifest says 90.0% (own test split)"
    )
    assert doubt in found.accuracy.source


def test_rows_that_are_easier_than_the_manifests_are_said_but_change_nothing():
    found = judged(Accuracy(0.5, "own", 100), with_labels(99, 100))

    assert found.accuracy.value == 0.5
    assert "easier" in found.doubts[0]


def test_chance_alone_contradicts_no_manifest():
    assert not judged(FULL, with_labels(84, 100)).doubts


def test_a_low_agreement_is_a_doubt():
    answers = Answers({"y": scores(classes(40))}, {"y": scores(differing(40, 24))})

    found = judged(FULL, answers)

    assert found.accuracy.value == pytest.approx(0.36)
    assert "'y' says what fp32 says on only 40.0% of 40 rows" in found.accuracy.source


def test_whole_numbers_are_answers_too():
    full = np.array(classes(40), np.int64)
    made = np.array(differing(40, 4), np.int64)

    estimated = judged(FULL, Answers({"label": full}, {"label": made})).accuracy
    measured = judged(FULL, Answers({"label": full}, {"label": made}, full)).accuracy

    assert estimated.value == pytest.approx(0.81)
    assert measured.value == pytest.approx(0.8)


def test_the_output_with_a_score_for_each_label_is_the_classes():
    boxes = np.random.default_rng(1).standard_normal((40, 4)).astype(np.float32)
    labels = np.array(classes(40))
    full = {"boxes": boxes, "y": scores(classes(40))}

    known = judged(Accuracy(1.0, "s"), Answers(full, full, labels, classes=3)).accuracy

    assert "100.0% right, fp32 100.0%" in known.source


def test_an_error_counts_by_how_much_the_rows_differ():
    """1000 +- 1 that is off by 1 is of no use, however small one in a thousand looks."""
    full = 1000 + np.random.default_rng(2).standard_normal((40, 1)).astype(np.float32)

    found = judged(FULL, Answers({"y": full}, {"y": full + np.float32(1)}))

    assert found.accuracy.value < 0.1
    assert "'y' is off by" in found.doubts[0]


def test_answers_that_are_no_numbers_make_a_copy_unusable():
    full = scores(classes(40))
    made = full.copy()
    made[3, 0] = np.nan
    made[5, 1] = np.inf

    assert unusable(Answers({"y": full}, {"y": made})) == (
        "its output 'y' is not finite on 2 of 40 held-out rows"
    )
    assert not unusable(Answers({"y": made}, {"y": made}))
    none = np.full_like(full, np.nan)
    assert "finite on none of 40" in unusable(Answers({"y": none}, {"y": none}))
    assert (
        "fp32's 'y' is not finite on 2 of 40 rows"
        in judged(FULL, Answers({"y": made}, {"y": made})).doubts
    )


def test_another_shape_makes_a_copy_unusable():
    assert "fp32's float32 [40, 3]" in unusable(
        Answers({"y": scores(classes(40))}, {"y": scores(classes(40))[:39]})
    )


def test_the_interval_is_wilsons():
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(0.9, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
