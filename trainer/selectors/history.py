"""The last losses seen, and how large a share of them is smaller than a given one. Pure."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trainer.selectors.base import Losses

RECENT = 1024
"""R: enough for percentiles to a tenth of a percent, few enough to follow a network that learns."""


def _none() -> Losses:
    return np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class History:
    """The last RECENT losses, oldest first. A value: adding to it makes another."""

    losses: Losses = field(default_factory=_none)

    def with_more(self, losses: Losses) -> "History":
        return History(np.concatenate((self.losses, losses))[-RECENT:])

    def below(self, losses: Losses) -> NDArray[np.float64]:
        """CDF_R: the share, 0 to 1, of the history that is strictly below each of `losses`; 0 if there is none."""
        ranks = np.searchsorted(np.sort(self.losses), losses, side="left")
        return ranks / max(1, len(self.losses))
