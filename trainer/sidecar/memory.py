"""What was trained before, read back from where it was published and from what a server made of it.

Nothing else is kept, so a sidecar may be killed at any moment, and started again elsewhere.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from math import inf
from pathlib import Path
from typing import Any, cast

from models.artifacts import MANIFEST, ArtifactError, load_family
from models.catalog import Family, Variant
from trainer.errors import TrainError
from trainer.sidecar.frontier import DROPPED, SERVING, Frontier, Standing
from trainer.sidecar.gaps import Attempt, Performance, State, Tried

Sized = Callable[[str], int]
"""Network's name -> multiplications a row; raises TrainError for one that is unknown."""
_Run = tuple[str, float, int]


def published(repository: Path, family: str) -> Family | None:
    """The family there; None where there is none. Raises TrainError where it is damaged."""
    folder = repository / family
    if not (folder / MANIFEST).exists():
        return None
    try:
        return load_family(folder, verify=False)
    except ArtifactError as error:
        raise TrainError(f"{error}; mend it, or name another family") from error


def standings(family: Family | None, frontier: Frontier | None) -> list[Standing]:
    """Every variant, as the server sees it; one that it has not seen yet waits, or serves from its start."""
    found = {v.name: _unseen(v) for v in (family.variants if family else ())}
    if frontier is not None:
        found |= {one.name: one for one in frontier.variants}
    return list(found.values())


def tried(variants: Iterable[Standing], sized: Sized) -> list[Tried]:
    """The runs that their origins tell of; a run's files in several precisions are one."""
    runs: defaultdict[_Run, list[Standing]] = defaultdict(list)
    for one in variants:
        if run := _run_of(one.origin):
            runs[run].append(one)
    found: list[Tried] = []
    for (network, budget, seed), files in runs.items():
        if size := _size_of(network, sized):
            attempt = Attempt(network, budget, size)
            found.append(Tried(attempt, seed, max(f.accuracy for f in files), _state(files)))
    return found


def points(variants: Iterable[Standing], sized: Sized) -> tuple[Performance, ...]:
    """Those that serve and whose latency is known."""
    return tuple(
        Performance(
            one.latency_s[min(one.latency_s)] / min(one.latency_s),
            min(s / rows for rows, s in one.latency_s.items()),
            one.accuracy,
            _size_of(run[0], sized) if (run := _run_of(one.origin)) else 0.0,
        )
        for one in variants
        if one.state == SERVING and one.latency_s
    )


def _unseen(variant: Variant) -> Standing:
    state = "profiling" if variant.candidate else SERVING
    return Standing(variant.name, variant.accuracy.value, variant.origin, state, "", {})


def _state(files: list[Standing]) -> State:
    """One file that serves is enough; none, and one that waits: the run waits."""
    states = {f.state for f in files}
    if SERVING in states:
        return "serving"
    return "dropped" if states <= DROPPED else "pending"


def _size_of(network: str, sized: Sized) -> int:
    """0 for what another program made."""
    try:
        return sized(network)
    except TrainError:
        return 0


def _run_of(origin: str) -> _Run | None:
    """(network, budget, seed) in a variant's origin; None where it says nothing of the kind."""
    try:
        content: Any = json.loads(origin)
        if not isinstance(content, dict):
            return None
        known = cast("dict[str, Any]", content)
        budget = float(known.get("budget") or known["units"])
        run = (str(known["network"]), budget, int(known["seed"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return run if 0 < budget < inf else None
