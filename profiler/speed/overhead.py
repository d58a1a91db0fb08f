"""What a batch costs beyond its backend: deciding, waiting for locks, answering. A frozen state in and out. Pure.

A least-squares line over batch size with fading memory: `per_batch_s + rows * per_row_s`, neither below zero.
"""

from dataclasses import dataclass

MEMORY = 1.0 - 1.0 / 200.0
"""Weight of the past at each new batch: some 200 batches are remembered."""
RIDGE = 1e-3
"""Relative ridge on the slope: where all batches have one size, the line lies flat on their mean."""
CLIP = 4.0
"""A batch counts as this many times the present estimate at most: a stalled machine is not overhead."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Fading sums over batches: weight, rows, rows squared, seconds, rows x seconds."""

    weight: float = 0.0
    rows: float = 0.0
    rows2: float = 0.0
    spent_s: float = 0.0
    rows_spent_s: float = 0.0


def observe(state: Overhead, rows: int, spent_s: float) -> Overhead:
    """The state after a batch of `rows` rows that cost `spent_s` beyond its time in the backend."""
    if state.weight >= 10.0:
        spent_s = min(spent_s, CLIP * at(line(state), rows))
    spent_s = max(spent_s, 0.0)
    return Overhead(
        state.weight * MEMORY + 1.0,
        state.rows * MEMORY + rows,
        state.rows2 * MEMORY + rows * rows,
        state.spent_s * MEMORY + spent_s,
        state.rows_spent_s * MEMORY + rows * spent_s,
    )


def line(state: Overhead) -> tuple[float, float]:
    """(per_batch_s, per_row_s); zeros before the first batch."""
    if not state.weight:
        return 0.0, 0.0
    mean_rows, mean_s = state.rows / state.weight, state.spent_s / state.weight
    spread = state.rows2 / state.weight - mean_rows**2
    shared = state.rows_spent_s / state.weight - mean_rows * mean_s
    per_row_s = max(0.0, shared / (spread + RIDGE * (1.0 + mean_rows**2)))
    per_batch_s = mean_s - per_row_s * mean_rows
    if per_batch_s < 0.0:  # a line through the origin is the best that is left
        return 0.0, state.rows_spent_s / state.rows2
    return per_batch_s, per_row_s


def at(coefficients: tuple[float, float], rows: int) -> float:
    """The overhead (s) of a batch of `rows` rows on the line."""
    return coefficients[0] + rows * coefficients[1]
