"""The step that is worth most, found by what each is worth at most: few are looked at to the end.

A step is worth no more than what it earns and what those behind it would get with all the time they may have. So what
is worth less at most than another is known to be worth need not be weighed, and the choice is as if all had been.
"""

from math import inf

import numpy as np

from server.policy.dispatch.alike.scene import Scene
from server.policy.dispatch.menu import IS_COMPILED, Floats

FEW = 1000 if IS_COMPILED else 72
"""Up to so many steps are looked at one by one, more of them as arrays."""
TRIES = 2
"""After so many that were not the best, all are looked at to the end."""
SURE = 1e-6
"""What is worth less than another by more than this (accuracies) is so, however sums are rounded."""


def best(scene: Scene) -> tuple[int, int]:
    """The entry of the menu that is worth most, the first of equals, and where in the line it begins."""
    if scene.offered == 1:  # the fastest arm for the first by itself
        return 0, scene.line.first
    return of_few(scene) if scene.offered <= FEW else of_many(scene)


def weighed(scene: Scene) -> list[float]:
    """What every entry of the menu that the line can fill is worth; minus infinity where it is not in time."""
    if scene.offered == 1:
        return [0.0]
    return [scene.worth(i, scene.earned(i))[0] for i in range(scene.offered)]


def of_few(scene: Scene) -> tuple[int, int]:
    """The best, weighed one by one, largest first, unless it cannot be best."""
    price, start_s, line, planned = scene.price, scene.start_s, scene.line, scene.planned
    entries, deadlines, alone = scene.menu.entries, line.deadlines, scene.menu.alone
    chosen, found, most, seen, rest, after, last_s = 0, line.first, -inf, 0, 0.0, 0.0, 0.0
    for i in range(scene.offered - 1, -1, -1):
        size, accuracy, mean_s, upper_s = entries[i]
        if size != seen:
            seen, rest, after = size, _rest(scene, size), _after(scene, size)
            last_s = deadlines[line.late + line.length - size]
        at_most = accuracy - price * mean_s + rest
        if planned is not None:
            at_most += planned.weight * (accuracy - planned.price * mean_s + after - at_most)
        if at_most < most or (last_s < upper_s + start_s and i != alone):
            continue
        worth, begin = scene.worth(i, scene.earned(i))
        if worth >= most:
            chosen, found, most = i, begin, worth
    return chosen, found


def of_many(scene: Scene) -> tuple[int, int]:
    """The best, those first that are worth most at most."""
    earned, menu, offered = scene.earned_by_each(), scene.menu, scene.offered
    size, special = menu.size[:offered], scene.planned is not None or scene.switches
    if scene.hurried and not special:
        return of_all(scene, earned)
    at_most = earned + scene.waiting * (scene.rows - size) + SURE
    if scene.planned is not None:
        after = np.array([_after(scene, b) for b in range(menu.entries[offered - 1][0] + 1)])
        as_one = menu.accuracy[:offered] - scene.planned.price * menu.mean_s[:offered] + after[size]
        at_most += scene.planned.weight * (as_one - at_most)
    chosen, found, most = offered, scene.line.first, -inf
    for _ in range(offered + 1 if special else TRIES):
        i = int(at_most.argmax())
        if at_most[i] < most:
            return chosen, found
        worth, begin = scene.worth(i, float(earned[i]))
        at_most[i] = -inf
        if worth > most or (worth == most and i < chosen):
            chosen, found, most = i, begin, worth
    return (chosen, found) if special else of_all(scene, earned)


def of_all(scene: Scene, worth: Floats) -> tuple[int, int]:
    """The best where no clump is planned and switches cost nothing: of all, what they have earned being `worth`."""
    line, waiting, menu, pricing = scene.line, scene.waiting, scene.menu, scene.pricing
    size, due_s, begin = menu.size[: scene.offered], line.due_s(), np.zeros(1, dtype=np.intp)
    if scene.tight:
        begin = due_s.searchsorted(menu.upper_s[: scene.offered] + scene.start_s)
        begin[menu.alone] = 0
    end = begin + size
    worth[end > scene.rows] = -inf
    end = np.minimum(end, scene.rows)
    left, done_s = scene.rows - end, pricing.now_s + pricing.busy_share * menu.mean_s[: len(size)]
    stay: float | Floats = waiting
    if waiting > scene.wait_value.least:
        slack_s = due_s[np.minimum(end, scene.rows - 1)] - (done_s + pricing.guard_s)
        stay = np.minimum(scene.wait_value.at(left, slack_s), waiting)
    worth += left * stay
    worth -= scene.lost / pricing.row_s * line.beyond_by_each(end, done_s)
    if waiting < 0.0:
        worth += begin * waiting
    chosen = int(worth.argmax())
    return chosen, line.first + (int(begin[chosen]) if scene.tight else 0)


def _rest(scene: Scene, size: int) -> float:
    """What is left behind a batch of this size gets at most."""
    line, waiting, left = scene.line, scene.waiting, scene.rows - size
    if not left or waiting <= scene.wait_value.least or waiting < 0.0:
        return left * waiting + SURE
    slack_s = line.deadlines[line.late + line.first + size] - scene.start_s
    rest = left * min(waiting, scene.wait_value.of(left, slack_s))
    return (max(rest, (left - 1) * waiting) if scene.tight else rest) + SURE


def _after(scene: Scene, size: int) -> float:
    """What is left behind a batch of this size, or a larger one, is worth at most by the plan for the clump."""
    if scene.planned is None:
        return 0.0
    return scene.planned.most(scene.rows - size, scene.due_s) + SURE
