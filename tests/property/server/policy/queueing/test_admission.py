"""What is refused as overloaded could not have been answered with all that is ahead of it, whatever had been done."""

from heapq import heapify, heapreplace

from hypothesis import assume, given
from hypothesis import strategies as st

from server.policy.decision import ArmProfile, Ticket
from server.policy.queueing.admission import Admit, Refuse, admission, row_s
from tests.support.builders import a_profile

ARMS = st.lists(
    st.builds(
        a_profile,
        variant=st.sampled_from("abc"),
        first_s=st.floats(1e-3, 2e-2),
        more_s=st.floats(1e-4, 2e-2),
        max_batch=st.integers(1, 32),
    ),
    min_size=1,
    max_size=4,
)
CHOICES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 32)), min_size=1, max_size=20)
"""(arm, rows) of one batch after the other; repeated as long as rows are left."""


def done_s(
    arms: list[ArmProfile], workers: int, rows: int, choices: list[tuple[int, int]]
) -> float:
    """When the last of `rows` is done if each batch goes to the worker that is free first."""
    free_s = [0.0] * workers
    heapify(free_s)
    last_s, turn = 0.0, 0
    while rows:
        which, size = choices[turn % len(choices)]
        arm = arms[which % len(arms)]
        size = min(size, arm.max_batch, rows)
        end_s = free_s[0] + arm.mean_s[size]
        heapreplace(free_s, end_s)
        last_s, rows, turn = max(last_s, end_s), rows - size, turn + 1
    return last_s


def refused(arms: list[ArmProfile], workers: int, ahead: int, share: float) -> tuple[float, Refuse]:
    """(the ticket's bound in s, its refusal) where its time is `share` of what the rows ahead of it take at best."""
    alone_s = 1.01 * min(arm.upper_s[1] for arm in arms)
    slo_s = max(alone_s, share * ahead * row_s(arms) / workers)
    admit = admission(arms, 1000, workers)
    verdict = admit(Ticket(0, 0.0, slo_s), ahead, 0.0, [slo_s] * ahead)
    assume(isinstance(verdict, Refuse))
    assert isinstance(verdict, Refuse)
    assert verdict.reason == "overloaded"
    return slo_s, verdict


@given(ARMS, st.integers(1, 4), st.integers(100, 400), st.floats(0.02, 0.49), CHOICES)
def test_no_schedule_serves_a_refused_ticket_and_all_ahead_of_it(
    arms: list[ArmProfile], workers: int, ahead: int, share: float, choices: list[tuple[int, int]]
):
    slo_s, _ = refused(arms, workers, ahead, share)

    assert done_s(arms, workers, ahead + 1, choices) > slo_s


@given(ARMS, st.integers(1, 4), st.integers(100, 400), st.floats(0.02, 0.49))
def test_once_what_waited_is_done_the_refused_ticket_is_admitted_after_its_hint(
    arms: list[ArmProfile], workers: int, ahead: int, share: float
):
    slo_s, refusal = refused(arms, workers, ahead, share)

    assert refusal.retry_s is not None
    assert refusal.retry_s > slo_s
    again = Ticket(1, refusal.retry_s, refusal.retry_s + slo_s)
    assert admission(arms, 1000, workers)(again, 0, refusal.retry_s, []) == Admit()
