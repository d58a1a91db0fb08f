"""Clipper: the batch size that additive increase and backoff find."""

from server.policy.decision import Finished, Outlook, PolicyFactory, Run
from server.policy.reference.aimd import clipper
from tests.support.builders import a_profile, a_ticket, tickets

ARM = a_profile("only", max_batch=12)


def _most(factory: PolicyFactory, *finished: tuple[int, float], slo_s: float = 0.1) -> int:
    """Rows run of 30 waiting once batches (rows, latency in s) have finished; the objective is half the SLO."""
    batches = tuple(Finished(ARM.arm, rows, latency_s) for rows, latency_s in finished)
    step = factory([ARM])(tickets(30, slo_s), Outlook(finished=batches), 0.0)
    assert isinstance(step, Run)
    return step.rows


def test_it_starts_with_single_rows():
    assert _most(clipper()) == 1


def test_a_full_batch_inside_the_objective_adds_a_row():
    factory = clipper()

    assert _most(factory, (1, 0.003)) == 2
    assert _most(factory, (2, 0.005), (3, 0.009)) == 4


def test_a_batch_that_was_not_full_teaches_nothing():
    factory = clipper()
    _most(factory, (1, 0.003), (2, 0.003))

    assert _most(factory, (2, 0.003)) == 3


def test_a_batch_beyond_the_objective_takes_a_tenth_off():
    factory = clipper()
    _most(factory, *((rows, 0.003) for rows in range(1, 10)))

    assert _most(factory, (10, 0.051)) == 9
    assert _most(factory, (9, 0.051), (8, 0.051)) == 7


def test_it_never_falls_below_one_row_or_rises_above_the_largest_batch():
    factory = clipper()

    assert _most(factory, *((1, 1.0),) * 20) == 1
    assert _most(factory, *((rows, 0.001) for rows in range(1, 30))) == 12


def test_the_objective_follows_the_heads_slo():
    factory = clipper()

    assert _most(factory, (1, 0.003), slo_s=0.004) == 1
    assert _most(factory, (1, 0.003), slo_s=0.008) == 2


def test_every_arm_learns_its_own_size():
    small, factory = a_profile("small", 0.5), clipper()
    _most(factory, (1, 0.003))

    step = factory([small])(tickets(30), Outlook(), 0.0)

    assert isinstance(step, Run)
    assert step.rows == 1


def test_the_most_accurate_arm_that_suits_the_head_runs():
    decide = clipper()([a_profile("small", 0.5), a_profile("large", 0.8)])

    for head, variant in ((a_ticket(), "large"), (a_ticket(variant="small"), "small")):
        step = decide([head], Outlook(), 0.0)
        assert isinstance(step, Run)
        assert step.profile.arm.variant == variant
