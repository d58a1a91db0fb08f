"""Scripted backends fail, hang and slow down as their artefact tells them."""

from pathlib import Path

import numpy as np
import pytest

from models.backends.base import Backend, BackendError
from models.backends.scripted import Script
from tests.support.tiny import (
    ROWS,
    WIDTH,
    opened,
    some_rows,
)


def test_a_script_fails_on_the_run_it_names_and_on_no_other(tmp_path: Path):
    (tmp_path / "tiny.scripted").write_text("fail_on_run = 2\n")
    backend = opened(tmp_path, ".scripted")
    backend.run({"x": some_rows()})

    with pytest.raises(BackendError, match="run 2"):
        backend.run({"x": some_rows()})

    assert len(backend.run({"x": some_rows()})["scores"]) == ROWS


def test_a_script_fails_on_a_marked_row_only(tmp_path: Path):
    (tmp_path / "tiny.scripted").write_text("fail_marker = 7\n")
    backend = opened(tmp_path, ".scripted")
    marked = np.zeros((2, WIDTH), np.uint8)
    marked[1, 0] = 7

    with pytest.raises(BackendError, match="begins with 7"):
        backend.run({"x": marked})

    assert len(backend.run({"x": marked[:1]})["scores"]) == 1


def test_a_script_fails_over_a_range_of_runs(tmp_path: Path):
    (tmp_path / "tiny.scripted").write_text("fail_from_run = 2\nfail_until_run = 4\n")
    backend = opened(tmp_path, ".scripted")

    assert [_runs(backend) for _ in range(5)] == [True, False, False, True, True]


def test_a_script_is_ill_only_while_its_file_exists(tmp_path: Path):
    flag = tmp_path / "ill"
    (tmp_path / "tiny.scripted").write_text(f'fail_from_run = 1\nonly_while = "{flag}"\n')
    backend = opened(tmp_path, ".scripted")

    before = _runs(backend)
    flag.touch()
    meanwhile = _runs(backend)
    flag.unlink()

    assert (before, meanwhile, _runs(backend)) == (True, False, True)


def test_a_script_slows_and_hangs_as_told():
    script = Script(0.01, 0.001, slow_from_run=2, slow_until_run=3, hang_on_run=4, hang_s=5.0)

    took_s = [script.takes_s(10, run) for run in (1, 2, 3, 4, 5)]

    assert took_s == pytest.approx([0.02, 0.2, 0.02, 5.02, 0.02])


@pytest.mark.parametrize(
    "line",
    ["fail_from_run = 0", "hang_s = -1", 'fixed_s = "1"', "slow_from_run = 1.5", "only_while = 1"],
)
def test_a_script_of_no_use_is_refused_by_key(tmp_path: Path, line: str):
    (tmp_path / "tiny.scripted").write_text(line)

    with pytest.raises(BackendError, match=f"{line.split(maxsplit=1)[0]} = .*; write TOML"):
        opened(tmp_path, ".scripted")


def _runs(backend: Backend) -> bool:
    try:
        backend.run({"x": some_rows()})
    except BackendError:
        return False
    return True
