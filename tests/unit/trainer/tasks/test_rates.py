"""Thresholds, rates and correlations, from scores of known frames."""

import numpy as np
import pytest

from server.sharing.planner.events import event_scores
from server.sharing.planner.workload import Branch, Rules, Task
from trainer.tasks.rates import (
    best_threshold,
    f1_of,
    fitted_correlation,
    measured_f1,
    missed,
    rates,
)


def chain(hit: float, correlation: float, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Positives (windows, frames) of the model itself: a miss is followed by one as `correlation` says, a hit too."""
    rng = np.random.default_rng(seed)
    drawn, lasts = rng.random(shape) < hit, rng.random(shape) < correlation
    for frame in range(1, shape[1]):
        drawn[:, frame] = np.where(lasts[:, frame], drawn[:, frame - 1], drawn[:, frame])
    return drawn


def test_the_threshold_parts_events_from_others_where_that_can_be():
    scores = np.array([0.1, 0.9, 0.3, 0.7], np.float32)
    events = np.array([False, True, False, True])

    assert best_threshold(scores, events, 0.2) == pytest.approx(0.5)


def test_the_rarer_events_are_the_higher_is_the_threshold():
    rng = np.random.default_rng(0)
    events = rng.random(4000) < 0.5
    scores = (rng.normal(events * 1.5, 1.0) / 10 + 0.5).astype(np.float32)

    rare, common = best_threshold(scores, events, 0.05), best_threshold(scores, events, 0.5)

    assert rare > common + 0.05


def test_no_other_threshold_has_a_greater_f1():
    rng = np.random.default_rng(1)
    events = rng.random(200) < 0.3
    scores = np.round(rng.random(200) * 0.5 + events * 0.3, 1).astype(np.float32)

    def f1(threshold: float) -> float:
        found = rates(scores >= threshold, events)
        return f1_of(found.true_positive, found.false_positive, 0.2)

    assert f1(best_threshold(scores, events, 0.2)) == pytest.approx(
        max(f1(t) for t in np.unique(scores)), abs=1e-12
    )


def test_equal_scores_are_never_parted():
    scores = np.array([0.5, 0.5, 0.5, 0.2], np.float32)
    events = np.array([True, False, True, False])

    assert best_threshold(scores, events, 0.5) == pytest.approx(0.35)


def test_rates_are_shares_of_frames():
    found = rates(np.array([1, 0, 1, 0, 0], bool), np.array([1, 1, 0, 0, 0], bool))

    assert (found.true_positive, found.false_positive) == (0.5, pytest.approx(1 / 3))


@pytest.mark.parametrize("events", [np.ones(3, bool), np.zeros(3, bool)])
def test_frames_of_one_sort_alone_are_refused(events: np.ndarray):
    with pytest.raises(ValueError, match="take more windows"):
        rates(events, events)
    with pytest.raises(ValueError, match="take more windows"):
        best_threshold(np.zeros(3, np.float32), events, 0.1)


def heads_of(correlation: float, events: np.ndarray) -> list[np.ndarray]:
    shape = (len(events), 10)
    return [
        np.where(
            events[:, None],
            chain(true, correlation, shape, seed),
            chain(false, correlation, shape, seed + 9),
        )
        for seed, (true, false) in enumerate(((0.6, 0.05), (0.8, 0.02)))
    ]


@pytest.mark.parametrize("correlation", [0.0, 0.2, 1.0])
def test_the_correlation_of_frames_is_found_again(correlation: float):
    events = np.arange(8000) % 5 == 0

    found = fitted_correlation(heads_of(correlation, events), events, 0.2)

    assert found == pytest.approx(correlation, abs=0.05)


def test_a_correlation_that_fades_with_distance_is_told_as_between_near_and_far():
    events = np.arange(8000) % 5 == 0

    found = fitted_correlation(heads_of(0.8, events), events, 0.2)

    assert 0.8**5 < found < 0.8  # at the longest stride, at the shortest


def test_windows_are_reported_as_the_model_says():
    events = np.arange(20_000) % 4 == 0
    positives = np.where(
        events[:, None], chain(0.5, 0.4, (20_000, 5), 1), chain(0.03, 0.4, (20_000, 5), 2)
    )

    predicted = f1_of(1 - missed(0.5, 5, 0.4), 1 - missed(0.03, 5, 0.4), 0.25)

    assert measured_f1(positives, events, 0.25) == pytest.approx(predicted, abs=0.01)


@pytest.mark.parametrize("frames", [1, 2, 10])
@pytest.mark.parametrize("correlation", [0.0, 0.4, 1.0])
def test_planners_predict_by_the_same_model(frames: int, correlation: float):
    task = Task("a", (Branch(0, 0.7, 0.04),), 1.0, 0.15, correlation)
    rules = Rules(1.0, (float(frames),), 10.0)

    planned = event_scores(task, task.branches[0], float(frames), rules, x_vote=1)
    recall, wrong = (1 - missed(p, frames, correlation) for p in (0.7, 0.04))

    assert planned.recall == pytest.approx(recall)
    assert planned.f1 == pytest.approx(f1_of(recall, wrong, 0.15))


def test_what_never_reports_has_no_f1():
    assert f1_of(0.0, 0.0, 0.2) == 0.0
    assert f1_of(1.0, 0.0, 0.2) == 1.0
