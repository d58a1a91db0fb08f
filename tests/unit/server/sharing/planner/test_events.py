"""Event F1 from single frames: against enumeration, a simulated chain, and the forms on paper."""

from itertools import product

import numpy as np
import pytest

from server.sharing.planner.events import analysed, event_scores, event_table, report_chance
from server.sharing.planner.plan import Scores
from server.sharing.planner.workload import Branch, Rules
from tests.support.sharing.workloads import a_rule_set, a_task

HIT, CORRELATION = 0.7, 0.3
AFTER_MISS, AFTER_HIT = HIT * (1 - CORRELATION), HIT + (1 - HIT) * CORRELATION


def _enumerated(frames: int, x_vote: int) -> float:
    """P(report): the summed probability of every sequence of hits and misses that has enough hits in a row."""
    total = 0.0
    for hits in product([True, False], repeat=frames):
        chance, run, longest, before = 1.0, 0, 0, None
        for hit in hits:
            p = HIT if before is None else AFTER_HIT if before else AFTER_MISS
            chance *= p if hit else 1 - p
            run = run + 1 if hit else 0
            longest, before = max(longest, run), hit
        total += chance if longest >= x_vote else 0.0
    return total


@pytest.mark.parametrize("x_vote", [1, 2, 3])
def test_a_report_is_as_likely_as_the_sequences_that_cause_it(x_vote: int):
    frames = np.arange(9.0)

    chance = report_chance(np.array([HIT]), CORRELATION, frames, x_vote)[0]

    assert chance == pytest.approx([_enumerated(n, x_vote) for n in range(9)], abs=1e-12)


@pytest.mark.parametrize("x_vote", [1, 2, 3])
def test_a_fraction_of_a_frame_is_one_more_frame_that_often(x_vote: int):
    fewer, mixed, more = report_chance(np.array([HIT]), 0.3, np.array([4.0, 4.25, 5.0]), x_vote)[0]

    assert mixed == pytest.approx(0.75 * fewer + 0.25 * more, abs=1e-12)


def test_less_than_one_frame_hits_in_proportion():
    assert report_chance(np.array([HIT]), 0.3, np.array([0.4]), 1)[0, 0] == pytest.approx(0.4 * HIT)


@pytest.mark.parametrize(("x_vote", "frames"), [(1, 2.5), (2, 6.0), (3, 7.6)])
def test_a_simulated_chain_reports_as_often(x_vote: int, frames: float):
    rng, runs = np.random.default_rng(6), 40_000
    length = np.floor(frames).astype(int) + (rng.random(runs) < frames % 1)
    hit, run = np.zeros(runs, bool), np.zeros(runs, int)
    reported = np.zeros(runs, bool)
    for at in range(int(frames) + 1):
        p = np.where(hit, AFTER_HIT, AFTER_MISS) if at else np.full(runs, HIT)
        hit = rng.random(runs) < p
        run = np.where(hit, run + 1, 0)
        reported |= (run >= x_vote) & (at < length)

    chance = report_chance(np.array([HIT]), CORRELATION, np.array([frames]), x_vote)[0, 0]

    assert reported.mean() == pytest.approx(chance, abs=4 * 0.5 / runs**0.5)  # 4 sigma at the most


def test_many_frames_take_no_longer_than_few():
    hit = np.array([1e-6])

    chance = report_chance(hit, 0.0, np.array([1e6, 1e12, 1e300]), 1)[0]

    assert chance == pytest.approx([1 - np.exp(-1), 1.0, 1.0], abs=1e-6)


def test_the_scores_are_those_worked_out_by_hand():
    task = a_task(event_length_s=0.5, event_frequency=0.25, correlation=0.2)
    branch = Branch(0, 0.8, 0.1)  # at 4 fps two frames; missed again 0.2 + 0.8 * 0.2 = 0.36

    scores = event_scores(task, branch, 4.0, a_rule_set(), 1)

    recall, wrong = 1 - 0.2 * 0.36, 1 - 0.9 * 0.92
    precision = 0.25 * recall / (0.25 * recall + 0.75 * wrong)
    assert scores.recall == pytest.approx(recall)
    assert scores.precision == pytest.approx(precision)
    assert scores.f1 == pytest.approx(2 / (1 / recall + 1 / precision))


def test_the_published_form_divides_by_the_stride_once_more():
    task = a_task(event_length_s=0.8)
    rates = np.array([1.0, 4.0, 10.0])

    assert analysed(task, rates, a_rule_set()) == pytest.approx([0.8, 3.2, 8.0])
    published = a_rule_set(published_form=True, stream_fps=10.0)
    assert analysed(task, rates, published) == pytest.approx([0.08, 1.28, 8.0])


def test_the_published_form_gives_the_published_scores():
    """0.6 s at 5 of 10 fps: a frame and a half instead of three."""
    task = a_task(event_length_s=0.6, event_frequency=0.5, correlation=0.1)
    rules = a_rule_set(published_form=True, stream_fps=10.0)

    scores = event_scores(task, Branch(0, 0.9, 0.2), 5.0, rules, 1)

    recall = 1 - (0.5 * 0.1 + 0.5 * 0.1 * 0.19)
    wrong = 1 - (0.5 * 0.8 + 0.5 * 0.8 * 0.82)
    assert scores.recall == pytest.approx(recall)
    assert scores.precision == pytest.approx(recall / (recall + wrong))


def test_the_table_holds_what_single_questions_answer():
    task = a_task(branches=(Branch(0, 0.9, 0.05), Branch(4, 0.7, 0.2)), correlation=0.4)
    rules = Rules(100.0, (1.0, 2.5, 7.0), 10.0, (1, 2, 3))

    table = event_table(task, rules)

    for b, branch in enumerate(task.branches):
        for r, rate_fps in enumerate(rules.rates_fps):
            for v, x_vote in enumerate(rules.x_votes):
                single = event_scores(task, branch, rate_fps, rules, x_vote)
                assert table.at(b, r, v) == single


@pytest.mark.parametrize(
    ("branch", "rate_fps", "expected"),
    [
        (Branch(0, 0.0, 0.0), 4.0, Scores(0.0, 0.0, 0.0)),
        (Branch(0, 0.0, 0.5), 4.0, Scores(0.0, 0.0, 0.0)),
        (Branch(0, 1.0, 0.0), 4.0, Scores(1.0, 1.0, 1.0)),
        (Branch(0, 1.0, 0.0), 0.0, Scores(0.0, 0.0, 0.0)),
    ],
)
def test_what_is_never_reported_scores_zero_and_what_is_never_wrong_one(
    branch: Branch, rate_fps: float, expected: Scores
):
    task = a_task(event_length_s=1.0)

    assert event_scores(task, branch, rate_fps, a_rule_set(), 1) == expected


def test_votes_trade_recall_for_precision():
    task = a_task(event_length_s=1.0, event_frequency=0.1, correlation=0.1)

    one, two = (event_scores(task, Branch(0, 0.9, 0.2), 8.0, a_rule_set(), x) for x in (1, 2))

    assert two.recall < one.recall
    assert two.precision > one.precision
