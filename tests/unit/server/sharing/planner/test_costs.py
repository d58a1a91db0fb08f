"""Repair of branches, what stems and heads cost, and event F1 as it was measured."""

import numpy as np
import pytest

from server.sharing.planner.costing import additive, measured
from server.sharing.planner.events import report_chance
from server.sharing.planner.measured import Window, measured_scores, reported
from server.sharing.planner.plan import Choice, Scores
from server.sharing.planner.repair import repaired
from server.sharing.planner.tree import cost_of
from server.sharing.planner.workload import Branch
from tests.support.sharing.workloads import LAYER_COSTS, a_task


def test_a_shallower_branch_is_never_worse_than_a_deeper_one():
    raw = [Branch(9, 0.7, 0.3), Branch(6, 0.8, 0.1), Branch(3, 0.75, 0.1), Branch(0, 0.9, 0.1)]

    assert repaired(raw) == (
        Branch(0, 0.9, 0.1),
        Branch(3, 0.8, 0.1),
        Branch(6, 0.8, 0.1),
        Branch(9, 0.7, 0.3),
    )


def test_the_pair_of_one_branch_stays_together():
    """More hits for as many more false ones is no better: the deeper pair stays, whole."""
    assert repaired([Branch(0, 0.875, 0.25), Branch(3, 0.75, 0.125)])[0] == Branch(0, 0.75, 0.125)


def test_added_up_costs_are_those_of_the_layers():
    costs = additive(LAYER_COSTS, [a_task("a")])

    assert costs.stem == {0: 0.0, 1: 1.0, 2: 3.0, 3: 6.0, 4: 10.0}
    assert costs.heads == {("a", 0): 10.0, ("a", 3): 4.0}


def test_a_shared_stem_is_charged_once_at_the_highest_rate():
    costs = additive(LAYER_COSTS, [a_task("a"), a_task("b")])
    scores = Scores(1.0, 1.0, 1.0)
    both = [Choice("a", 3, 2.0, 1, scores), Choice("b", 3, 5.0, 1, scores)]

    assert cost_of(both, costs) == pytest.approx(6.0 * 5.0 + 4.0 * (2.0 + 5.0))


def test_measured_costs_are_those_of_a_frame_in_its_batch():
    stem_s = {3: {1: 0.010, 4: 0.020}}
    heads_s = {("a", 0): {1: 0.030, 4: 0.080}, ("a", 3): {1: 0.004}}

    assert measured(stem_s, heads_s, batch=4).stem == {0: 0.0, 3: pytest.approx(0.005)}
    assert measured(stem_s, heads_s, batch=4).heads["a", 3] == pytest.approx(0.004)


def test_an_unmeasured_batch_runs_padded_or_as_the_largest():
    heads_s = {("a", 0): {1: 0.010, 4: 0.020}}

    assert measured({}, heads_s, batch=2).heads["a", 0] == pytest.approx(0.010)
    assert measured({}, heads_s, batch=8).heads["a", 0] == pytest.approx(0.005)


def test_a_longer_stem_is_never_cheaper():
    costs = measured({3: {1: 0.004}, 2: {1: 0.005}}, {})

    assert costs.stem == {0: 0.0, 2: 0.005, 3: 0.005}


def test_a_cut_without_a_measurement_is_named():
    with pytest.raises(ValueError, match="the stem to 3 has no measured batch size"):
        measured({3: {}}, {})


def test_measured_scores_count_windows():
    windows = (
        [Window(event=True, reported=True)] * 6
        + [Window(event=True, reported=False)] * 2
        + [Window(event=False, reported=True)] * 3
        + [Window(event=False, reported=False)] * 9
    )

    assert measured_scores(windows) == Scores(0.75, 6 / 9, pytest.approx(12 / 17))


def test_without_events_or_reports_nothing_is_scored():
    assert measured_scores([]) == Scores(0.0, 0.0, 0.0)
    assert measured_scores([Window(event=False, reported=False)]) == Scores(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("positives", "x_vote", "expected"),
    [
        ([], 1, False),
        ([False, True], 1, True),
        ([True, False, True], 2, False),
        ([False, True, True, False], 2, True),
        ([True, True], 3, False),
    ],
)
def test_a_report_needs_enough_positives_in_a_row(
    positives: list[bool], x_vote: int, expected: bool
):
    assert reported(positives, x_vote) == expected


def test_windows_of_a_drawn_stream_score_as_predicted():
    """The model and the measuring speak of the same things: windows, their frames, votes in a row."""

    rng, hit, wrong, correlation, frequency = np.random.default_rng(5), 0.8, 0.2, 0.3, 0.4

    def window() -> Window:
        event = bool(rng.random() < frequency)
        p = hit if event else wrong
        positives = [bool(rng.random() < p)]
        for _ in range(4):
            again = p + (1 - p) * correlation if positives[-1] else p * (1 - correlation)
            positives.append(bool(rng.random() < again))
        return Window(event, reported(positives, 2))

    scores = measured_scores(window() for _ in range(20_000))

    found, false = report_chance(np.array([hit, wrong]), correlation, np.array([5.0]), 2)[:, 0]
    precision = frequency * found / (frequency * found + (1 - frequency) * false)
    assert scores.recall == pytest.approx(found, abs=0.02)  # over 4 sigma of 8,000 events
    assert scores.precision == pytest.approx(precision, abs=0.02)
