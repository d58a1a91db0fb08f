"""How far the stem may run at which rate: the staircases worth most when frames have a price. Pure.

A staircase is a row of levels, one for each stretch of the stem, that never rise with depth: level n is the n-th lowest
rate, level 0 that the stem does not run there. Deepening a stem pays only when several tasks move together, so stems
are searched, not tasks: below a given staircase tasks no longer depend on each other and each takes what is best.
"""

from dataclasses import dataclass

import numpy as np

from server.sharing.planner.options import Floats, Ints, OptionTable


@dataclass(frozen=True, slots=True)
class Priced:
    """What each task is worth at best under a stem that reaches each corner (depth, rate), at one price of cost."""

    base: Floats
    """Without any stem, (tasks,); -inf where a task needs one."""
    gains: Floats
    """With a stem to that corner and no further, (tasks, depths - 1, rates)."""
    stem: Floats
    """Worth that each stretch takes for each frame a second, (depths - 1,)."""
    rates_fps: Floats


@dataclass(frozen=True, slots=True)
class Ranked:
    """Staircases, (n, depths - 1), and what each is worth, (n,); best first."""

    levels: Ints
    worth: Floats


def priced(menu: OptionTable, benefit: Floats, price: float) -> Priced:
    """`benefit` is what each option brings (as the menu's table, -inf: not allowed) before cost is taken off."""
    net = benefit - price * menu.head_cost
    deeper = np.maximum.accumulate(np.maximum.accumulate(net[:, 1:], axis=1), axis=2)
    return Priced(
        net[:, 0].max(axis=1), deeper, price * menu.segments, np.asarray(menu.rates_fps, np.float64)
    )


def best_staircases(reach: Priced, width: int, keep: int) -> Ranked:
    """Beam search: from no stem on, a corner is added at a time to the `width` best; the `keep` best of all met.

    Every staircase is the union of its corners, so each is within reach; all of one corner are tried.
    """
    beam = Ranked(np.zeros((1, reach.stem.size), np.int64), np.array([reach.base.sum()]))
    met = [beam]
    for _ in range(reach.rates_fps.size):
        best = max(ranked.worth[0] for ranked in met)
        beam = _widened(beam, reach, width)
        if not beam.worth.size:
            break
        met.append(beam)
        if np.isfinite(best) and beam.worth[0] <= best:
            break
    return top(met, keep)


def top(several: list[Ranked], keep: int) -> Ranked:
    """The best of all, none twice."""
    levels = np.concatenate([ranked.levels for ranked in several])
    worth = np.concatenate([ranked.worth for ranked in several])
    _, first = np.unique(levels, axis=0, return_index=True)
    order = first[np.argsort(-worth[first], kind="stable")][:keep]
    return Ranked(levels[order], worth[order])


def _widened(beam: Ranked, reach: Priced, width: int) -> Ranked:
    """The best staircases that have one corner more than one of the beam's."""
    tasks, stretches, rates = reach.gains.shape
    values = attained(reach, beam.levels)
    corners = reach.gains.reshape(tasks, -1)
    worth = np.zeros((len(beam.levels), corners.shape[1]))
    for value, gain in zip(values.T, corners, strict=True):
        worth += np.maximum(value[:, None], gain)
    worth -= _stem_worth(reach, beam.levels)
    new_level = np.tile(np.arange(1, rates + 1), stretches)
    worth[np.repeat(beam.levels, rates, axis=1) >= new_level] = -np.inf
    many = min(2 * width, worth.size)
    flat = np.argpartition(-worth, many - 1, axis=None)[:many]
    flat = flat[np.isfinite(worth.ravel()[flat])]
    parent, corner = np.divmod(flat, corners.shape[1])
    inside = np.arange(stretches) <= (corner // rates)[:, None]
    levels = np.maximum(beam.levels[parent], np.where(inside, new_level[corner][:, None], 0))
    return top([Ranked(levels, worth.ravel()[flat])], width)


def attained(reach: Priced, levels: Ints) -> Floats:
    """What every task is worth at best under each staircase, (staircases, tasks)."""
    values = np.broadcast_to(reach.base, (len(levels), reach.base.size)).copy()
    for stretch, column in enumerate(levels.T):
        np.maximum(
            values,
            np.where(column[:, None] > 0, reach.gains[:, stretch, column - 1].T, -np.inf),
            out=values,
        )
    return values


def worth_of(reach: Priced, levels: Ints) -> Floats:
    """Of each staircase: its tasks' worth less the stem's."""
    running = np.concatenate([[0.0], reach.rates_fps])[levels]
    return attained(reach, levels).sum(axis=1) - running @ reach.stem


def _stem_worth(reach: Priced, levels: Ints) -> Floats:
    """Taken by the stem with one corner more, (staircases, corners)."""
    running = np.concatenate([[0.0], reach.rates_fps])[levels]
    faster = np.maximum(reach.rates_fps - running[:, :, None], 0.0) * reach.stem[:, None]
    more = np.cumsum(faster, axis=1).reshape(len(levels), -1)
    return more + (running @ reach.stem)[:, None]
