"""The learning rate as a function of the share of the budget that is spent. Pure."""

from math import cos, pi

DECAYS = ("cosine", "linear")


def learning_rate(
    share: float, peak: float, *, warmup: float = 0.1, decay: str = "cosine"
) -> float:
    """The rate at `share` (0 to 1) of the budget: up to `peak` over `warmup` of it, then down to 0 exactly at its end.

    Tied to the budget, not to epochs: every selector's run ends fully decayed, whatever it skipped. Without that, runs
    that are compared at equal cost are compared at unequal stages of their schedule (Kaddour et al. 2023, "No Train No
    Gain", arXiv 2307.06440). Raises ValueError for an unknown `decay`.
    """
    if share < warmup:
        return peak * share / warmup
    left = 1.0 - min(1.0, (share - warmup) / (1.0 - warmup))
    match decay:
        case "cosine":
            return peak * 0.5 * (1.0 - cos(pi * left))
        case "linear":
            return peak * left
        case _:
            raise ValueError(f"decay {decay!r} is unknown; known: {', '.join(DECAYS)}")
