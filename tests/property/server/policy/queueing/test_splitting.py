"""What is offered is what is cut, whatever arms there are: of unequal largest batches, slow and fast, mixing or not."""

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from server.policy.decision import ArmProfile
from server.policy.queueing import offer
from server.policy.queueing.admission import Admit, admission
from server.policy.queueing.offer import Pieces
from server.policy.queueing.splitting import most_rows, split
from tests.support.builders import a_profile, a_ticket
from tests.support.strategies import arm_sets

WHOLE = 48
SLOW_BUT_WIDE = [a_profile("wide", first_s=0.5, max_batch=8), a_profile("quick", max_batch=4)]
UNEVEN = [replace(a_profile(), upper_s=(0.0, 0.003, 0.009, 0.004, 0.005), mean_s=(0.0,) * 5)]


@st.composite
def families(draw: st.DrawFn) -> list[ArmProfile]:
    """Arms of which some run one row at a time, as their rows may hang on each other."""
    arms = draw(arm_sets(4, 12, least_s=1e-4))
    mixing = [replace(a_profile(f"m{i}", max_batch=1), separable=False) for i in range(2)]
    return arms + draw(st.sampled_from([[], [], mixing[:1], mixing]))


@given(families(), st.integers(1, 4), st.floats(1e-4, 1.0), st.integers(1, WHOLE))
@example(SLOW_BUT_WIDE, 2, 0.1, 30)
@example(SLOW_BUT_WIDE, 2, 0.1, 8)
@example(UNEVEN, 1, 0.0085, 2)
def test_what_is_offered_is_what_can_be_cut_in_time(
    arms: list[ArmProfile], workers: int, within_s: float, rows: int
):
    most = most_rows(arms, workers, within_s, WHOLE)

    found = split(a_ticket(rows=rows), arms, workers, within_s)

    in_time = found is not None and found.need_s <= within_s
    assert in_time == (rows <= most)


@given(families(), st.integers(1, 4), st.floats(1e-4, 1.0), st.integers(2, WHOLE))
def test_every_piece_can_run_where_rows_are_apart_and_nowhere_else(
    arms: list[ArmProfile], workers: int, within_s: float, rows: int
):
    found = split(a_ticket(rows=rows), arms, workers, within_s)

    if found is None:
        assert max(arm.max_batch for arm in arms if arm.separable) < 3
        return
    assert sum(found.rows) == rows
    assert max(found.rows) - min(found.rows) <= 1
    assert max(found.rows) <= max(arm.max_batch for arm in arms if arm.separable)
    assert min(found.rows) > max((a.max_batch for a in arms if not a.separable), default=0)


@given(arm_sets(4, 12, least_s=1e-4), st.integers(1, 4), st.floats(1e-4, 1.0))
@example(SLOW_BUT_WIDE, 2, 0.1)
def test_as_many_rows_as_are_offered_are_served_whole_or_in_pieces(
    arms: list[ArmProfile], workers: int, within_s: float
):
    admit, pieces = admission(arms, WHOLE, workers), Pieces(workers, WHOLE)

    most = offer.most_rows(arms, within_s=within_s, pieces=pieces)

    for rows in range(1, most + 1):
        ticket = a_ticket(rows=rows, slo_s=within_s)
        found = split(ticket, arms, workers, within_s)
        whole = admit(ticket, 0, 0.0) == Admit()
        assert whole or (found is not None and found.need_s <= within_s), rows
