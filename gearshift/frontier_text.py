"""Accuracy against latency as a picture of text, for a terminal. Pure: marks in, lines out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

WIDTH, HEIGHT = 60, 15
"""Of the field, in characters."""
_OTHER, _LINE = "o", "."


@dataclass(frozen=True, slots=True)
class Mark:
    """One arm: its letter if it is on the frontier, else none; latency (ms, above 0) and accuracy (%)."""

    letter: str
    latency_ms: float
    accuracy: float


def picture(marks: Sequence[Mark]) -> list[str]:
    """The field with its axes: latency to the right, in log scale, accuracy upwards; dots: what a latency buys."""
    columns = _scaled([log(m.latency_ms) for m in marks], WIDTH)
    rows = _scaled([m.accuracy for m in marks], HEIGHT)
    field = [[" "] * WIDTH for _ in range(HEIGHT)]
    best = sorted((c, r) for m, c, r in zip(marks, columns, rows, strict=True) if m.letter)
    for (column, row), (end, _) in zip(best, [*best[1:], (WIDTH, 0)], strict=True):
        field[row][column:end] = _LINE * (end - column)
    for letters in (False, True):  # letters last: nothing hides them
        for mark, column, row in zip(marks, columns, rows, strict=True):
            if bool(mark.letter) == letters:
                field[row][column] = mark.letter or _OTHER
    return [*_framed(field, [m.accuracy for m in marks]), *_axis([m.latency_ms for m in marks])]


def _scaled(values: Sequence[float], cells: int) -> list[int]:
    """Each value's cell: the least in the first, the greatest in the last; in the middle where all are alike."""
    least, span = min(values), max(values) - min(values)
    if not span:
        return [cells // 2] * len(values)
    return [round((cells - 1) * (value - least) / span) for value in values]


def _framed(field: Sequence[Sequence[str]], accuracies: Sequence[float]) -> list[str]:
    low, high = min(accuracies), max(accuracies)
    spread = high > low
    said = {HEIGHT - 1: high, 0: low} if spread else {HEIGHT // 2: low}
    lines: list[str] = []
    for row in reversed(range(HEIGHT)):
        label = f"{said[row]:.2f}" if row in said else ""
        lines.append(f"{label:>6} |{''.join(field[row])}".rstrip())
    return lines


def _axis(latencies_ms: Sequence[float]) -> list[str]:
    low, high = min(latencies_ms), max(latencies_ms)
    rule = f"{'':>6} +{'-' * WIDTH}"
    if low == high:
        return [rule, f"{'':>8}{f'{low:.3g}':^{WIDTH}}".rstrip()]
    left, middle, right = (f"{v:.3g}" for v in (low, (low * high) ** 0.5, high))
    return [rule, f"{'':>8}{left}{middle:^{WIDTH - len(left) - len(right)}}{right}"]
