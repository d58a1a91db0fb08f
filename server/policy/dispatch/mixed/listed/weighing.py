"""The best batch where tickets differ, few of those on offer being weighed in full.

What a batch earns is summed up for all; what it makes others lose is reckoned only for those which could still be the
best without it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import inf

from server.policy.decision import ArmProfile
from server.policy.dispatch.mixed.crowd import Few
from server.policy.dispatch.mixed.listed.groups import Group, add_up, joined, offer
from server.policy.dispatch.mixed.listed.left import Left
from server.policy.dispatch.mixed.scene import MixedScene
from server.policy.dispatch.pricing import Planner
from server.policy.dispatch.wait_value import WaitValue

ROUNDED = 1e-9
"""So much (accuracies) rounding comes to at most: what is reckoned as lost may be a little less than nothing."""


def best(scene: MixedScene, planner: Planner) -> tuple[ArmProfile, list[int]] | None:
    """The best batch: what it runs on, and the tickets by their index. None where no group fills any in time."""
    groups = [group for group in offered(scene, planner) if group.worth]
    if not groups:
        return None
    most, top = -inf, groups[0]
    for group in groups:
        highest = max(group.worth)
        if highest > most:
            most, top = highest, group
    weigh = Weighing(scene, planner)
    least = weigh.worth(top, top.worth.index(most)) - ROUNDED
    chosen, number, worth = top, 0, -inf
    for group in groups:
        for i, at_most in enumerate(group.worth):
            if at_most >= least:
                own = weigh.worth(group, i)
                if own > worth:
                    chosen, number, worth = group, i, own
                    least = max(least, own - ROUNDED)
    arm = chosen.menu.arms[chosen.menu.runs_on[chosen.entry[number]]]
    return arm, chosen.at[chosen.begin[number] : chosen.end[number]]


def offered(scene: MixedScene, planner: Planner) -> list[Group]:
    """The groups, and what each can run."""
    few = scene.few
    there = list(dict.fromkeys(few.kind))
    groups = [Group(planner.menu(m), joins) for m, joins in joined(few, scene.value, there)]
    for group in groups:
        add_up(group, scene)
    single = all(group.rows[-1] == len(group.at) for group in groups)
    for group in groups:
        offer(group, scene, single=single)
    return groups


class Waiters:
    """Those that stay and could get a better arm: `mine` by their index, `left[j]` rows from the j-th of them on."""

    def __init__(
        self, few: Few, those: list[bool], terms: tuple[float, float], could: WaitValue
    ) -> None:
        """`those`: whether of each kind; `terms`: what accuracy counts, and what one waiting row is worth."""
        self.value, self.stay = terms
        self.could = could
        self.mine = [i for i, k in enumerate(few.kind) if those[k]]
        self.due_s = [few.deadlines[i] for i in self.mine]
        self.left = [0.0]
        for i in reversed(self.mine):
            self.left.append(self.left[-1] + few.rows[i])
        self.left.reverse()

    def lost(self, behind: int, room_s: float) -> float:
        """What they lose (below 0) where the first `behind` go; the others have until their deadlines less `room_s`."""
        left = self.left[behind]
        slack_s = self.due_s[min(behind, len(self.due_s) - 1)] - room_s
        return left * min(self.value * self.could.of(int(left), slack_s) - self.stay, 0.0)


class Weighing:
    """What batches are worth in full."""

    def __init__(self, scene: MixedScene, planner: Planner) -> None:
        few = scene.few
        self._scene = scene
        there = list(dict.fromkeys(few.kind))
        self._left = Left(few, there)
        self._waiters = _waiters(scene, planner, there)

    def worth(self, group: Group, number: int) -> float:
        """Of one of the group's offers."""
        pricing, mean_s = self._scene.pricing, group.menu.entries[group.entry[number]][2]
        done_s = pricing.now_s + pricing.busy_share * mean_s
        last = group.at[group.end[number] - 1]
        worth = group.worth[number] - self._left.lost(group, last, done_s)
        for waiters in self._waiters:
            joins = group.joins[waiters.mine[0]]
            behind = bisect_right(waiters.mine, last) if joins else 0
            worth += waiters.lost(behind, done_s + pricing.guard_s)
        for risk in self._scene.risks:
            worth -= pricing.lost * risk.lost(mean_s)
        return worth


def _waiters(scene: MixedScene, planner: Planner, there: Sequence[int]) -> list[Waiters]:
    few, value = scene.few, scene.value
    alike: dict[tuple[int, float, float], list[bool]] = {}
    for k in there:
        kind = few.kinds[k]
        those = alike.setdefault((kind.mask, kind.slo_s, value[k]), [False] * len(few.kinds))
        those[k] = True
    found: list[Waiters] = []
    for (mask, slo_s, counts), those in alike.items():
        stay, could = scene.stay[those.index(True)], planner.wait_value(mask, slo_s)
        if stay > counts * could.least:
            found.append(Waiters(few, those, (counts, stay), could))
    return found
