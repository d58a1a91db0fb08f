"""How good a narrower copy of a network is, from its answers and fp32's to held-out rows, and what speaks against it.

Pure: arrays in, an accuracy and remarks out. Columns of numbers are classes where somebody said so, with labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.build.narrowing.closeness import Floats, columns_of, relative_error
from models.catalog import Accuracy

Outputs = Mapping[str, NDArray[Any]]
"""Output name -> answers, a row each."""

_Z = 1.96  # two-sided 95 %
_Z_DOUBT = 2.58  # two-sided 99 %: rows contradict a manifest by chance once in a hundred
LOW_AGREEMENT = 0.9
"""Share of rows with fp32's answer below which rounding has gone wrong rather than cost a little."""
_LARGE_ERROR = 0.1
_LARGE_SCORE_ERROR = 0.5
_LARGE_COLUMN_ERROR = 0.5
_LARGE_SCORE_COLUMN_ERROR = 1.0  # as bad as the same number for every row
_SMALL_SCORE = (
    0.1  # a class whose score differs by less than this share of the most is none of these rows'
)
_NAMED = 3  # columns that a doubt names; it counts the others
_LARGE_ERROR_ELSEWHERE = 0.25  # on few rows, which may be much alike


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

    @property
    def scores(self) -> tuple[str, ...]:
        """The outputs that hold a score for each class: of the family's labels, else of those that the rows have."""
        wide = [name for name, array in self.full.items() if _is_wide(array)]
        named = [name for name in wide if self.full[name].shape[1] == self.classes]
        if named or self.labels is None:
            return tuple(named)
        return tuple(n for n in wide if self.full[n].shape[1] > int(self.labels.max(initial=0)))

    @property
    def judged_live(self) -> bool:
        """Whether a server can tell from its traffic that a copy disagrees: it knows classes by the family's labels."""
        return self.classes > 1 and any(self.full[n].shape[1] == self.classes for n in self.scores)


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
    by_agreement: bool = False


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


def judged(full: Accuracy, answers: Answers, samples: Answers | None = None) -> Judgement:
    """The accuracy of the copy whose answers are usable, how it is known, and what speaks against it.

    Never above fp32's. With labels: fp32's less the loss measured; where the labels contradict what the manifest says
    of fp32, what was measured and no more. Without: an estimate, as if every answer that differs were lost (classes,
    whole numbers), or the error relative to how much the rows differ (other outputs), at the output that fares worst.
    `samples`: the answers to the family's own samples, which a good copy agrees on too. The lower end of the interval
    counts of what is doubtful where neither labels nor a server's traffic tell more.
    """
    found = [_likeness(name, answers) for name in answers.full]
    doubts = tuple(doubt for one in found for doubt in one.doubts)
    elsewhere = _apart_on(samples) if samples else None
    judgement = _on_rows(full, answers, found)
    known = judgement.accuracy
    doubts = (*judgement.doubts, *doubts, *(elsewhere.doubts if elsewhere else ()))
    if not doubts:
        return judgement
    if elsewhere:
        known = replace(known, value=min(known.value, full.value * elsewhere.share))
    source = f"{known.source}; doubtful: {'; '.join(doubts)}"
    known = replace(known, source=source)
    is_judged = answers.judged_live or _classes(answers) is not None
    return Judgement(known if is_judged else _lower_end(known, answers), doubts)


def _on_rows(full: Accuracy, answers: Answers, found: Sequence[_Likeness]) -> Judgement:
    classes = _classes(answers)
    if classes is not None and answers.labels is not None:
        return _measured(full, answers.labels, *classes)
    worst = min(found, key=lambda one: one.share)
    among = f" (output {worst.name!r}, the worst of {len(found)})" if len(found) > 1 else ""
    source = f"estimate: fp32's ({full.source}) {worst.words} {answers.n} held-out rows{among}"
    width = full.value * reach(worst.share, answers.n)
    return Judgement(Accuracy(full.value * worst.share, source, answers.n, min(1.0, width)))


def _lower_end(known: Accuracy, answers: Answers) -> Accuracy:
    """What it may well be no better than: rows that fp32 answers alike tell no more than one of them."""
    rows = [np.ascontiguousarray(a).reshape(answers.n, -1) for a in answers.full.values()]
    different = min(answers.n, max(len(np.unique(a, axis=0)) for a in rows))
    width = max(known.interval, known.value * reach(1.0, different))
    return replace(
        known,
        value=max(0.0, known.value - width),
        source=f"{known.source}; counted at its lower end",
        interval=min(1.0, width),
    )


def _apart_on(samples: Answers) -> _Likeness | None:
    """The likeness at the output that fares worst on the samples; None where that is no clear disagreement."""
    if why := unusable(samples):
        lost = why.startswith("its ")  # else fp32 itself has no answers
        return _Likeness("", 0.0, "", (f"on the family's samples {why}",)) if lost else None
    worst = min((_likeness(name, samples) for name in samples.full), key=lambda one: one.share)
    rows = f"{samples.n} rows of the family's samples"
    if worst.by_agreement:
        if wilson(worst.share, samples.n)[1] >= LOW_AGREEMENT:
            return None
        text = f"{worst.name!r} says what fp32 says on only {worst.share:.1%} of {rows}"
    else:
        if 1 - worst.share <= _LARGE_ERROR_ELSEWHERE:
            return None
        text = f"{worst.name!r} is off by {1 - worst.share:.2g} or more of how much {rows} differ"
    return replace(worst, doubts=(text,))


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
        known = Accuracy(min(full.value, share), source, n, reach(share, n))
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


def reach(share: float, n: int) -> float:
    """How far the farther end of the share's interval is: of no differing row in n about 3.8 / n, not 0."""
    low, high = wilson(share, n)
    return max(share - low, high - share)


def _reach_of_loss(worse: float, better: float, n: int) -> float:
    """The same of a difference of two shares of the same rows (R. G. Newcombe, 1998, without their correlation)."""
    (low_w, high_w), (low_b, high_b) = wilson(worse, n), wilson(better, n)
    return max(hypot(high_w - worse, better - low_b), hypot(worse - low_w, high_b - better))


def _classes(answers: Answers) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """fp32's and the copy's class of every row, of the output that says the labels best; None without labels."""
    scores = [
        (answers.full[n].argmax(axis=1), answers.made[n].argmax(axis=1)) for n in answers.scores
    ]
    numbers = [
        (a.reshape(-1), answers.made[n].reshape(-1))
        for n, a in answers.full.items()
        if a.dtype.kind in "iu" and a.size == len(a)
    ]
    labels = answers.labels
    if labels is None:
        return None
    return max(
        [*scores, *numbers], key=lambda pair: float((pair[0] == labels).mean()), default=None
    )


def _likeness(name: str, answers: Answers) -> _Likeness:
    full, made = answers.full[name], answers.made[name]
    whole = _finite(full)
    doubts: list[str] = []
    if not whole.all():
        doubts.append(f"fp32's {name!r} is not finite on {(~whole).sum()} of {answers.n} rows")
    if full.dtype.kind != "f":
        return _agreeing(name, full.reshape(len(full), -1), made.reshape(len(made), -1), doubts)
    full, made = full[whole].astype(np.float64), made[whole].astype(np.float64)
    error = relative_error(full, made)
    if name in answers.scores:
        if error > _LARGE_SCORE_ERROR:
            doubts.append(f"its scores {name!r} are off by {error:.2g} of how much the rows differ")
        doubts += _odd_columns(name, full, made, _LARGE_SCORE_COLUMN_ERROR, _SMALL_SCORE)
        classes = [a.argmax(axis=1)[:, None] for a in (full, made)]
        return _agreeing(name, classes[0], classes[1], doubts)
    if error > _LARGE_ERROR:
        hint = "; if it holds class scores, give the rows `labels`" if _is_wide(full) else ""
        doubts.append(f"{name!r} is off by {error:.2g} of how much the rows differ{hint}")
    if len(full) and not np.ptp(full, axis=0).any():
        doubts.append(f"fp32's {name!r} is the same on all rows; give rows that differ")
    doubts += _odd_columns(name, full, made, _LARGE_COLUMN_ERROR, 0.0)
    words = f"less its relative error of {error:.2g} on"
    return _Likeness(name, max(0.0, 1 - error), words, tuple(doubts))


def _odd_columns(
    name: str, full: Floats, made: Floats, most: float, least_spread: float
) -> list[str]:
    """What is to be said of single columns, those left out that differ by less than `least_spread` of the most."""
    if not full.size:
        return []
    found = columns_of(full, made)
    counted = found.spreads >= least_spread * found.spreads.max()
    lost = np.flatnonzero(found.lost & counted)
    far = np.flatnonzero((found.errors > most) & counted & ~found.lost)
    one = len(found.errors) == 1
    doubts: list[str] = []
    if len(lost):
        where = f"{name!r}" if one else f"{_named(lost)} of {name!r}"
        doubts.append(f"{where} became the same on all rows; fp32's differs")
    if len(far) and not one:
        error = float(found.errors[far].max())
        doubts.append(f"{_named(far)} of {name!r} off by up to {error:.2g} of how much it differs")
    return doubts


def _named(columns: NDArray[np.intp]) -> str:
    """`column 4`, or `columns 0, 1, 2 and 7 more`."""
    shown = ", ".join(map(str, columns[:_NAMED]))
    more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
    return f"column{'s' * (len(columns) > 1)} {shown}{more}"


def _agreeing(name: str, full: NDArray[Any], made: NDArray[Any], doubts: list[str]) -> _Likeness:
    """Of answers that are alike or not, a row each."""
    share = float((full == made).all(axis=1).mean()) if len(full) else 0.0
    if share < LOW_AGREEMENT:
        doubts.append(f"{name!r} says what fp32 says on only {share:.1%} of {len(full)} rows")
    if len(full) and (full == full[0]).all():
        doubts.append(
            f"fp32's {name!r} says the same on all {len(full)} rows, so agreement tells little; give rows that differ"
        )
    words = f"times its agreement, {share:.1%} of"
    return _Likeness(name, share, words, tuple(doubts), by_agreement=True)


def _is_wide(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and array.ndim == 2 and array.shape[1] > 1


def _finite(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row is finite throughout."""
    if array.dtype.kind != "f":
        return np.ones(len(array), np.bool_)
    return np.asarray(np.isfinite(array.reshape(len(array), -1)).all(axis=1))
