"""The sizes that a graph leaves free behind its rows: what is usual, how large they may be, which outputs follow them.

Found by running the graph, as it says nothing of them: a transformer's positions end somewhere, a network with a fixed
head takes one size only.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from models.adding.reading import Input
from models.build.errors import BuildError
from models.catalog import FreeSize
from models.datatypes import DATATYPES

USUAL = (32, 16, 64, 128, 256, 8, 512, 1024, 4, 2, 1)
"""Sizes that are tried for what is typical where nobody says."""
USUAL_SIDES = (224, 256, 320, 416, 512, 640, 128, 299, 64, 32, 16)
"""The same where an input looks like pictures: two sizes or more of floats."""
MOST_FOLD, LONGEST_S = 32, 1.0
"""No row is tried of more than so many typical rows' values, nor a larger one where one took so long (s)."""
MOST_VALUES = 1 << 26
"""Values of the largest row that is tried, all inputs together, whatever is asked for."""

OutputSizes = dict[str, tuple[tuple[int, ...], tuple[str, ...]]]
"""Output -> its dimensions behind the rows, -1 where they are free, and the names of those."""
Sizes = Mapping[str, int]
Runs = Callable[[Sizes], Mapping[str, NDArray[np.generic]]]
"""The outputs for one row of these sizes. Raises BuildError."""


@dataclass(frozen=True, slots=True)
class AskedSize:
    """What the user said of a size: `most` is None where nothing."""

    typical: int
    most: int | None = None


def made_up(inputs: Sequence[Input], rows: int, sizes: Sizes) -> dict[str, NDArray[np.generic]]:
    """Rows to try a graph with where nobody gave any: noise; whole numbers are 0 and 1, which any vocabulary has."""
    rng = np.random.default_rng(0)
    found: dict[str, NDArray[np.generic]] = {}
    for one in inputs:
        dtype, shape = DATATYPES[one.datatype].dtype, (rows, *one.at(sizes))
        values = rng.normal(size=shape) if dtype.kind == "f" else rng.integers(0, 2, size=shape)
        found[one.name] = values.astype(dtype)
    return found


def free_sizes(
    inputs: Sequence[Input], runs: Runs, asked: Mapping[str, AskedSize], sampled: Sizes
) -> tuple[FreeSize, ...]:
    """Each free size of the inputs; one whose typical size is its largest where the graph takes no other.

    `sampled`: of the user's own rows. Raises BuildError where none is found that the graph takes, or asked for is what
    there is not.
    """
    names = list(dict.fromkeys(name for one in inputs for name in one.sizes))
    if unknown := sorted(asked.keys() - set(names)):
        has = f"it has {', '.join(names)}" if names else "it has none"
        raise BuildError(f"--size {unknown[0]}: no input has a free size of that name; {has}")
    if not names:
        return ()
    typical = _typical(inputs, runs, {**sampled, **{n: a.typical for n, a in asked.items()}})
    most = _most(runs, typical)
    for name, said in asked.items():
        if said.most is not None:
            _check_values(inputs, {**typical, name: said.most}, f"--size {name}")
            runs({**typical, name: said.most})
            most[name] = said.most
    return tuple(FreeSize(name, typical[name], most[name]) for name in names)


def output_sizes(runs: Runs, sizes: Sequence[FreeSize]) -> OutputSizes | None:
    """Each output's dimensions behind the rows, -1 where they are free, and the names of those: of the size that one
    always equals, or "". None where the graph takes no other than the typical sizes."""
    typical = {size.name: size.typical for size in sizes}
    seen: list[tuple[Sizes, Mapping[str, NDArray[np.generic]]]] = [(typical, runs(typical))]
    for changed in _others(sizes):
        try:
            seen.append((changed, runs(changed)))
        except BuildError:
            continue
    if sizes and len(seen) == 1:
        return None
    found: OutputSizes = {}
    for name, array in seen[0][1].items():
        dims = [
            _dimension([(s, a[name].shape[axis]) for s, a in seen]) for axis in range(1, array.ndim)
        ]
        found[name] = tuple(d for d, _ in dims), tuple(n for d, n in dims if d < 0)
    return found


def _dimension(seen: Sequence[tuple[Sizes, int]]) -> tuple[int, str]:
    """(the dimension, or -1 where it was not always the same; the size that it always was, or "")."""
    if len({dim for _, dim in seen}) == 1:
        return seen[0][1], ""
    names = seen[0][0]
    return -1, next((n for n in names if all(sizes[n] == dim for sizes, dim in seen)), "")


def _others(sizes: Sequence[FreeSize]) -> Iterator[Sizes]:
    """Other sizes than the typical ones: small, odd, near and far; of each alone, then of all."""
    typical = {size.name: size.typical for size in sizes}
    for size in sizes:
        t = size.typical
        near = {1, 3, max(1, round(0.3 * t)), t + 1, 2 * t, size.most}
        for k in sorted(k for k in near if 1 <= k <= size.most and k != t):
            yield {**typical, size.name: k}
    for share in (0.3, 2.0) if len(sizes) > 1 else ():
        yield {s.name: min(s.most, max(1, round(share * s.typical))) for s in sizes}


def _typical(inputs: Sequence[Input], runs: Runs, known: Sizes) -> dict[str, int]:
    """Sizes that the graph runs at: those known, the others as is usual. Raises BuildError."""
    sides = {n for one in inputs if _is_picture(one) for n in one.sizes}
    names = list(dict.fromkeys(name for one in inputs for name in one.sizes))
    left = [name for name in names if name not in known]
    error: BuildError | None = None
    for common, side in zip(USUAL, USUAL_SIDES, strict=True):
        sizes = {**known, **{name: side if name in sides else common for name in left}}
        try:
            _check_values(inputs, sizes, "--size")
            runs(sizes)
        except BuildError as refused:
            error = error or refused
            if not left:
                break
        else:
            return dict(sizes)
    shown = " ".join(f"--size {name}=N" for name in names)
    raise BuildError(f"no size was found that the graph takes; say what is usual, {shown}: {error}")


def _check_values(inputs: Sequence[Input], sizes: Sizes, what: str) -> None:
    """Raises BuildError where a row of these sizes is larger than any that is tried."""
    values = sum(prod(one.at(sizes)) for one in inputs)
    if values > MOST_VALUES:
        raise BuildError(
            f"{what}: a row of {values} values is too large; {MOST_VALUES} are the most"
        )


def _is_picture(one: Input) -> bool:
    return len(one.sizes) > 1 and DATATYPES[one.datatype].is_float


def _most(runs: Runs, typical: Sizes) -> dict[str, int]:
    """The largest sizes that run, all in proportion: doubled as long as they do, then the last that does."""
    first = next(iter(typical.values()))

    def scaled(to: int) -> dict[str, int]:
        return {name: round(size * to / first) for name, size in typical.items()}

    runs_at, fails_at = first, 2 * first
    while (fails_at / first) ** len(typical) <= MOST_FOLD:
        if not _quick(runs, scaled(fails_at)):
            break
        runs_at, fails_at = fails_at, 2 * fails_at
    else:
        return scaled(runs_at)
    while fails_at - runs_at > 1:
        middle = (runs_at + fails_at) // 2
        runs_at, fails_at = (
            (middle, fails_at) if _quick(runs, scaled(middle)) else (runs_at, middle)
        )
    return scaled(runs_at)


def _quick(runs: Runs, sizes: Sizes) -> bool:
    """Whether a row of these sizes runs, in reasonable time."""
    begun_s = time.perf_counter()
    try:
        runs(sizes)
    except BuildError:
        return False
    return time.perf_counter() - begun_s < LONGEST_S
