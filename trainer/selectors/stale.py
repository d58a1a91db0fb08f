"""StaleSB(n): Selective-Backprop that computes a loss anew only every n epochs and remembers it in between. Pure.

Jiang et al., 2019 (arXiv 1910.00762), section on staleness. Here losses of training steps refresh the memory as well:
what is trained on often needs no forward at all.
"""

from collections.abc import Mapping

from trainer.selectors.options import Option, read
from trainer.selectors.selective import LOOKS, Looks, Selective
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


def looks(chosen: Mapping[str, float]) -> Looks:
    """How these options have examples looked at."""
    assert LOOKS.keys() <= chosen.keys(), "options come from `read`"
    return Looks(
        chosen["floor"],
        int(chosen["primed_epochs"]),
        int(chosen["n"]),
        bool(chosen["reuse"]),
        bool(chosen["importance"]),
    )
