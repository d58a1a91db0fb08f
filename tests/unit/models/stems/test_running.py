"""Stem and heads on ONNX Runtime: whatever the cut, a task says the same; activations are shared and safe."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.backends.base import BackendError
from models.stems import Heads, Package, Stem
from tests.support.sharing.packages import a_package, add_task, expected_score, flat_frames

FRAMES = flat_frames(0, 60, 85, 128, 200)
LEVELS = {"a": 1 / 3, "b": 2 / 3}


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return a_package(tmp_path)


@pytest.mark.parametrize("points", [(0, 1, 2, 3), (2, 3), (3,), (1, 3)])
def test_a_task_says_the_same_wherever_it_branches(
    tmp_path: Path, package: Package, points: tuple[int, ...]
):
    stem = Stem.open(tmp_path / "tiny", package)
    heads = Heads.open(tmp_path / "tiny", package)
    stem.use(points)

    found = stem.run(FRAMES, 0, points)

    assert list(found) == list(points)
    for frozen, activation in found.items():
        for task, level in LEVELS.items():
            scores = heads.run(task, frozen, activation)
            np.testing.assert_allclose(scores, expected_score(level, FRAMES), atol=1e-5)


def test_a_stem_goes_on_from_where_another_run_ended(tmp_path: Path, package: Package):
    stem = Stem.open(tmp_path / "tiny", package)

    half = stem.run(FRAMES, 0, [2])
    whole = stem.run(half[2][:3], 2, [2, 3])

    np.testing.assert_array_equal(whole[3], stem.run(FRAMES[:3], 0, [3])[3])
    np.testing.assert_array_equal(whole[2], half[2][:3])


def test_no_head_can_write_into_a_shared_activation(tmp_path: Path, package: Package):
    found = Stem.open(tmp_path / "tiny", package).run(FRAMES, 0, [0, 2])

    for activation in found.values():
        with pytest.raises(ValueError, match="read-only"):
            activation[0] = 0
    assert FRAMES.flags.writeable


def test_what_is_not_in_use_runs_all_the_same(tmp_path: Path, package: Package):
    stem, other = (Stem.open(tmp_path / "tiny", package) for _ in range(2))
    stem.use([3])
    other.use([])

    for ends in ([1, 2], [3], [0], []):
        found, expected = stem.run(FRAMES, 0, ends), other.run(FRAMES, 0, ends)
        assert list(found) == list(expected) == ends
        for end in ends:
            np.testing.assert_array_equal(found[end], expected[end])


def test_a_point_that_is_unknown_or_behind_is_refused(tmp_path: Path, package: Package):
    stem = Stem.open(tmp_path / "tiny", package)
    half = stem.run(FRAMES, 0, [2])[2]

    with pytest.raises(BackendError, match="point 1 lies before 2"):
        stem.run(half, 2, [1, 3])
    for ask in (lambda: stem.use([7]), lambda: stem.run(FRAMES, 0, [7])):
        with pytest.raises(BackendError, match=r"no point 7; there are \[0, 1, 2, 3\]"):
            ask()


def test_runs_go_on_while_the_points_in_use_change(tmp_path: Path, package: Package):
    stem = Stem.open(tmp_path / "tiny", package)
    expected = stem.run(FRAMES, 0, [3])[3]
    done = threading.Event()

    def change() -> None:
        for points in ([3], [1, 3], [2], [], [1, 2, 3]) * 4:
            stem.use(points)
        done.set()

    with ThreadPoolExecutor() as pool:
        changing = pool.submit(change)
        runs = 0
        while not done.is_set() or not runs:
            np.testing.assert_allclose(stem.run(FRAMES, 0, [2, 3])[3], expected, rtol=1e-6)
            runs += 1
        changing.result()


def test_a_wrong_activation_names_point_and_shapes(tmp_path: Path, package: Package):
    wrong = np.zeros((2, 1, 8, 9), np.float32)
    said = r"point 2 \(tensor 'layer2'\) takes float32 \(any, 1, 8, 8\), not float32 \(2, 1, 8, 9\)"

    with pytest.raises(BackendError, match=said):
        Stem.open(tmp_path / "tiny", package).run(wrong, 2, [3])
    with pytest.raises(BackendError, match=said):
        Heads.open(tmp_path / "tiny", package).run("a", 2, wrong)


def test_an_unknown_task_or_branch_is_named(tmp_path: Path, package: Package):
    heads = Heads.open(tmp_path / "tiny", package)

    with pytest.raises(BackendError, match="'c' has no head behind 2"):
        heads.run("c", 2, FRAMES)
    with pytest.raises(BackendError, match="'a' has no head behind 9"):
        heads.run("a", 9, FRAMES)


def test_tasks_come_are_upgraded_and_go_while_heads_are_open(tmp_path: Path, package: Package):
    heads = Heads.open(tmp_path / "tiny", package)
    heads.run("a", 0, FRAMES)
    after = add_task(tmp_path, add_task(tmp_path, package, "c", 0.25), "a", 0.75)

    for task in after.tasks:
        heads.load(task.name, task.heads[0])
    heads.unload("b")

    for task, level in (("c", 0.25), ("a", 0.75)):
        np.testing.assert_allclose(
            heads.run(task, 0, FRAMES), expected_score(level, FRAMES), atol=1e-5
        )
    with pytest.raises(BackendError, match="'b' has no head"):
        heads.run("b", 0, FRAMES)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_heads_run_together_say_what_they_say_alone(
    tmp_path: Path, package: Package, frozen: int, fuse: bool
):
    (activation,) = Stem.open(tmp_path / "tiny", package).run(FRAMES, 0, [frozen]).values()
    heads = Heads.open(tmp_path / "tiny", package, fuse=fuse)

    scores = heads.run_together(frozen, ("b", "a"), activation)

    for column, task in zip(scores.T, ("b", "a"), strict=True):
        np.testing.assert_allclose(column, heads.run(task, frozen, activation), atol=1e-5)


def test_heads_say_whether_they_run_as_one(tmp_path: Path, package: Package):
    heads = Heads.open(tmp_path / "tiny", package)

    assert heads.fused(2, ["a", "b"])
    assert not heads.fused(2, ["a"])
    assert not heads.fused(2, ["a", "a"])
    heads.fuse = False
    assert not heads.fused(2, ["a", "b"])


def test_an_upgraded_head_is_fused_anew(tmp_path: Path, package: Package):
    heads = Heads.open(tmp_path / "tiny", package)
    heads.run_together(0, ["a", "b"], FRAMES)
    (upgraded,) = (t for t in add_task(tmp_path, package, "a", 0.9).tasks if t.name == "a")

    heads.load("a", upgraded.heads[0])

    assert heads.fused(0, ["a", "b"])
    scores = heads.run_together(0, ["a", "b"], FRAMES)
    np.testing.assert_allclose(scores[:, 0], expected_score(0.9, FRAMES), atol=1e-5)
    np.testing.assert_allclose(scores[:, 1], expected_score(LEVELS["b"], FRAMES), atol=1e-5)


def test_heads_whose_files_are_gone_run_one_by_one(
    tmp_path: Path, package: Package, caplog: pytest.LogCaptureFixture
):
    heads = Heads.open(tmp_path / "tiny", package)
    for task in package.tasks:
        heads.load(task.name, task.heads[3])
        (tmp_path / "tiny" / task.heads[3].artifact).unlink()

    (activation,) = Stem.open(tmp_path / "tiny", package).run(FRAMES, 0, [3]).values()
    scores = heads.run_together(3, ["a", "b"], activation)

    np.testing.assert_allclose(scores[:, 0], expected_score(LEVELS["a"], FRAMES), atol=1e-5)
    assert "2 heads behind 3 layers of tiny are not fused" in caplog.text


def test_a_head_that_cannot_be_loaded_is_named(tmp_path: Path, package: Package):
    heads = Heads.open(tmp_path / "tiny", package)
    (tmp_path / "tiny" / package.tasks[0].heads[1].artifact).write_bytes(b"no network")

    with pytest.raises(BackendError, match=r"head of a behind 1 layers of tiny.*publish"):
        heads.run("a", 1, FRAMES)
    np.testing.assert_allclose(
        heads.run("b", 0, FRAMES), expected_score(LEVELS["b"], FRAMES), atol=1e-5
    )
