"""Who may share a batch where tickets differ, and what is left of the rest once some of them run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from server.policy.decision import ArmProfile
from server.policy.dispatch.menu import Floats, Ints, Menu
from server.policy.dispatch.mixed.crowd import Crowd
from server.policy.dispatch.mixed.reach import reserve_s
from server.policy.dispatch.mixed.scene import leading, levels
from server.policy.dispatch.pricing import Planner, Pricing
from server.policy.dispatch.shed import Bools


class Lines(NamedTuple):
    """The members of C groups one after the other (m in all), out of n tickets.

    Group c runs on the arms of `masks[c]`. `joins[c, i]`: whether ticket i is in it. `at[j]` is the crowd's index of
    entry j; those of group c are from `first[c]` to `first[c + 1]`. `kinds`: those of which somebody is there, in
    order of their first deadlines.
    """

    masks: Sequence[int]
    joins: Bools
    at: Ints
    first: Ints
    kinds: Sequence[int]


class Rest(NamedTuple):
    """What is left where group c runs up to ticket q, by level, worth least for its time first.

    `latest_s[level, c, q]`: the latest clock time (s) to go on then; `work_s[level, c, q]`: the work left;
    `density[level]`: what it is worth per second of it.
    """

    latest_s: Floats
    work_s: Floats
    density: Sequence[float]


class Batches(NamedTuple):
    """Batch i runs entries `begin[i]` to `end[i]` of `lines`, group `whom[i]`, as `entry[i]` of its menu says.

    Only those that can be filled, in time. `rows[i]` of them in `mean_s[i]`, each with `accuracy[i]`.
    """

    lines: Lines
    menus: Sequence[Menu]
    whom: Ints
    entry: Ints
    begin: Ints
    end: Ints
    rows: Ints
    mean_s: Floats
    accuracy: Floats

    def arm(self, i: int) -> ArmProfile:
        """That of batch i."""
        menu = self.menus[int(self.whom[i])]
        return menu.arms[int(menu.arm[int(self.entry[i])])]


def lines(crowd: Crowd, value: Sequence[float]) -> Lines:
    """For each of the kinds that lead: those like it alone, and all that accept every arm it is priced by.

    `value`: by kind. Those who accept the same arms and are worth as much are alike.
    """
    kinds = list(dict.fromkeys(crowd.kind.tolist()))
    chosen: list[int] = []
    joins: list[Bools] = []
    for k in leading(kinds, crowd.kinds):
        mask = crowd.masks[int(crowd.suit[(crowd.kind == k).argmax()])]
        suits = np.array([one & mask == mask for one in crowd.masks])[crowd.suit]
        if mask not in chosen:
            chosen.append(mask)
            joins.append(suits)
        like = [
            one.mask == mask and v == value[k] for one, v in zip(crowd.kinds, value, strict=True)
        ]
        like[k] = True
        if not all(like[j] for j in kinds):
            chosen.append(mask)
            joins.append(suits & np.array(like)[crowd.kind])
    joined = np.array(joins)
    first = np.zeros(len(joins) + 1, dtype=np.intp)
    np.cumsum(np.count_nonzero(joined, axis=1), out=first[1:])
    return Lines(chosen, joined, joined.nonzero()[1], first, kinds)


def offered(crowd: Crowd, value: Sequence[float], planner: Planner, pricing: Pricing) -> Batches:
    """The batches that groups can fill, in time. `value`: what accuracy counts, by kind."""
    formed = lines(crowd, value)
    menus = [planner.menu(mask) for mask in formed.masks]
    first = formed.first
    rows = np.zeros(len(formed.at) + 1)
    np.cumsum(crowd.rows[formed.at], out=rows[1:])
    waiting = np.diff(rows[first]).astype(np.intp).tolist()
    counts = [m.holding[min(w, m.most)] for m, w in zip(menus, waiting, strict=True)]
    whom = np.repeat(np.arange(len(menus)), counts)
    known = [(m.whole[:, :n], m.real[:, :n]) for m, n in zip(menus, counts, strict=True)]
    (entry, size), (upper_s, mean_s, accuracy) = (
        np.concatenate(parts, axis=1) for parts in zip(*known, strict=True)
    )
    needed_s = upper_s + (pricing.now_s + pricing.guard_s)
    begin = _first_in_time(crowd.deadlines[formed.at], needed_s, first, whom)
    stop = first[1:][whom]
    if rows[-1] == len(formed.at):
        end, fill = begin + size, size
        can = np.flatnonzero(end <= stop)
    else:
        end = np.minimum(rows.searchsorted(rows[begin] + size, side="right") - 1, stop)
        fill = (rows[end] - rows[begin]).astype(np.intp)
        can = np.flatnonzero(fill)
    if len(can) < len(whom):
        whom, entry, begin, end, fill, mean_s, accuracy = (
            part[can] for part in (whom, entry, begin, end, fill, mean_s, accuracy)
        )
    return Batches(formed, menus, whom, entry, begin, end, fill, mean_s, accuracy)


def _first_in_time(deadlines: Floats, needed_s: Floats, first: Ints, whom: Ints) -> Ints:
    """The first entry of its group's that leaves each batch the time it needs; the group's end where none does."""
    starts = first.tolist()
    if needed_s.max() <= min([deadlines[at] for at in starts[:-1]]):
        return first[whom]
    counts = np.searchsorted(whom, np.arange(len(starts))).tolist()
    found = np.empty(len(whom), dtype=np.intp)
    for c in range(len(starts) - 1):
        mine = slice(counts[c], counts[c + 1])
        found[mine] = deadlines[starts[c] : starts[c + 1]].searchsorted(needed_s[mine])
        found[mine] += starts[c]
    return found


def rest(crowd: Crowd, formed: Lines) -> Rest:
    """The rest, those that a batch begins behind being given up."""
    level_of, density = levels(crowd.kinds, formed.kinds)
    level = np.array(level_of)
    lags_s = np.array([kind.lag_s for kind in crowd.kinds])
    reserves_s = reserve_s(crowd.kinds)
    if reserves_s is not None:
        lags_s += np.array(reserves_s)[formed.kinds].max(axis=0)
    mine = np.array([level == number for number in range(len(density))])[:, crowd.kind]
    work_s = crowd.work_s * mine
    left_s = work_s.sum(axis=1)[:, None, None] - (work_s[:, None] * formed.joins).cumsum(axis=2)
    taken_s = (crowd.work_s * formed.joins).cumsum(axis=1)
    due_s = np.where(mine, crowd.deadlines - lags_s[crowd.kind] - crowd.work_s.cumsum(), np.inf)
    latest_s = np.where(formed.joins, np.inf, due_s[:, None] + taken_s)
    np.minimum.accumulate(latest_s, axis=2, out=latest_s)
    behind_s = np.minimum.accumulate(due_s[:, :0:-1], axis=1)[:, ::-1]
    ahead = latest_s[:, :, :-1]
    np.minimum(ahead, behind_s[:, None] + taken_s[:, :-1], out=ahead)
    return Rest(latest_s, left_s, density)
