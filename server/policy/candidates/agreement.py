"""Whether two classifiers agree as often as their accuracies say they must. Pure."""

from dataclasses import dataclass
from math import sqrt

from models.catalog import Family

SIGMAS = 3.0
"""Of the bound on the share seen (one-sided 0.1 %): it is looked at again after every few rows."""
REMEMBERED = 1024.0
"""Rows after which older ones count half: traffic changes, and so does how well a network does on it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Live rows on which both answered, those on which their top-1 agreed, and the sum of what had to agree."""

    rows: float = 0.0
    agreed: float = 0.0
    due: float = 0.0


def least(accuracy: float, other: float) -> float:
    """The least share of rows on which classifiers of these accuracies agree: where both are right they answer alike.

    At most 1 - a rows are wrong by one and 1 - b by the other; were no row wrong by both, a + b - 1 would be left.
    """
    return max(0.0, accuracy + other - 1.0)


def added(tally: Tally, rows: int, agreed: int, least_share: float) -> Tally:
    """The tally after more rows, compared with a classifier with which `least_share` must agree."""
    keep = 0.5 if tally.rows >= REMEMBERED else 1.0
    return Tally(
        keep * tally.rows + rows,
        keep * tally.agreed + agreed,
        keep * tally.due + rows * least_share,
    )


def is_contradicted(tally: Tally, least_rows: int) -> bool:
    """Whether so few rows agree that one of the accuracies cannot hold on this traffic.

    Rows of differing least shares are judged by their mean: the sum of unequal draws scatters less than equal ones do.
    """
    if tally.rows < max(1, least_rows):
        return False
    return upper(tally.agreed, tally.rows) < tally.due / tally.rows


def upper(hits: float, n: float, sigmas: float = SIGMAS) -> float:
    """The upper end of Wilson's score interval of a share (E. B. Wilson, 1927), `hits` of `n` > 0 having been seen."""
    share, z2 = hits / n, sigmas * sigmas
    middle = share + z2 / (2 * n)
    spread = sigmas * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (middle + spread) / (1 + z2 / n)


def scores_of(family: Family) -> str | None:
    """The name of the output that holds class scores: floats, one for each label. None where there is none."""
    wanted = (-1, len(family.labels))
    scores = [s for s in family.outputs if s.shape == wanted and s.is_float]
    return scores[0].name if scores and len(family.labels) > 1 else None
