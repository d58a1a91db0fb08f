"""The machine's own speed while arms take turns: found, and taken for what it is."""

import numpy as np
import pytest

from profiler.measuring.pace import Turn, pace, speeds

ARMS = {f"v{i}": 0.002 * (i + 1) for i in range(8)}


def turns(slow: tuple[float, float], factor: float, noise: float = 0.0) -> list[Turn]:
    """Eight arms in turns of 50 ms for 8 s; between the two times all take `factor` times as long."""
    rng = np.random.default_rng(1)
    found: list[Turn] = []
    for k in range(160):
        at_s = 0.05 * k
        now = factor if slow[0] <= at_s < slow[1] else 1.0
        name = f"v{k % 8}"
        scatter = np.exp(noise * rng.standard_normal(5))
        found.append(Turn(name, 1, at_s, tuple((ARMS[name] * now * scatter).tolist())))
    return found


def test_a_slow_spell_is_found_with_its_size():
    found = pace(turns((2.0, 5.0), 1.3))

    assert found[0] == pytest.approx(1.0, abs=0.01)
    assert found[70] == pytest.approx(1.3, abs=0.06)


def test_a_steady_machine_is_left_alone():
    found = pace(turns((0.0, 0.0), 1.0, noise=0.05))

    assert max(abs(f - 1) for f in found) < 0.03


def test_two_profiles_from_a_slow_and_a_fast_minute_agree_in_their_ratios():
    """Arms whose turns fall unevenly into the slow spell."""
    seen = [t for t in turns((2.0, 6.0), 1.4, noise=0.02) if t.arm != "v0" or t.at_s > 1.5]
    seen = [t for t in seen if t.arm != "v1" or not 2.5 < t.at_s < 6.0]
    factors = pace(seen)

    def ratio(corrected: bool) -> float:
        at = {
            name: np.median(
                [
                    np.median(t.took_s) / (f if corrected else 1.0)
                    for t, f in zip(seen, factors, strict=True)
                    if t.arm == name
                ]
            )
            for name in ("v0", "v1")
        }
        return float(at["v0"] / at["v1"])

    assert ratio(corrected=True) == pytest.approx(0.5, rel=0.06)
    assert ratio(corrected=False) > 0.6


def test_one_arm_that_grows_slower_is_not_the_machine():
    def slower(turn: Turn) -> Turn:
        by = 2.0 if turn.arm == "v0" and turn.at_s > 4 else 1.0
        return Turn(turn.arm, 1, turn.at_s, tuple(by * s for s in turn.took_s))

    seen = [slower(turn) for turn in turns((0.0, 0.0), 1.0)]

    assert pace(seen) == pytest.approx([1.0] * len(seen))


def test_what_runs_once_says_nothing_of_the_machine_and_does_not_drown_what_runs_again():
    """One arm runs every second, many others once; the third second is twice as slow."""
    again = [Turn("again", 1, float(k), (0.002 * (2 if k == 2 else 1),)) for k in range(8)]
    once = [Turn(f"v{k}", 1, 0.1 * k + 0.01, (0.002 * k,)) for k in range(1, 70)]

    found = pace([*again, *once])

    assert found[2] == pytest.approx(2.0, rel=0.1)
    assert found[8 + 20 - 1] == found[2]
    assert found[8 + 5 - 1] == pytest.approx(1.0, abs=0.01)


def test_where_the_speed_changed_between_two_looks_it_is_in_doubt():
    again = [Turn("again", 1, float(k), (0.002 * (2 if k >= 4 else 1),)) for k in range(8)]
    between = [Turn(f"v{k}", 1, k + 0.5, (0.003,)) for k in range(7)]

    found = [speed.doubt for speed in speeds([*again, *between])[8:]]

    assert found[3] > 0.2
    assert found[:3] + found[4:] == [0.0] * 6


def test_nothing_seen_is_nothing_found():
    assert pace([]) == ()
