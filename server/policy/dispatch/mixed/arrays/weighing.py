"""What every batch is worth that groups can fill, by arrays."""

import numpy as np

from server.policy.decision import ArmProfile
from server.policy.dispatch.menu import Floats, Ints
from server.policy.dispatch.mixed.arrays.groups import Batches, Lines, Rest, offered, rest
from server.policy.dispatch.mixed.crowd import Crowd
from server.policy.dispatch.mixed.scene import MixedScene
from server.policy.dispatch.pricing import Planner


def best(scene: MixedScene, planner: Planner) -> tuple[ArmProfile, list[int]] | None:
    """The best batch: what it runs on, and the tickets by their index. None where no group fills any in time."""
    crowd = scene.few.crowd()
    batches = offered(crowd, scene.value, planner, scene.pricing)
    if not len(batches.whom):
        return None
    chosen = int(weighed(scene, crowd, batches, planner).argmax())
    return batches.arm(chosen), batches.lines.at[
        batches.begin[chosen] : batches.end[chosen]
    ].tolist()


def weighed(scene: MixedScene, crowd: Crowd, batches: Batches, planner: Planner) -> Floats:
    """What each batch is worth: accuracy earned, less the price of time, what it gives up and what it risks."""
    pricing, formed = scene.pricing, batches.lines
    value, stay, gone = _sums(scene, crowd, formed)
    begin, end, mean_s = batches.begin, batches.end, batches.mean_s
    worth = (value[end] - value[begin]) * batches.accuracy - pricing.price * mean_s
    worth -= stay[end] - stay[begin]
    worth -= gone[begin] - gone[formed.first][batches.whom]
    done_s = pricing.now_s + pricing.busy_share * mean_s
    last = formed.at[end - 1]
    worth -= _lost(rest(crowd, formed), batches.whom, last, done_s)
    _take_waiting(worth, (scene, crowd), batches, planner, (last, done_s))
    for risk in scene.risks:
        worth -= pricing.lost * risk.lost_by_each(mean_s)
    return worth


def _sums(scene: MixedScene, crowd: Crowd, formed: Lines) -> Floats:
    """Sums over the entries before each: of values, of what they are worth waiting, of what giving them up costs."""
    least = min(scene.value)
    gone = [
        stay + (value - least) * kind.least
        for stay, value, kind in zip(scene.stay, scene.value, crowd.kinds, strict=True)
    ]
    sums = np.zeros((3, len(formed.at) + 1))
    each = np.array((scene.value, scene.stay, gone))[:, crowd.kind]
    each *= crowd.rows
    np.cumsum(each[:, formed.at], axis=1, out=sums[:, 1:])
    return sums


def _lost(left: Rest, whom: Ints, last: Ints, done_s: Floats) -> Floats:
    """What will be out of reach, those worth least for their time giving way to others."""
    over_s = np.maximum(done_s - left.latest_s[:, whom, last], 0.0)
    if len(over_s) == 1:
        return left.density[0] * np.minimum(over_s[0], left.work_s[0, whom, last])
    np.maximum.accumulate(over_s[::-1], out=over_s[::-1])
    work_s = left.work_s[:, whom, last]
    lost, gone_s = np.zeros(len(whom)), np.zeros(len(whom))
    for over, work, density in zip(over_s, work_s, left.density, strict=True):
        lost += density * np.minimum(np.maximum(over - gone_s, 0.0), work)
        gone_s += work
    return lost


def _take_waiting(
    worth: Floats,
    of: tuple[MixedScene, Crowd],
    batches: Batches,
    planner: Planner,
    after: tuple[Ints, Floats],
) -> None:
    """Those left are worth less as their deadlines leave no room for better arms."""
    (scene, crowd), (last, done_s), whom = of, after, batches.whom
    alike: dict[tuple[int, float, float], list[bool]] = {}
    for k in batches.lines.kinds:
        kind = crowd.kinds[k]
        those = alike.setdefault(
            (kind.mask, kind.slo_s, scene.value[k]), [False] * len(crowd.kinds)
        )
        those[k] = True
    for (mask, slo_s, value), those in alike.items():
        stay, could = scene.stay[those.index(True)], planner.wait_value(mask, slo_s)
        if stay <= value * could.least:
            continue
        mine = np.array(those)[crowd.kind].nonzero()[0]
        behind = mine.searchsorted(last, side="right") * batches.lines.joins[:, mine[0]][whom]
        rows = np.zeros(len(mine) + 1)
        rows[:-1] = crowd.rows[mine][::-1].cumsum()[::-1]
        left = rows[behind]
        slack_s = crowd.deadlines[mine[np.minimum(behind, len(mine) - 1)]] - done_s
        best = could.at(left.astype(np.intp), slack_s - scene.pricing.guard_s)
        worth += left * np.minimum(value * best - stay, 0.0)
