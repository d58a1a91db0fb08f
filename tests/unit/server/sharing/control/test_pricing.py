"""What networks cost: medians at a few batch sizes, and no longer than was allowed."""

from collections.abc import Callable, Sequence

import pytest

from models.stems.package import Base, Head, Point, SharedTask
from server.sharing.control.pricing import BATCHES, Gauge, MeasuringBudget
from server.sharing.runtime.networks import Activation

SHAPE = (1, 2, 2)
BASE = Base("tiny", SHAPE, "", "", tuple(Point(k, "", SHAPE, "") for k in (0, 2, 4)))
TWO = Head(2, "", "", "", 0.5, 0.9, 0.1)
HEADS = tuple(Head(k, "", "", "", 0.5, 0.9, 0.1) for k in (0, 4))
STEM_S = {0: 0.0, 2: 0.002, 4: 0.004}
TASK = SharedTask("a", "", 1.0, 0.5, 0.1, HEADS)


class Timed:
    """Networks that cost a millisecond a layer and frame; together, heads cost `together_s`."""

    def __init__(self, frame_s: float = 0.001, together_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.frame_s, self.together_s = frame_s, together_s
        self.calls = 0

    def stem(self, x: Activation, start: int, ends: Sequence[int]) -> dict[int, Activation]:
        self._took(len(x) * (ends[-1] - start) * self.frame_s, x)
        return dict.fromkeys(ends, x)

    def head(self, task: str, frozen: int, activation: Activation) -> Activation:  # noqa: ARG002 - the protocol's
        return self._took(len(activation) * (5 - frozen) * self.frame_s, activation)

    def together(self, frozen: int, tasks: Sequence[str], activation: Activation) -> Activation:  # noqa: ARG002 - likewise
        return self._took(self.together_s, activation)

    def warm(self, points: object) -> None: ...
    def cut(self, points: object) -> None: ...
    def fuses(self, frozen: int, tasks: Sequence[str]) -> bool:
        return len(tasks) > frozen

    def ready(self, cuts: object) -> None: ...
    def drop(self, task: str) -> None: ...
    def close(self) -> None: ...

    def _took(self, seconds: float, out: Activation) -> Activation:
        self.calls += 1
        self.now_s += seconds * (10 if self.calls % 9 == 1 else 1)  # now and then the clock slips
        return out


def gauge_of(networks: Timed) -> Gauge:
    def turn(call: Callable[[], object]) -> None:
        call()

    return Gauge(BASE, turn, lambda: networks.now_s)


def test_the_stem_is_timed_through_every_point_at_every_batch_size():
    networks = Timed()

    stem_s = gauge_of(networks).stem(networks, MeasuringBudget(BATCHES, 10.0))

    assert stem_s.keys() == {2, 4}
    for end, by_batch in stem_s.items():
        assert by_batch == pytest.approx({b: b * end * 0.001 for b in BATCHES})


def test_heads_are_timed_at_their_points():
    networks = Timed()

    heads_s = gauge_of(networks).task(networks, TASK, MeasuringBudget((1, 4), 10.0), STEM_S)

    assert heads_s[0] == pytest.approx({1: 0.005, 4: 0.02})
    assert heads_s[4] == pytest.approx({1: 0.001, 4: 0.004})


def test_slow_heads_are_timed_at_small_batches_only_and_within_their_time():
    networks = Timed(frame_s=0.02)

    heads_s = gauge_of(networks).task(networks, TASK, MeasuringBudget(BATCHES, 0.4), STEM_S)

    assert all(1 in by_batch for by_batch in heads_s.values())
    assert 8 not in heads_s[0]
    assert networks.now_s < 4 * 0.4


def test_heads_that_there_is_no_time_for_cost_as_much_more_as_the_stem_between_does():
    networks, deeper = Timed(frame_s=0.3), SharedTask("a", "", 1.0, 0.5, 0.1, (*HEADS, TWO))
    stem_s = {0: 0.0, 2: 0.6, 4: 1.2}

    heads_s = gauge_of(networks).task(networks, deeper, MeasuringBudget(BATCHES, 0.4), stem_s)

    assert networks.calls == 1
    (deepest_s,) = heads_s[4].values()
    assert heads_s[2] == pytest.approx({1: deepest_s + 0.6})
    assert heads_s[0] == pytest.approx({1: deepest_s + 1.2})


@pytest.mark.parametrize(("together_s", "pays"), [(0.009, True), (0.0098, False), (0.02, False)])
def test_fusing_pays_only_where_it_is_clearly_faster(together_s: float, pays: bool):
    networks = Timed(together_s=together_s)

    assert gauge_of(networks).fusing_pays(networks, 0, ["a", "b"], batch=1) == pays
