"""What runs together: stem stretches once for all frames that need them, heads on what they need, faults kept apart."""

from collections.abc import Sequence

import numpy as np
import pytest

from models.stems.package import Base, Package, Point
from server.sharing.planner.feedback import Own, Stretch
from server.sharing.planner.frames import Due
from server.sharing.planner.plan import Choice, Plan, Scores
from server.sharing.runtime.engine import ProgramRunner, RoundResult
from server.sharing.runtime.networks import Activation
from server.sharing.runtime.program import Fused, Program

SHAPE = (1, 2, 2)
PACKAGE = Package(
    Base("tiny", SHAPE, "", "", tuple(Point(k, "", SHAPE, "") for k in (0, 2, 4))), 10.0, ()
)


class Arithmetic:
    """Each layer adds 1; a head adds the layers that are left, and the length of its task's name."""

    def __init__(self, broken: Sequence[str] = ()) -> None:
        self.calls: list[tuple[str, int]] = []
        self.broken = broken

    def stem(self, x: Activation, start: int, ends: Sequence[int]) -> dict[int, Activation]:
        self._ran(f"stem {start}-{ends[-1]}", x)
        return {end: x + np.float32(end - start) for end in ends}

    def head(self, task: str, frozen: int, activation: Activation) -> Activation:
        self._ran(f"{task}@{frozen}", activation)
        return activation.mean(axis=(1, 2, 3)) + (4 - frozen) + len(task)

    def together(self, frozen: int, tasks: Sequence[str], activation: Activation) -> Activation:
        self._ran("+".join(tasks), activation)
        mean = activation.mean(axis=(1, 2, 3))
        return np.stack([mean + (4 - frozen) + len(task) for task in tasks], axis=1)

    def warm(self, points: object) -> None: ...
    def cut(self, points: object) -> None: ...
    def fuses(self, frozen: int, tasks: Sequence[str]) -> bool:
        return len(tasks) > frozen

    def ready(self, cuts: object) -> None: ...
    def drop(self, task: str) -> None: ...
    def close(self) -> None: ...

    def _ran(self, what: str, x: Activation) -> None:
        self.calls.append((what, len(x)))
        if what in self.broken:
            raise RuntimeError("no more")
        with pytest.raises(ValueError, match="read-only"):
            x[:] = 0


def run(
    networks: Arithmetic, *dues: Sequence[tuple[str, int]], fused: Fused | None = None
) -> RoundResult:
    """Frame i is all i * 100."""
    scores = Scores(1.0, 1.0, 1.0)
    cuts = sorted({cut for due in dues for cut in due})
    plan = Plan(tuple(Choice(*cut, 1.0, 1, scores) for cut in cuts), (), 0.0, 0.0)
    engine = ProgramRunner(iter(range(1000)).__next__, lambda _part: None)
    frames = [np.full(SHAPE, 100 * i, np.float32) for i in range(len(dues))]
    return engine.run(
        Program(plan, PACKAGE, networks, fused), frames, [Due(tuple(due)) for due in dues]
    )


def stem_calls(networks: Arithmetic) -> list[tuple[str, int]]:
    """Which stretches of the stem ran, each with how many frames."""
    return [call for call in networks.calls if call[0].startswith("stem")]


def expected(frame: int, task: str) -> float:
    return 100 * frame + 4 + len(task)


def test_every_task_sees_what_its_whole_network_would_make_of_its_frames():
    dues = [[("a", 0), ("bb", 2), ("ccc", 4)], [("bb", 2)], [("ccc", 4), ("a", 0)], []]

    ran = run(Arithmetic(), *dues)

    for frame, due in enumerate(dues):
        assert ran.scores[frame] == {cut: expected(frame, cut[0]) for cut in due}


def test_a_stretch_of_the_stem_runs_once_for_all_who_need_it_and_for_no_other():
    networks = Arithmetic()

    ran = run(networks, [("a", 2), ("b", 4)], [("a", 2)], [("b", 4), ("c", 4)], [("d", 0)])

    assert stem_calls(networks) == [("stem 0-2", 3), ("stem 2-4", 2)]
    assert ran.stem_frames == 3


def test_the_stem_stops_at_all_points_of_the_plan_so_that_no_other_stretch_need_be_loaded():
    networks = Arithmetic()

    run(networks, [("b", 4)], [("a", 2)])

    assert stem_calls(networks) == [("stem 0-2", 2), ("stem 2-4", 1)]


def test_a_failing_head_costs_only_its_own_score():
    ran = run(Arithmetic(broken=["b@2"]), [("a", 2), ("b", 2), ("c", 4)])

    assert ran.scores[0]["a", 2] == expected(0, "a")
    assert ran.scores[0]["c", 4] == expected(0, "c")
    assert "task 'b'" in str(ran.scores[0]["b", 2])


def test_a_failing_stem_costs_what_lies_behind_it():
    ran = run(Arithmetic(broken=["stem 2-4"]), [("a", 0), ("b", 2), ("c", 4)], [("b", 2)])

    assert ran.scores[0]["a", 0] == expected(0, "a")
    assert ran.scores[0]["b", 2] == expected(0, "b")
    assert ran.scores[1]["b", 2] == expected(1, "b")
    assert "the stem from layer 2 to 4" in str(ran.scores[0]["c", 4])


def test_heads_found_to_be_faster_together_run_together():
    networks = Arithmetic()

    ran = run(networks, [("a", 2), ("bb", 2), ("c", 2)], fused={2: [("a", "bb")]})

    assert networks.calls[1:] == [("a+bb", 1), ("c@2", 1)]
    assert ran.scores[0] == {(task, 2): expected(0, task) for task in ("a", "bb", "c")}


def test_fused_heads_that_fail_are_tried_one_by_one():
    ran = run(Arithmetic(broken=["a+bb", "a@2"]), [("a", 2), ("bb", 2)], fused={2: [("a", "bb")]})

    assert isinstance(ran.scores[0]["a", 2], str)
    assert ran.scores[0]["bb", 2] == expected(0, "bb")


def test_time_is_charged_to_each_part_with_the_frames_it_was_for():
    ran = run(Arithmetic(), [("a", 2), ("b", 4)], [("a", 2)])

    frames = {part: spent.frames for part, spent in ran.spent.items()}
    assert frames == {Stretch(0, 2): 2, Stretch(2, 4): 1, Own("a", 2): 2, Own("b", 4): 1}
    assert all(spent.seconds == 1 for spent in ran.spent.values())


def test_a_frame_whose_score_is_no_number_costs_the_frames_beside_it_nothing():
    class Nan(Arithmetic):
        def head(self, task: str, frozen: int, activation: Activation) -> Activation:
            return self._spoilt(super().head(task, frozen, activation))

        def together(self, frozen: int, tasks: Sequence[str], activation: Activation) -> Activation:
            return self._spoilt(super().together(frozen, tasks, activation))

        def _spoilt(self, scores: Activation) -> Activation:
            scores[0] = np.float32("nan")
            return scores

    both = [("a", 0), ("bb", 0)]
    for fused in ({}, {0: [("a", "bb")]}):
        ran = run(Nan(), both, both, fused=fused)

        assert "task 'a' gave nan" in str(ran.scores[0]["a", 0])
        assert ran.scores[1] == {("a", 0): expected(1, "a"), ("bb", 0): expected(1, "bb")}
