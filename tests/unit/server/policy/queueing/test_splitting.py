"""Requests of more rows than any batch: pieces as few and as equal as can be, on arms that they may run on."""

from dataclasses import replace

import pytest

from server.policy.queueing.offer import Pieces, most_rows
from server.policy.queueing.splitting import split
from tests.support.builders import a_profile, a_ticket

SMALL = a_profile("small", 0.6, max_batch=8, first_s=0.002, more_s=0.001)
LARGE = a_profile("large", 0.8, max_batch=4, first_s=0.004, more_s=0.002)


@pytest.mark.parametrize(
    ("rows", "pieces"), [(9, (5, 4)), (16, (8, 8)), (17, (6, 6, 5)), (3, (3,))]
)
def test_pieces_are_few_and_equal(rows: int, pieces: tuple[int, ...]):
    found = split(a_ticket(rows=rows), [SMALL, LARGE], workers=2)

    assert found is not None
    assert found.rows == pieces


def test_a_least_accuracy_holds_for_every_piece():
    found = split(a_ticket(rows=9, min_accuracy=0.7), [SMALL, LARGE], workers=2)

    assert found is not None
    assert found.rows == (3, 3, 3)
    assert found.need_s == pytest.approx(2 * LARGE.upper_s[3])


def test_pieces_are_small_enough_to_be_in_time():
    wide = a_profile("wide", 0.7, max_batch=8, first_s=0.5)
    ticket = a_ticket(rows=12)

    in_time = split(ticket, [wide, LARGE], workers=2, within_s=0.1)
    hopeless = split(ticket, [wide, LARGE], workers=2, within_s=1e-6)

    assert in_time == ((4, 4, 4), 2 * LARGE.upper_s[4])
    assert hopeless == ((3, 3, 3, 3), 2 * LARGE.upper_s[3])


def test_no_piece_is_one_row_where_an_arm_that_mixes_rows_would_run_it():
    mixing = replace(a_profile("mixing", max_batch=1), separable=False)

    quickly = {"workers": 16, "within_s": SMALL.upper_s[2]}

    alone, beside = (
        split(a_ticket(rows=9), arms, **quickly) for arms in ([SMALL], [SMALL, mixing])
    )

    assert alone == ((2, 2, 2, 2, 1), SMALL.upper_s[2])
    assert beside == ((3, 3, 3), SMALL.upper_s[3])


def test_workers_share_the_pieces():
    alone = split(a_ticket(rows=32), [SMALL], workers=1)
    shared = split(a_ticket(rows=32), [SMALL], workers=3)

    assert alone is not None
    assert shared is not None
    assert alone.need_s == pytest.approx(4 * SMALL.upper_s[8])
    assert shared.need_s == pytest.approx(2 * SMALL.upper_s[8])


def test_rows_that_may_hang_on_each_other_are_not_split():
    mixing = replace(SMALL, separable=False)

    assert split(a_ticket(rows=9), [mixing], workers=2) is None
    assert split(a_ticket(rows=9, min_accuracy=0.7), [SMALL], workers=2) is None
    assert most_rows([mixing], pieces=Pieces(2, 64)) == 8


def test_what_is_offered_grows_with_the_time_that_there_is():
    largest_s = SMALL.upper_s[8]
    offered = [
        most_rows([SMALL], within_s=factor * largest_s, pieces=Pieces(2, 64))
        for factor in (0.2, 0.9, 1.2, 2.2, 100.0)
    ]

    assert offered == [0, 12, 16, 32, 64]


@pytest.mark.parametrize("rows", range(1, 65))
def test_what_is_offered_is_in_time_in_pieces(rows: int):
    within_s = 2.2 * SMALL.upper_s[8]
    found = split(a_ticket(rows=rows), [SMALL], workers=2)

    assert found is not None
    offered = most_rows([SMALL], within_s=within_s, pieces=Pieces(2, 64))
    assert rows > offered or found.need_s <= within_s
