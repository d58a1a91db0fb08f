"""What a switch is found to cost: nothing in noise, what it is where it stands out, and stalls do not count."""

import numpy as np
import pytest

from profiler.speed.switching import Switches, idle, stayed, switched, without

FORESEEN_S = 0.010


def learnt(
    cost_s: float,
    batches: int = 60,
    *,
    scatter_s: float = 0.0004,
    stalls: float = 0.0,
    bias_s: float = 0.0,
    seed: int = 1,
) -> Switches:
    """So many batches of each kind on each of two arms; all took `bias_s` longer than foreseen."""
    rng, state = np.random.default_rng(seed), Switches()
    for i in range(batches):
        for arm in ("a", "b"):
            errors_s = bias_s + rng.normal(0.0, scatter_s, 2)
            errors_s += np.where(rng.random(2) < stalls, 5.0 * FORESEEN_S, 0.0)
            state = stayed(state, arm, float(errors_s[0]))
            state = switched(state, arm, float(errors_s[1]) + cost_s, FORESEEN_S, 0.1 * i)
    return state


@pytest.mark.parametrize("cost_s", [0.001, 0.003])
def test_a_cost_is_found(cost_s: float):
    assert learnt(cost_s).cost_s == pytest.approx(cost_s, rel=0.15)


def test_what_chance_could_explain_is_no_cost():
    costs_s = [learnt(0.0, seed=seed).cost_s for seed in range(20)]

    assert costs_s == [0.0] * 20


def test_a_few_batches_prove_nothing():
    assert learnt(0.003, batches=10).cost_s == 0.0


def test_stalls_are_no_switches():
    assert learnt(0.0, stalls=0.05).cost_s == 0.0
    assert learnt(0.002, stalls=0.05).cost_s == pytest.approx(0.002, rel=0.2)


def test_a_prediction_that_is_off_for_all_batches_tells_nothing_of_switches():
    assert learnt(0.0, bias_s=0.002).cost_s == 0.0
    assert learnt(0.002, bias_s=-0.001).cost_s == pytest.approx(0.002, rel=0.15)


def test_a_switch_that_is_cheaper_than_none_costs_nothing():
    assert learnt(-0.002).cost_s == 0.0


def test_a_cost_that_is_over_is_forgotten_with_the_batches_that_told_of_it():
    state, rng = learnt(0.003), np.random.default_rng(2)

    for i in range(80):
        errors_s = rng.normal(0.0, 0.0004, 2).tolist()
        for arm in ("a", "b"):
            state = switched(
                stayed(state, arm, errors_s[0]), arm, errors_s[1], FORESEEN_S, 10.0 + i
            )

    assert state.cost_s == 0.0


def test_where_nobody_switches_the_cost_is_believed_the_less():
    state = learnt(0.003)

    assert idle(state, 1.0).cost_s == pytest.approx(0.5 * state.cost_s)
    assert idle(state, -2.0).cost_s == state.cost_s  # not idle for long enough
    again = switched(idle(state, 3.0), "a", 0.003, FORESEEN_S, 20.0)
    assert again.cost_s == pytest.approx(state.cost_s, rel=0.1)


def test_an_arm_that_is_gone_says_nothing_any_more():
    assert set(without(learnt(0.003), ["a"]).arms) == {"b"}
