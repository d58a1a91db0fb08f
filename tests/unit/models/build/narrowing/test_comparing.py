"""A copy's accuracy from its answers beside fp32's: never surer than the rows allow, never silent about what is odd."""

from math import comb

import numpy as np
import pytest

from models.build.narrowing.comparing import Answers, judged, unusable, wilson
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
    answers = Answers({"y": scores(classes(40))}, {"y": scores(differing(40, 24))}, classes=3)

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


def a_detector(confidences: np.ndarray | float) -> np.ndarray:
    """Four positions in pixels and a confidence."""
    rng = np.random.default_rng(5)
    pixels = 400 * rng.random((40, 4))
    return np.column_stack([pixels, np.broadcast_to(confidences, 40)]).astype(np.float32)


CONFIDENT = np.random.default_rng(6).random(40)


def test_columns_are_no_classes_where_nobody_has_labels():
    """The largest of four positions and a confidence agrees, whatever became of the confidence."""
    found = judged(FULL, Answers({"y": a_detector(CONFIDENT)}, {"y": a_detector(0.0)}))

    assert found.accuracy.value < 0.5
    assert any(
        doubt == "column 4 of 'y' became the same on all rows; fp32's differs"
        for doubt in found.doubts
    )


def test_a_column_that_is_far_off_is_said():
    found = judged(FULL, Answers({"y": a_detector(CONFIDENT)}, {"y": a_detector(CONFIDENT[::-1])}))

    assert any(doubt.startswith("column 4 of 'y' off by up to 1.") for doubt in found.doubts)


def test_a_detector_of_many_boxes_is_looked_at_by_its_columns():
    full = a_detector(CONFIDENT).reshape(5, 8, 5)
    made = a_detector(0.5).reshape(5, 8, 5)

    for axes in ((0, 1, 2), (0, 2, 1)):
        answers = Answers({"y": full.transpose(axes)}, {"y": made.transpose(axes)})
        assert any("column 4 of 'y' became" in doubt for doubt in judged(FULL, answers).doubts)


def test_a_good_copy_of_a_detector_raises_no_doubt():
    full = a_detector(CONFIDENT)

    found = judged(FULL, Answers({"y": full}, {"y": (full * np.float32(1.004))}))

    assert not found.doubts
    assert found.accuracy.value > 0.85


def test_with_labels_of_the_family_columns_are_classes():
    answers = Answers({"y": scores(classes(40))}, {"y": scores(differing(40, 1))}, classes=3)

    assert "times its agreement, 97.5% of 40" in judged(FULL, answers).accuracy.source


def test_a_class_whose_score_became_the_same_on_all_rows_is_said():
    made = scores(classes(40))
    made[:, 2] = 0.0
    made[2::3, 0] = 0.001

    found = judged(FULL, Answers({"y": scores(classes(40))}, {"y": made}, classes=3))

    assert "column 2 of 'y' became the same on all rows; fp32's differs" in found.doubts


def test_the_labels_tell_which_output_says_classes():
    labels = np.array(classes(40))
    boxes = np.random.default_rng(1).standard_normal((40, 4)).astype(np.float32)
    full = {"boxes": boxes, "y": scores(classes(40))}

    known = judged(Accuracy(1.0, "s"), Answers(full, full, labels)).accuracy

    assert "100.0% right, fp32 100.0%" in known.source


def test_rows_that_are_all_alike_say_little_of_a_copy_that_no_server_can_judge():
    full = np.ones((225, 1), np.float32)

    known = judged(FULL, Answers({"y": full}, {"y": full})).accuracy

    assert known.value < 0.3
    assert "counted at its lower end" in known.source


def test_what_a_server_judges_from_its_traffic_keeps_its_accuracy_beside_the_doubt():
    full = scores([0] * 225)

    found = judged(FULL, Answers({"y": full}, {"y": full}, classes=3))

    assert found.doubts
    assert found.accuracy.value == FULL.value


def test_samples_that_clearly_disagree_are_a_doubt():
    full = np.random.default_rng(2).standard_normal((40, 1)).astype(np.float32)
    rows = Answers({"y": full}, {"y": full})

    found = judged(FULL, rows, Answers({"y": full[:32]}, {"y": np.clip(full[:32], -0.1, 0.1)}))

    (doubt,) = found.doubts
    assert doubt.startswith("'y' is off by 0.9")
    assert doubt.endswith("or more of how much 32 rows of the family's samples differ")
    assert found.accuracy.value < 0.2
    assert not judged(FULL, rows, Answers({"y": full[:32]}, {"y": full[:32]})).doubts


def test_few_samples_that_disagree_by_chance_are_none():
    rows = Answers({"y": scores(classes(40))}, {"y": scores(classes(40))}, classes=3)
    three = Answers({"y": scores([0, 1, 2])}, {"y": scores([0, 1, 1])}, classes=3)
    many = Answers({"y": scores(classes(32))}, {"y": scores(differing(32, 12))}, classes=3)

    assert not judged(FULL, rows, three).doubts
    assert "on only 62.5% of 32 rows of the family's samples" in judged(FULL, rows, many).doubts[0]


def test_samples_that_get_no_numbers_any_more_are_a_doubt():
    rows = Answers({"y": scores(classes(40))}, {"y": scores(classes(40))}, classes=3)
    none = Answers({"y": scores([0, 1, 2])}, {"y": np.full((3, 3), np.nan, np.float32)}, classes=3)

    assert (
        "on the family's samples its output 'y' is not finite" in judged(FULL, rows, none).doubts[0]
    )
