"""One queue as a semi-Markov decision process: states (tickets waiting, slack of the first), actions (arm, batch)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.policy.decision import ArmProfile
from server.policy.reference.planning import ExpectedLoad
from server.policy.reference.poisson import Floats, arriving, growing

Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]

SWEEPS = 400
"""Most sweeps of the value iteration; a hundred are usual."""
SPAN = 4e-3
"""It ends when a sweep adds the same to all states within this much accuracy, and no more than it to any."""

EPSILON_S = 1e-12
"""Less time than this is rounding."""


@dataclass(frozen=True, slots=True)
class Process:
    """A actions, lengths 1 to N, and J slacks from 0 to the SLO. Values of states are (N + 1, J), length 0 unused.

    `reward` (A, N, J): accuracy answered, -inf where the action cannot be taken; `spans_s` (A): worker time until the
    next decision; `after` (A, N, J): flat index into (A, N + 1, J) of the state left behind before arrivals, to be
    mixed with the next slack by `share`; `grown` (A, N + 1, N + 1): lengths after arrivals by length before; `emptied`:
    where nothing is left behind; `begun` (A, N + 1, J): which states follow an empty queue; `rate_rps`: arrivals.
    """

    reward: Floats
    spans_s: Floats
    after: Counts
    share: Floats
    grown: Floats
    emptied: Bools
    begun: Floats
    rate_rps: float


def process(
    actions: Sequence[tuple[ArmProfile, int]],
    load: ExpectedLoad,
    shape: tuple[int, int],
    guard_s: float,
) -> Process:
    """The process of serving `load` with `actions`, for `shape` = (N, J).

    Of n tickets the first has the state's slack and the others arrived evenly spaced since. An action gives up those
    that its batch would make late by the upper estimate plus `guard_s`, then answers exactly its rows. Arrivals are
    Poisson; the workers share the queue, so that the next decision comes after a `workers`-th of the batch's mean time.
    """
    most, slacks = shape
    rows = np.array([rows for _, rows in actions])[:, None, None]
    upper_s = np.array([arm.upper_s[b] for arm, b in actions])[:, None, None] + guard_s
    spans_s = np.array([arm.mean_s[b] for arm, b in actions]) / load.workers
    waiting = np.arange(1, most + 1)[None, :, None]
    age_s = np.linspace(load.slo_s, 0.0, slacks)[None, None, :]
    gone = _given_up(waiting, age_s, age_s - (load.slo_s - upper_s)) + rows
    left = (waiting - gone).astype(np.int64)
    aged_s = age_s * (1.0 - gone / waiting) + spans_s[:, None, None]
    at, share = _bucket(load.slo_s - aged_s, load.slo_s, slacks)
    accuracy = np.array([arm.accuracy for arm, _ in actions])[:, None, None]
    arrive = arriving(load.rate_rps * spans_s, most)
    first = np.arange(len(actions))[:, None, None] * (most + 1)
    return Process(
        np.where(left >= 0, rows * accuracy, -np.inf),
        spans_s,
        (first + np.maximum(left, 0)) * slacks + at,
        share,
        growing(arrive),
        left <= 0,
        _begun(arrive, spans_s, load.slo_s, slacks),
        load.rate_rps,
    )


def solve(it: Process) -> Counts:
    """The action (N, J) of most accuracy per second in the long run; -1 where none can be taken.

    Relative value iteration, the gain estimated along with the values: in a sweep at gain g every value drifts by the
    error of g times the time to the next decision, and g follows at a pace that cannot overshoot.
    """
    values = np.zeros(it.begun.shape[1:])
    gain = min(it.rate_rps, float((it.reward.max(axis=(1, 2)) / it.spans_s).max()))
    pace = 1.0 / (float(it.spans_s.max()) + 1.0 / it.rate_rps)
    worth = it.reward
    for _ in range(SWEEPS):
        with np.errstate(over="ignore", invalid="ignore"):  # what cannot be done is worth -inf
            worth = _worth(it, values, gain)
        idle = values[1, -1] - gain / it.rate_rps
        better = np.maximum(worth.max(axis=0), idle)
        change = better - values[1:]
        values[1:] = better - better[0, -1]
        gain += pace * float(change.mean())
        if np.ptp(change) < SPAN and abs(float(change.mean())) < SPAN:
            break
    return np.where(np.isfinite(worth.max(axis=0)), worth.argmax(axis=0), -1)


def _worth(it: Process, values: Floats, gain: float) -> Floats:
    """What every action is worth in every state (A, N, J), a second of the workers being worth `gain`."""
    count, lengths, _ = it.begun.shape
    later = (it.grown.reshape(-1, lengths) @ values).ravel()
    begun = it.begun.reshape(count, -1) @ values.ravel() - it.begun[:, 0, 0] * gain / it.rate_rps
    kept = (1.0 - it.share) * later[it.after] + it.share * later[it.after + 1]
    followed = np.where(it.emptied, begun[:, None, None], kept)
    return it.reward - (gain * it.spans_s)[:, None, None] + followed


def _given_up(waiting: Counts, age_s: Floats, over_s: Floats) -> Floats:
    """How many of `waiting` tickets are too old by up to `over_s`, the first being `age_s` old."""
    behind = np.rint((waiting - 1) * over_s / np.maximum(age_s, EPSILON_S))
    return np.where(over_s > EPSILON_S, 1.0 + behind, 0.0)


def _bucket(slack_s: Floats, slo_s: float, slacks: int) -> tuple[Counts, Floats]:
    """(the slack at or below, how far on the way to the next): what lies outside 0 to the SLO counts as its ends."""
    position = np.clip(slack_s / slo_s, 0.0, 1.0) * (slacks - 1)
    below = np.minimum(position.astype(np.int64), slacks - 2)
    return below, position - below


def _begun(arrive: Floats, spans_s: Floats, slo_s: float, slacks: int) -> Floats:
    """Probabilities (A, N + 1, J) of the states after serving all that waited, for `Process.begun`.

    Of k arrivals in a span the first comes after a (k + 1)-th of it, on average. If there is none, the next decision
    comes with the next arrival: [:, 0, 0] tells how likely that is, and all of it is counted under [:, 1, -1] too.
    """
    count, lengths = arrive.shape
    begun = np.zeros((count, lengths, slacks))
    came = np.arange(1, lengths)
    below, share = _bucket(slo_s - spans_s[:, None] * came / (came + 1), slo_s, slacks)
    action = np.arange(count)[:, None]
    begun[action, came, below] = arrive[:, 1:] * (1.0 - share)
    begun[action, came, below + 1] = arrive[:, 1:] * share
    begun[:, 0, 0] = arrive[:, 0]
    begun[:, 1, -1] += arrive[:, 0]
    return begun
