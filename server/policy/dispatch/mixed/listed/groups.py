"""Who may share a batch where tickets differ, as lists: see `mixed.arrays.groups`, which forms the same groups."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from server.policy.dispatch.menu import Menu
from server.policy.dispatch.mixed.crowd import Few
from server.policy.dispatch.mixed.scene import MixedScene, leading


class Group:
    """Tickets that may share a batch on the arms of `menu`. `at[j]` is the index among all of member j, `joins[i]`
    whether ticket i is one. Sums over the members before each: `rows`, what their answers count (`value`), what they
    are worth waiting (`stay`), what giving them up costs (`gone`).

    Offer i runs members `begin[i]` to `end[i]` as `entry[i]` of the menu says, which can be filled in time. It is worth
    `worth[i]` at most: what it makes others lose is not in it.
    """

    def __init__(self, menu: Menu, joins: list[bool]) -> None:
        self.menu = menu
        self.joins = joins
        self.at = [i for i, is_in in enumerate(joins) if is_in]
        self.deadlines: list[float] = []
        self.rows: list[float] = [0.0]
        self.value: list[float] = [0.0]
        self.stay: list[float] = [0.0]
        self.gone: list[float] = [0.0]
        self.entry: list[int] = []
        self.begin: list[int] = []
        self.end: list[int] = []
        self.worth: list[float] = []


def joined(few: Few, value: Sequence[float], there: Sequence[int]) -> list[tuple[int, list[bool]]]:
    """For each of the kinds that lead: those like it alone, and all that accept every arm it is priced by.

    Arms and who joins. `value`: by kind; `there`: the kinds of which there is somebody, in order.
    """
    found: list[tuple[int, list[bool]]] = []
    for k in leading(there, few.kinds):
        mask = few.masks[few.suit[few.kind.index(k)]]
        accepts = [one & mask == mask for one in few.masks]
        suits = [accepts[suit] for suit in few.suit]
        if mask not in [known for known, _ in found]:
            found.append((mask, suits))
        like = [one.mask == mask and v == value[k] for one, v in zip(few.kinds, value, strict=True)]
        like[k] = True
        if False in [like[j] for j in there]:
            both = [suits[i] and like[own] for i, own in enumerate(few.kind)]
            found.append((mask, both))
    return found


def add_up(group: Group, scene: MixedScene) -> None:
    """Set the group's sums."""
    few, value, stay = scene.few, scene.value, scene.stay
    least = min(value)
    gone = [s + (v - least) * kind.least for s, v, kind in zip(stay, value, few.kinds, strict=True)]
    n, v_sum, s_sum, g_sum = 0.0, 0.0, 0.0, 0.0
    for i in group.at:
        rows, k = few.rows[i], few.kind[i]
        n += rows
        v_sum += value[k] * rows
        s_sum += stay[k] * rows
        g_sum += gone[k] * rows
        group.deadlines.append(few.deadlines[i])
        group.rows.append(n)
        group.value.append(v_sum)
        group.stay.append(s_sum)
        group.gone.append(g_sum)


def offer(group: Group, scene: MixedScene, *, single: bool) -> None:
    """Set what entries of the menu run, and what that is worth at most. `single`: every ticket has one row."""
    menu, price = group.menu, scene.pricing.price
    margin_s = scene.pricing.now_s + scene.pricing.guard_s
    members, rows = len(group.at), group.rows
    value, stay, gone, each = group.value, group.stay, group.gone, menu.each
    due_s, first_s = group.deadlines, group.deadlines[0]
    for e in range(menu.holding[min(int(rows[members]), menu.most)]):
        size, _, mean_s, upper_s = menu.entries[e]
        needed_s = upper_s + margin_s
        if single and (size > members or due_s[members - size] < needed_s):
            continue
        begin = 0 if needed_s <= first_s else bisect_left(due_s, needed_s)
        end = begin + size
        if not single:
            end = min(bisect_right(rows, rows[begin] + size) - 1, members)
            if end <= begin:
                continue
        worth = (value[end] - value[begin]) * each[e] - price * mean_s
        worth -= stay[end] - stay[begin]
        worth -= gone[begin]
        group.entry.append(e)
        group.begin.append(begin)
        group.end.append(end)
        group.worth.append(worth)
