"""One arm or the machine: a change is put where it belongs, and each arm has its own curve and margin."""

import math
import random

import pytest

from profiler.speed.drift import (
    SpeedScale,
    evidence,
    observe,
    scale,
    upper_factor,
    widened,
    without,
)

ARMS = "abcd"
CALM_SIGMA = 0.03


class Machine:
    """Arms take turns at random; each batch takes its profile's second times `speed` times its arm's factor."""

    def __init__(self, seed: int = 1, shares: str = ARMS, sigma: float = CALM_SIGMA) -> None:
        self.rng = random.Random(seed)
        self.shares, self.sigma = shares, sigma
        self.speed = 1.0
        self.factors = dict.fromkeys(ARMS, 1.0)
        self.state = SpeedScale()

    def run(self, arm: str = "", rows: int = 1) -> str:
        """One batch of this arm, or one drawn by share; its name."""
        arm = arm or self.rng.choice(self.shares)
        took_s = self.speed * self.factors[arm] * math.exp(self.rng.gauss(0.0, self.sigma))
        self.state = observe(self.state, arm, 1.0, took_s, rows)
        return arm

    def calm(self, batches: int = 400) -> "Machine":
        for _ in range(batches):
            self.run()
        return self

    def until_run(self, arm: str, times: int) -> None:
        """Batches by share until this arm had so many."""
        while times:
            times -= self.run() == arm

    def found(self) -> dict[str, float]:
        return {arm: scale(self.state, arm) for arm in ARMS}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [0.5, 1.15, 1.5, 4.0])
@pytest.mark.parametrize("shares", ["abcd", "aaab", "abbb"])
def test_a_change_of_one_arm_moves_that_arm_within_eight_of_its_batches(
    factor: float, shares: str, seed: int
):
    machine = Machine(seed, shares).calm()
    before = machine.found()

    machine.factors["a"] = factor
    machine.until_run("a", 8)
    machine.run("b")  # the last word is not the changed arm's

    after = machine.found()
    assert after["a"] == pytest.approx(factor * before["a"], rel=0.08)
    assert after["c"] == pytest.approx(before["c"], rel=0.06)
    assert after["d"] == pytest.approx(before["d"], rel=0.06)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("speed", [0.6, 1.3, 2.0])
def test_a_change_of_the_machine_moves_all_arms_within_ten_batches(speed: float, seed: int):
    machine = Machine(seed).calm()

    machine.speed = speed
    for _ in range(9):
        machine.run()

    assert machine.found() == pytest.approx(dict.fromkeys(ARMS, speed), rel=0.1)


def test_what_one_arm_claimed_of_the_machine_is_given_back_when_another_contradicts_it():
    machine = Machine().calm()

    machine.factors["a"] = 2.0
    machine.run("a")
    machine.run("a")
    claimed = machine.found()
    machine.run("b")

    assert claimed["d"] == pytest.approx(2.0, rel=0.1)
    assert machine.found()["a"] == pytest.approx(2.0, rel=0.1)
    assert machine.found()["d"] == pytest.approx(1.0, rel=0.05)


def test_an_arm_that_is_gone_does_not_come_back_with_what_it_claimed():
    machine = Machine().calm()
    machine.factors["d"] = 2.0
    for _ in range(2):
        machine.run("d")
    assert machine.state.claim is not None

    machine.state = without(machine.state, "d")
    machine.run("a")

    assert set(machine.state.arms) == {"a", "b", "c"}
    assert scale(machine.state, "b") == pytest.approx(1.0, rel=0.1)


def test_a_claim_that_another_arm_confirms_stands():
    machine = Machine().calm()

    machine.speed = 2.0
    for arm in "aabab":
        machine.run(arm)

    assert machine.found()["d"] == pytest.approx(2.0, rel=0.1)


def test_a_size_that_is_off_is_learnt_without_moving_the_others():
    rng, state = random.Random(3), SpeedScale()
    for _ in range(300):
        for rows, truth in ((1, 1.0), (8, 1.2), (4, 1.0)):
            took_s = truth * math.exp(rng.gauss(0.0, CALM_SIGMA))
            state = observe(state, "a", 1.0, took_s, rows)

    assert scale(state, "a", 8) == pytest.approx(1.2, rel=0.03)
    assert scale(state, "a", 1) == pytest.approx(1.0, rel=0.03)
    assert scale(state, "a", 4) == pytest.approx(1.0, rel=0.03)


def test_a_uniform_slow_down_bends_no_curve():
    rng, state = random.Random(4), SpeedScale()
    for i in range(400):
        speed = 1.0 if i < 200 else 1.4
        took_s = speed * math.exp(rng.gauss(0.0, CALM_SIGMA))
        state = observe(state, "a", 1.0, took_s, 1 << i % 4)

    bends = [scale(state, "a", rows) / scale(state, "a") for rows in (1, 2, 4, 8)]
    assert bends == pytest.approx([1.0] * 4, abs=0.02)
    assert math.exp(state.level) == pytest.approx(1.4, rel=0.1)


def test_each_arm_is_covered_by_a_margin_of_its_own():
    rng, state = random.Random(5), SpeedScale()
    sigma = {"steady": 0.02, "noisy": 0.12}
    above, count = dict.fromkeys(sigma, 0), 20_000
    for i in range(count):
        arm = "steady" if i % 2 else "noisy"
        took_s = math.exp(rng.gauss(0.0, sigma[arm]))
        late = i > count // 4
        above[arm] += late and took_s > scale(state, arm) * upper_factor(state, arm)
        state = observe(state, arm, 1.0, took_s)

    shares = {arm: n / (0.375 * count) for arm, n in above.items()}
    assert shares == pytest.approx(dict.fromkeys(sigma, 0.05), abs=0.015)
    assert upper_factor(state, "steady") < 1.1
    assert upper_factor(state, "noisy") > 1.2


def test_an_arm_that_has_not_run_has_the_machines_margin():
    machine = Machine().calm()

    assert upper_factor(machine.state, "new") == upper_factor(machine.state)


def test_a_widened_margin_narrows_by_the_arms_own_batches():
    machine = Machine().calm()
    before = upper_factor(machine.state, "a")

    machine.state = widened(machine.state, 1.5)
    wide = {arm: upper_factor(machine.state, arm) for arm in ("a", "b", "new")}
    for _ in range(40):
        machine.run("a")

    assert wide["a"] == pytest.approx(1.5 * before)
    assert wide["new"] > 1.5
    assert upper_factor(machine.state, "a") < 1.05 * before
    assert upper_factor(machine.state, "b") > 1.4 * before
    assert upper_factor(machine.state, "new") < wide["new"]


def test_on_other_hardware_the_evidence_starts_anew():
    machine = Machine().calm()

    assert evidence(machine.state, "a", 1) > 10.0
    assert evidence(widened(machine.state, 1.2), "a", 1) == 0.0


def test_any_hashable_names_an_arm():
    state = observe(SpeedScale(), ("network", "runtime", "cpu"), 1.0, 1.2)

    assert scale(state, ("network", "runtime", "cpu")) > scale(state, ("network", "other", "cpu"))
