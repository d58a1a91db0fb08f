"""StaleSB(n): Selective-Backprop that computes a loss anew only every n epochs and remembers it in between. Pure.

As Jiang et al. have it beside Selective-Backprop (arXiv 1910.00762), but here losses of training steps refresh the
memory too: what is trained on often needs no forward at all.
"""

from collections.abc import Mapping

from trainer.selectors.options import Option, read
from trainer.selectors.selective import Selective, looks
from trainer.selectors.selective_backprop import OPTIONS as SELECTIVE_BACKPROP
from trainer.selectors.selective_backprop import Power

STALENESS = {"n": Option(3, 1, 1000, whole=True), "reuse": Option(1, 0, 1, whole=True)}
OPTIONS = SELECTIVE_BACKPROP | STALENESS


class Stale(Selective):
    """Losses count as known for some epochs after they were computed."""

    name = "stale"


def stale(n: int, options: Mapping[str, float]) -> Stale:
    """`n` among the options is the number of epochs; reuse=0 has only forwards, not training, count as refreshing."""
    chosen = read(Stale.name, options, OPTIONS)
    return Stale(n, Power(chosen["beta"]), looks(chosen))
