"""What is kept comes back whole and for the same thing only; all else is passed over, and written anew."""

import os
from pathlib import Path

import pytest

from models.backends.openvino_graphs import kept
from models.backends.openvino_graphs.kept import KeptGraphs, sweep

OF = {"artefact": "a", "runtime": "1"}
CONTENT = b"what was compiled" * 1000


def written(folder: Path) -> Path:
    KeptGraphs(OF, folder).write(4, CONTENT)
    return next(folder.iterdir())


def test_what_was_kept_comes_back(tmp_path: Path):
    written(tmp_path / "graphs")

    assert KeptGraphs(OF, tmp_path / "graphs").read(4) == CONTENT


def test_of_other_rows_or_of_another_runtime_there_is_nothing(tmp_path: Path):
    written(tmp_path)

    assert KeptGraphs(OF, tmp_path).read(1) is None
    assert KeptGraphs({**OF, "runtime": "2"}, tmp_path).read(4) is None


@pytest.mark.parametrize("at", [0, 40, -1])
def test_an_entry_with_a_bit_changed_is_passed_over_and_may_be_written_anew(
    tmp_path: Path, at: int
):
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    graphs = KeptGraphs(OF, tmp_path)

    assert graphs.read(4) is None
    graphs.write(4, CONTENT)
    assert graphs.read(4) == CONTENT


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5])
def test_half_an_entry_is_none(tmp_path: Path, share: float):
    path = written(tmp_path)
    os.truncate(path, int(share * path.stat().st_size))

    assert KeptGraphs(OF, tmp_path).read(4) is None


def test_an_entry_under_anothers_name_is_none(tmp_path: Path):
    path = written(tmp_path)
    others = KeptGraphs({**OF, "artefact": "b"}, tmp_path)
    others.write(4, b"another")
    other = next(one for one in tmp_path.iterdir() if one != path)
    other.write_bytes(path.read_bytes())

    assert others.read(4) is None


def test_a_folder_that_cannot_be_written_costs_the_entry_only(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    graphs = KeptGraphs(OF, tmp_path / "file" / "graphs")

    graphs.write(4, CONTENT)

    assert graphs.read(4) is None


def test_what_was_not_read_for_long_goes_and_so_does_what_nobody_is_writing(tmp_path: Path):
    path = written(tmp_path)
    foreign = tmp_path / "notes.txt"
    foreign.write_text("mine")
    half = tmp_path / ".new-abcd1234"
    half.write_text("half")
    now_s = path.stat().st_mtime

    sweep(tmp_path, lambda: now_s + 2 * 3600.0)
    assert {one.name for one in tmp_path.iterdir()} == {path.name, "notes.txt"}
    sweep(tmp_path, lambda: now_s + 2 * kept.UNREAD_S)
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]


def test_the_folder_does_not_outgrow_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 2 * len(CONTENT) + 500)
    for rows in (1, 2, 3):
        KeptGraphs(OF, tmp_path).write(rows, CONTENT)
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 1))

    graphs = KeptGraphs(OF, tmp_path)
    assert [graphs.read(rows) is not None for rows in (1, 2, 3)] == [False, True, True]
