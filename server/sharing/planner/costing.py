"""What stem and heads cost: sums over layers, or as they were measured. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from server.sharing.planner.workload import NetworkCosts, Task


def additive(layer_costs: Sequence[float], tasks: Iterable[Task]) -> NetworkCosts:
    """A stretch of layers costs the sum of theirs, whoever runs it. For every branch of every task."""
    through = [0.0, *accumulate(layer_costs)]
    heads = {
        (task.name, branch.frozen): through[-1] - through[branch.frozen]
        for task in tasks
        for branch in task.branches
    }
    return NetworkCosts(dict(enumerate(through)), heads)


def measured(
    stem_s: Mapping[int, Mapping[int, float]],
    heads_s: Mapping[tuple[str, int], Mapping[int, float]],
    batch: int = 1,
) -> NetworkCosts:
    """Device seconds a frame where `batch` frames run together; per cut and batch size, the seconds of one batch.

    A batch size that was not measured costs as much as the next larger one (those run padded), one beyond all of them
    as much a frame as the largest. A longer stem is never taken to be cheaper than a shorter one: that is noise.
    Raises ValueError where a cut has no measurement.
    """
    stem: dict[int, float] = {0: 0.0}
    for frozen in sorted(stem_s.keys() - {0}):
        stem[frozen] = max(_a_frame(stem_s[frozen], batch, f"the stem to {frozen}"), *stem.values())
    return NetworkCosts(
        stem, {cut: _a_frame(took_s, batch, f"head {cut}") for cut, took_s in heads_s.items()}
    )


def _a_frame(took_s: Mapping[int, float], batch: int, what: str) -> float:
    """Seconds for each of `batch` frames."""
    if not took_s:
        raise ValueError(f"{what} has no measured batch size; measure at least one")
    larger = min((size for size in took_s if size >= batch), default=None)
    if larger is None:
        largest = max(took_s)
        return took_s[largest] / largest
    return took_s[larger] / batch
