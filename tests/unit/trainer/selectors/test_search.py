"""The search for a shape moves to those that train better and stays where there are none, whatever the noise."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from trainer.selectors.search import (
    MOST_RESTS,
    Challenge,
    Search,
    from_arrays,
    judge,
    propose,
    to_arrays,
)
from trainer.selectors.shapes import (
    ARCHETYPES,
    EVERYTHING,
    HARDEST,
    MIDDLE,
    STEP,
    Shape,
    perturbed,
    proposal,
)

Worth = Callable[[Shape], float]


def fears_the_top(shape: Shape) -> float:
    """As with wrong labels: the highest losses harm, the middle pays."""
    return max(0.1, 1 + shape.y2 - shape.y3)


def loves_the_top(shape: Shape) -> float:
    return max(0.1, 1 + shape.y3 - shape.y2 - shape.y1)


def searched(worth: Worth, intervals: int, noise: float, rng: Generator) -> Search:
    """A search under a judge whose scores fall as training goes on, by two thirds in all."""
    search = propose(Search(HARDEST), rng)
    for interval in range(intervals):
        trend = 3.0 ** (-interval / intervals)
        score = trend * (worth(search.in_force) + noise * rng.standard_normal())
        search, _ = judge(search, score, 2)
        search = propose(search, rng)
    return search


def test_a_shape_passes_through_its_three_points():
    shape = Shape(0.1, 0.9, 0.05)

    assert shape.at(np.array([0, 0.5, 1])) == pytest.approx([0.1, 0.9, 0.05])


def test_a_shape_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        Shape(0, 1.1, 0)


def test_perturbations_move_one_or_two_numbers_up_or_down_a_step_at_most():
    rng = default_rng(1)
    half = Shape(0.5, 0.5, 0.5)

    moves = np.array([_ys(perturbed(half, rng)) for _ in range(200)]) - 0.5

    assert set(np.count_nonzero(moves, axis=1)) == {1, 2}
    assert (np.abs(moves) <= STEP).all()
    assert (moves.min(axis=0) < -STEP / 2).all()
    assert (moves.max(axis=0) > STEP / 2).all()


def test_perturbations_of_extreme_shapes_stay_in_range():
    for seed in range(50):
        assert min(_ys(perturbed(HARDEST, default_rng(seed)))) >= 0
        assert max(_ys(perturbed(EVERYTHING, default_rng(seed)))) <= 1


def test_each_archetype_has_its_turn_before_perturbations_are_tried():
    rng = default_rng(2)

    first = [proposal(MIDDLE, drawn, rng) for drawn in range(len(ARCHETYPES))]
    later = [proposal(MIDDLE, len(ARCHETYPES), rng) for _ in range(60)]

    assert tuple(first) == ARCHETYPES
    assert 10 < sum(shape in ARCHETYPES for shape in later) < 30


def a_challenge(during: float, closing: float, before: float = 1.0) -> Search:
    """Only the score of the incumbent's last interval is awaited."""
    return Search(HARDEST, Challenge(MIDDLE, before, during, closing))


def test_a_challenger_runs_between_two_intervals_of_the_incumbent_on_either_side():
    search = propose(Search(HARDEST, rests=1), default_rng(0))
    seen: list[Shape] = []

    for score in (1.0, 1.0, 0.5, 1.0, 1.0, 0.5, 1.0):
        seen.append(search.in_force)
        search, _ = judge(search, score, 2)
        search = propose(search, default_rng(0))

    assert seen == [HARDEST, HARDEST, MIDDLE, HARDEST, HARDEST, ARCHETYPES[2], HARDEST]


def test_a_challenger_must_win_twice_in_a_row():
    twice, verdict = judge(a_challenge(1.2, 1.2), 1.0, 2)
    assert (twice.incumbent, verdict) == (HARDEST, "undecided")
    assert twice.in_force == MIDDLE

    running, _ = judge(twice, 1.2, 2)
    closing, verdict = judge(running, 1.2, 2)
    assert (closing.in_force, verdict) == (HARDEST, "undecided")
    assert judge(closing, 1.0, 2)[1] == "replaced"
    assert judge(closing, 1.0, 2)[0].incumbent == MIDDLE
    assert judge(closing, 9.0, 2)[1] == "refused"


def test_what_a_challenger_only_borrows_from_the_next_interval_counts_against_it():
    assert judge(a_challenge(3.0, -1.2), 1.0, 1)[1] == "refused"
    assert judge(a_challenge(0.8, 1.4), 1.0, 1)[1] == "replaced"


def test_after_a_replacement_the_next_archetype_has_its_turn():
    search = Search(HARDEST, Challenge(MIDDLE, 1.0, 2.0, 2.0), upcoming=ARCHETYPES[2], drawn=3)

    search, _ = judge(search, 1.0, 1)

    assert propose(search, default_rng(0)).upcoming == ARCHETYPES[3]


def test_the_interval_right_after_a_replacement_opens_no_challenge():
    replaced, _ = judge(a_challenge(2.0, 2.0), 1.0, 1)

    rested, _ = judge(propose(replaced, default_rng(0)), 1.0, 1)

    assert rested.in_force == rested.incumbent == MIDDLE


def test_scores_that_decay_alike_for_everyone_favour_neither():
    assert judge(a_challenge(4.1, 2.0, before=8.0), 1.0, 1)[1] == "replaced"
    assert judge(a_challenge(3.6, 2.0, before=8.0), 1.0, 1)[1] == "refused"


def test_scores_below_zero_are_compared_too():
    assert judge(a_challenge(-0.4, -0.4, before=-1.0), 0.0, 1)[1] == "replaced"
    assert judge(a_challenge(-0.4, -0.4, before=-1.0), 0.5, 1)[1] == "refused"


def test_a_tie_leaves_the_incumbent():
    assert judge(a_challenge(0.0, 0.0, before=0.0), 0.0, 1)[1] == "refused"


def test_challenges_become_rarer_while_none_wins():
    search, rng = propose(Search(HARDEST), default_rng(2)), default_rng(2)
    challenged: list[bool] = []

    for _ in range(100):
        challenged.append(search.in_force != HARDEST)
        search, _ = judge(search, 0.5 if challenged[-1] else 1.0, 2)
        search = propose(search, rng)

    assert sum(challenged[:9]) == 3
    assert sum(challenged[-24:]) == 24 / (MOST_RESTS + 3)
    assert search.incumbent == HARDEST


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_refused(score: float):
    with pytest.raises(ValueError, match="must be finite"):
        judge(Search(HARDEST), score, 2)


def test_a_top_heavy_shape_loses_where_the_top_harms():
    ends = [searched(fears_the_top, 40, 0.2, default_rng(seed)).incumbent for seed in range(40)]

    assert np.mean([fears_the_top(end) for end in ends]) > 1.5 > fears_the_top(HARDEST)
    assert np.mean([end.y3 < HARDEST.y3 for end in ends]) > 0.9


def test_where_the_top_pays_it_stays_on_top():
    ends = [searched(loves_the_top, 40, 0.2, default_rng(seed)).incumbent for seed in range(40)]

    assert np.mean([loves_the_top(end) for end in ends]) >= loves_the_top(HARDEST) - 0.05
    assert np.mean([end.y3 > 0.6 for end in ends]) > 0.9


def test_under_noise_alone_bad_shapes_rarely_win():
    """The challenger's worth is a third less, and the noise as large as that."""

    def worth(shape: Shape) -> float:
        return 1.0 if shape == HARDEST else 0.7

    ends = [searched(worth, 12, 0.3, default_rng(seed)).incumbent for seed in range(100)]

    assert np.mean([end == HARDEST for end in ends]) > 0.7


@pytest.mark.parametrize(
    "search",
    [
        Search(HARDEST),
        Search(HARDEST, None, EVERYTHING, 3, 2, 9),
        Search(MIDDLE, Challenge(HARDEST, 0.25), None, 1, 0, 4),
        Search(MIDDLE, Challenge(HARDEST, 0.1, -0.3), EVERYTHING, 1, 0, 4),
        Search(MIDDLE, Challenge(HARDEST, 0.1, -0.3, 0.2, 1), EVERYTHING, 1, 0, 4),
    ],
)
def test_a_search_survives_as_arrays(search: Search):
    assert from_arrays(to_arrays(search)) == search


def _ys(shape: Shape) -> tuple[float, float, float]:
    return shape.y1, shape.y2, shape.y3
