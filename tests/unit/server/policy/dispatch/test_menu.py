"""The steps on offer."""

from server.policy.dispatch.menu import menu, sizes
from tests.support.builders import a_profile, three_arms


def test_every_size_is_tried_while_it_matters_and_the_largest_always():
    assert sizes(5) == (1, 2, 3, 4, 5)
    assert sizes(1) == (1,)
    assert sizes(40)[15:] == (16, 18, 20, 22, 24, 27, 30, 33, 37, 40)


def test_an_arm_slower_and_no_more_accurate_is_not_on_it():
    worse = a_profile("worse", accuracy=0.7, first_s=0.005)

    offered = menu([*three_arms(), worse])

    assert set(offered.arm.tolist()) == {0, 1, 2}


def test_an_arm_that_is_slower_alone_but_faster_in_a_batch_is_offered_where_it_is_faster():
    alone = a_profile("alone", first_s=0.003, more_s=0.003)
    wide = a_profile("wide", first_s=0.004, more_s=0.0)

    offered = menu([alone, wide])

    by_size = {(int(b), int(a)) for b, a in zip(offered.size, offered.arm, strict=True)}
    assert {(1, 0), (2, 1), (16, 1)} <= by_size
    assert not {(1, 1), (2, 0)} & by_size


def test_of_twins_one_remains():
    assert set(menu([a_profile("one"), a_profile("two")]).arm.tolist()) == {0}


def test_the_entries_of_at_most_some_rows_come_first():
    offered = menu(three_arms())

    for rows in range(offered.most + 1):
        count = offered.count[rows]
        assert (offered.size[:count] <= rows).all()
        assert (offered.size[count:] > rows).all()
        assert offered.slowest_s[rows] == max(offered.upper_s[:count], default=0.0)


def test_an_arms_own_largest_batch_is_tried_where_others_hold_more():
    small, large = (
        a_profile("small", 0.9, max_batch=19),
        a_profile("large", 0.7, 0.001, max_batch=32),
    )
    offered = menu([small, large])
    entries = offered.size[offered.holding[18] : offered.holding[19]]

    assert set(entries.tolist()) == {19}
    assert {offered.arms[i].arm.variant for i in offered.arm[offered.size == 19]} == {
        "small",
        "large",
    }
