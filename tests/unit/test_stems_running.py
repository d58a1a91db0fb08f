"""Stem and heads on ONNX Runtime: whatever the cut, a task says the same; activations are shared and safe."""

from pathlib import Path

import numpy as np
import pytest

from models.backends.base import BackendError
from models.stems import Heads, Package, Stem
from tests.packages import a_package, add_task, expected_score, flat_frames

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


def test_a_point_out_of_use_is_refused_by_name(tmp_path: Path, package: Package):
    stem = Stem.open(tmp_path / "tiny", package)
    stem.use([3])

    with pytest.raises(BackendError, match=r"points \[2\] cannot be reached; those in use are \["):
        stem.run(FRAMES, 0, [2])
    with pytest.raises(BackendError, match=r"no point 7; there are \[0, 1, 2, 3\]"):
        stem.use([7])
    assert list(stem.run(FRAMES, 0, [3])) == [3]


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
