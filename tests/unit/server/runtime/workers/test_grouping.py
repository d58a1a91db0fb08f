"""Runs of unlike sizes: no partition into neighbours by size takes less."""

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.runtime.workers.grouping import Sized, Sizes, padded_groups


def takes(run: float):
    """A run takes so much, and its rows what they are padded to."""

    def took(rows: int, sizes: Sizes) -> float:
        return run + rows * sizes[0]

    return took


def least(sized: Sequence[Sized], run: float) -> float:
    """Of all partitions into consecutive groups."""
    n, took = len(sized), takes(run)
    return min(
        sum(
            took(sum(s.rows for s in sized[a:b]), (max(s.sizes[0] for s in sized[a:b]),))
            for a, b in pairwise((0, *cuts, n))
        )
        for count in range(n)
        for cuts in combinations(range(1, n), count)
    )


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 50)), min_size=1, max_size=7),
    st.integers(0, 100),
)
def test_the_groups_take_least(given_: Sequence[tuple[int, int]], run: int):
    sized = sorted((Sized(rows, (size,)) for rows, size in given_), key=lambda s: s.sizes)

    groups = padded_groups(sized, takes(run))

    assert [i for group in groups for i in group] == list(range(len(sized)))
    spent = sum(
        takes(run)(sum(sized[i].rows for i in g), (max(sized[i].sizes[0] for i in g),))
        for g in groups
    )
    assert spent == pytest.approx(least(sized, run))
