"""Checkpoint files: what is not the whole file of this very run is refused; a failed write leaves the former one."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.training.runs import PRICES, a_prepared, frozen, write_stripes  # noqa: E402 - wants torch
from trainer.errors import TrainError  # noqa: E402
from trainer.run import checkpoints  # noqa: E402
from trainer.run.cost import Prices  # noqa: E402
from trainer.run.loop import Run  # noqa: E402


def a_run(folder: Path, prices: Prices = PRICES, steps: int = 0, **values: Any) -> Run:
    stripes = folder / "stripes.npz"
    if not stripes.exists():
        write_stripes(stripes)
    run = a_prepared(stripes, prices, **values).run
    going = run.steps()
    for _ in range(steps):
        next(going)
    return run


def saved(folder: Path, **values: Any) -> Path:
    path = folder / "run.ckpt"
    checkpoints.save(path, a_run(folder, steps=3, **values))
    return path


def refusal(path: Path, run: Run) -> str:
    with pytest.raises(TrainError) as raised:
        checkpoints.resume(path, run)
    assert str(path) in str(raised.value)
    return str(raised.value)


def test_without_a_file_a_run_begins_anew(tmp_path: Path):
    assert not checkpoints.resume(tmp_path / "none" / "run.ckpt", a_run(tmp_path))


def test_a_file_brings_back_all_that_a_run_depends_on_with_its_prices(tmp_path: Path):
    run = a_run(tmp_path, steps=20, selector="adaptive", way="bf16")
    checkpoints.save(tmp_path / "deep" / "er" / "run.ckpt", run)
    other = a_run(tmp_path, Prices(9.0, 9.0, 9.0, 9.0), selector="adaptive", way="bf16")

    assert checkpoints.resume(tmp_path / "deep" / "er" / "run.ckpt", other)

    assert frozen(other.state()) == frozen(run.state())
    assert other.prices == PRICES


def test_a_resumed_run_does_not_share_memory_with_what_it_came_from(tmp_path: Path):
    run = a_run(tmp_path, steps=3)
    checkpoints.save(tmp_path / "run.ckpt", run)
    before = frozen(run.state())
    other = a_run(tmp_path)
    checkpoints.resume(tmp_path / "run.ckpt", other)

    list(other.steps())

    assert frozen(run.state()) == before


@pytest.mark.parametrize("seed", range(4))
def test_any_changed_bit_is_noticed(tmp_path: Path, seed: int):
    path, run = saved(tmp_path), a_run(tmp_path)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)

    for at in rng.integers(0, len(content), 20):
        bit = 1 << int(rng.integers(8))
        content[at] ^= bit
        path.write_bytes(content)
        assert "move it away to begin anew" in refusal(path, run)
        content[at] ^= bit

    path.write_bytes(content)
    assert checkpoints.resume(path, run)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float):
    path = saved(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    assert "move it away to begin anew" in refusal(path, a_run(tmp_path))


def test_a_file_that_torch_alone_wrote_is_refused(tmp_path: Path):
    run = a_run(tmp_path)
    torch.save(run.state()["module"], tmp_path / "module.pt")

    assert "no checkpoint of this version" in refusal(tmp_path / "module.pt", run)


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path):
    assert "cannot be read" in refusal(tmp_path, a_run(tmp_path))


def test_other_settings_are_refused_and_each_is_told(tmp_path: Path):
    path = saved(tmp_path, seed=1, lr=0.05, selector="stale")

    told = refusal(path, a_run(tmp_path, seed=2, lr=0.1, selector="uniform"))

    assert "seed was 1, is 2" in told
    assert "lr was 0.05, is 0.1" in told
    assert "selector was 'stale', is 'uniform'" in told
    assert "batch" not in told


def test_the_same_settings_on_data_of_another_size_are_refused(tmp_path: Path):
    path = saved(tmp_path, selector="stale")
    write_stripes(tmp_path / "stripes.npz", train=500)

    assert "does not fit this data" in refusal(path, a_run(tmp_path, selector="stale"))


def test_a_save_replaces_the_former_file_whole_and_leaves_nothing_else(tmp_path: Path):
    run = a_run(tmp_path, steps=2)
    path = tmp_path / "kept" / "run.ckpt"
    for _ in range(3):
        checkpoints.save(path, run)

    assert os.listdir(path.parent) == ["run.ckpt"]  # noqa: PTH208 - hidden ones as well


def test_what_a_kill_left_is_removed_and_nothing_of_others(tmp_path: Path):
    path = saved(tmp_path)
    (tmp_path / ".run.ckpt.new-abcd_012").write_bytes(b"gearshift training checkpoint 1\nhalf")
    (tmp_path / ".run.ckpt.new-abcd_013").write_bytes(b"a user's")
    (tmp_path / ".run.ckpt.new-ideas").write_bytes(b"gearshift")
    (tmp_path / ".other.ckpt.new-abc").write_bytes(b"another run's")

    checkpoints.resume(path, a_run(tmp_path))

    assert not (tmp_path / ".run.ckpt.new-abcd_012").exists()
    assert (tmp_path / ".run.ckpt.new-abcd_013").exists()
    assert (tmp_path / ".run.ckpt.new-ideas").exists()
    assert (tmp_path / ".other.ckpt.new-abc").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(TrainError, match=r"file/run\.ckpt cannot be written"):
        checkpoints.save(tmp_path / "file" / "run.ckpt", a_run(tmp_path))
