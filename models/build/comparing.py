"""How good a narrower copy of a network is, from its answers and fp32's to held-out rows, and what speaks against it.

Pure: arrays in, an accuracy and remarks out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.catalog import Accuracy

Outputs = Mapping[str, NDArray[Any]]
"""Output name -> answers, a row each."""

_Z = 1.96  # two-sided 95 %
_Z_DOUBT = 2.58  # two-sided 99 %: rows contradict a manifest by chance once in a hundred
LOW_AGREEMENT = 0.9
"""Share of rows with fp32's answer below which rounding has gone wrong rather than cost a little."""
_LARGE_ERROR = 0.1
_LARGE_SCORE_ERROR = 0.5


@dataclass(frozen=True, slots=True)
class Answers:
    """fp32's and the copy's for the same rows, the rows' class numbers if known, how many labels the family has."""

    full: Outputs
    made: Outputs
    labels: NDArray[np.int64] | None = None
    classes: int = 0

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.full.values())))


@dataclass(frozen=True, slots=True)
class Judgement:
    """The copy's accuracy, and what an operator should know before believing it."""

    accuracy: Accuracy
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Likeness:
    """Of one output: the share of it that is as fp32's, in words and with its doubts."""

    name: str
    share: float
    words: str
    doubts: tuple[str, ...]


def unusable(answers: Answers) -> str:
    """Why the copy's answers are no answers; empty where they are."""
    for name, full in answers.full.items():
        made = answers.made[name]
        if not _finite(full).any():
            return f"fp32's output {name!r} is finite on none of {answers.n} held-out rows"
        if made.shape != full.shape or made.dtype != full.dtype:
            return f"its output {name!r} is {made.dtype} {list(made.shape)}, fp32's {full.dtype} {list(full.shape)}"
        if lost := int((_finite(full) & ~_finite(made)).sum()):
            return f"its output {name!r} is not finite on {lost} of {answers.n} held-out rows"
    return ""


def judged(full: Accuracy, answers: Answers) -> Judgement:
    """The accuracy of the copy whose answers are usable, how it is known, and what speaks against it.

    Never above fp32's. With labels: fp32's less the loss measured; where the labels contradict what the manifest says
    of fp32, what was measured and no more. Without: an estimate, as if every answer that differs were lost (classes,
    whole numbers), or the error relative to how much the rows differ (other outputs), at the output that fares worst.
    """
    found = [_likeness(name, answers) for name in answers.full]
    doubts = tuple(doubt for one in found for doubt in one.doubts)
    classes = _classes(answers)
    if classes is not None and answers.labels is not None:
        return _with_doubts(_measured(full, answers.labels, *classes), doubts)
    worst = min(found, key=lambda one: one.share)
    among = f" (output {worst.name!r}, the worst of {len(found)})" if len(found) > 1 else ""
    source = f"estimate: fp32's ({full.source}) {worst.words} {answers.n} held-out rows{among}"
    width = full.value * _reach(worst.share, answers.n)
    known = Accuracy(full.value * worst.share, source, answers.n, min(1.0, width))
    return _with_doubts(Judgement(known), doubts)


def _with_doubts(judgement: Judgement, more: tuple[str, ...]) -> Judgement:
    doubts = (*judgement.doubts, *more)
    if not doubts:
        return judgement
    known = judgement.accuracy
    source = f"{known.source}; doubtful: {'; '.join(doubts)}"
    return Judgement(Accuracy(known.value, source, known.n, known.interval), doubts)


def _measured(
    full: Accuracy, labels: NDArray[np.int64], theirs: NDArray[Any], mine: NDArray[Any]
) -> Judgement:
    n = len(labels)
    right, full_right = mine == labels, theirs == labels
    share, full_share = float(right.mean()), float(full_right.mean())
    said = f"{share:.1%} right, fp32 {full_share:.1%}; same class {(mine == theirs).mean():.1%}"
    low, high = wilson(full_share, n, _Z_DOUBT)
    if high < full.value - full.interval:
        doubt = (
            f"fp32 is right on {full_share:.1%} of {n} labelled rows, "
            f"the manifest says {full.value:.1%} ({full.source})"
        )
        source = f"measured on {n} labelled held-out rows: {said}"
        known = Accuracy(min(full.value, share), source, n, _reach(share, n))
        return Judgement(known, (doubt,))
    worse, better = float((full_right & ~right).mean()), float((right & ~full_right).mean())
    source = f"fp32's ({full.source}) less the loss on {n} labelled held-out rows: {said}"
    value = min(full.value, max(0.0, full.value - (worse - better)))
    known = Accuracy(value, source, n, min(1.0, _reach_of_loss(worse, better, n)))
    if low > full.value + full.interval:
        return Judgement(
            known,
            (
                f"fp32 is right on {full_share:.1%} of {n} labelled rows, more than the manifest's {full.value:.1%} "
                "allows: these rows are easier than those",
            ),
        )
    return Judgement(known)


def wilson(share: float, n: int, z: float = _Z) -> tuple[float, float]:
    """The ends of the score interval (E. B. Wilson, 1927) of a `share` seen in `n` trials; never of no width."""
    z2 = z * z
    middle = share + z2 / (2 * n)
    spread = z * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, (middle - spread) / (1 + z2 / n)), min(1.0, (middle + spread) / (1 + z2 / n))


def _reach(share: float, n: int) -> float:
    """How far the farther end of the share's interval is: of no differing row in n about 3.8 / n, not 0."""
    low, high = wilson(share, n)
    return max(share - low, high - share)


def _reach_of_loss(worse: float, better: float, n: int) -> float:
    """The same of a difference of two shares of the same rows (R. G. Newcombe, 1998, without their correlation)."""
    (low_w, high_w), (low_b, high_b) = wilson(worse, n), wilson(better, n)
    return max(hypot(high_w - worse, better - low_b), hypot(worse - low_w, high_b - better))


def _classes(answers: Answers) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """fp32's and the copy's class of every row, of the output that holds scores or class numbers; None without one."""
    scores = [name for name, a in answers.full.items() if _is_scores(a)]
    scores.sort(key=lambda name: answers.full[name].shape[1] != answers.classes)
    if scores:
        return answers.full[scores[0]].argmax(axis=1), answers.made[scores[0]].argmax(axis=1)
    numbers = [n for n, a in answers.full.items() if a.dtype.kind in "iu" and a.size == len(a)]
    if numbers:
        return answers.full[numbers[0]].reshape(-1), answers.made[numbers[0]].reshape(-1)
    return None


def _likeness(name: str, answers: Answers) -> _Likeness:
    full, made = answers.full[name], answers.made[name]
    whole = _finite(full)
    doubts: list[str] = []
    if not whole.all():
        doubts.append(f"fp32's {name!r} is not finite on {(~whole).sum()} of {answers.n} rows")
    if full.dtype.kind != "f":
        return _agreeing(name, full.reshape(len(full), -1), made.reshape(len(made), -1), doubts)
    full, made = full[whole].astype(np.float64), made[whole].astype(np.float64)
    error = _error(full, made)
    if not _is_scores(full):
        if error > _LARGE_ERROR:
            doubts.append(f"{name!r} is off by {error:.2g} of how much the rows differ")
        if len(full) and not np.ptp(full, axis=0).any():
            doubts.append(f"fp32's {name!r} is the same on all rows; give rows that differ")
        words = f"less its relative error of {error:.2g} on"
        return _Likeness(name, max(0.0, 1 - error), words, tuple(doubts))
    if error > _LARGE_SCORE_ERROR:
        doubts.append(f"its scores {name!r} are off by {error:.2g} of how much the rows differ")
    classes = [a.argmax(axis=1)[:, None] for a in (full, made)]
    return _agreeing(name, classes[0], classes[1], doubts)


def _agreeing(name: str, full: NDArray[Any], made: NDArray[Any], doubts: list[str]) -> _Likeness:
    """Of answers that are alike or not, a row each."""
    share = float((full == made).all(axis=1).mean()) if len(full) else 0.0
    if share < LOW_AGREEMENT:
        doubts.append(f"{name!r} says what fp32 says on only {share:.1%} of {len(full)} rows")
    if len(full) and (full == full[0]).all():
        doubts.append(
            f"fp32's {name!r} says the same on all {len(full)} rows, so agreement tells little; give rows that differ"
        )
    return _Likeness(name, share, f"times its agreement, {share:.1%} of", tuple(doubts))


def _error(full: NDArray[np.float64], made: NDArray[np.float64]) -> float:
    """The copy's error relative to how much fp32's answers differ from row to row, else to their size."""
    if not len(full):
        return 1.0
    spread = float(np.linalg.norm(full - full.mean(axis=0)))
    return float(np.linalg.norm(made - full)) / (spread or float(np.linalg.norm(full)) or 1.0)


def _is_scores(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and array.ndim == 2 and array.shape[1] > 1


def _finite(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row is finite throughout."""
    if array.dtype.kind != "f":
        return np.ones(len(array), np.bool_)
    return np.asarray(np.isfinite(array.reshape(len(array), -1)).all(axis=1))
