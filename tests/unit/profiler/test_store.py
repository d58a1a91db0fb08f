"""Profiles on disk: what was saved comes back, and nothing else is believed."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.catalog import Accuracy, Family, Slo, Variant
from profiler import store
from profiler.hardware.fingerprint import Hardware
from profiler.profiles import MachineProfile, Point, Profile

HARDWARE = Hardware("Some CPU", 2, ("avx2",), 16, (), ("onnxruntime 1.31.1",))
PRINT = HARDWARE.fingerprint()


def a_variant(name: str, sha256: str) -> Variant:
    return Variant(name, "fp32", f"{name}.onnx", sha256, Accuracy(0.5, "invented"))


def a_profile(variant: str) -> Profile:
    points = (
        Point(1, 9, 0.01, 0.012, 0.013, 0.0101, 0.009, 0.011),
        Point(8, 9, 0.08, 0.09, 0.09, 0.081, 0.079, 0.082),
    )
    return Profile(variant, "fp32", "onnxruntime", "cpu", 1, points, 0.5, 1 << 20, "slow", 1.5)


FAMILY = Family("tiny", (), (), (a_variant("a", "1" * 64), a_variant("b", "2" * 64)), Slo(0.05))
MACHINE = MachineProfile(
    PRINT, "tiny", "2026-01-02T03:04:05+00:00", (a_profile("a"), a_profile("b"))
)


def saved(folder: Path) -> Path:
    assert store.save(folder, FAMILY, MACHINE, HARDWARE)
    return store.path_of(folder, "tiny", PRINT)


def test_what_was_saved_comes_back(tmp_path: Path):
    saved(tmp_path / "new" / "folder")

    assert store.load(tmp_path / "new" / "folder", FAMILY, PRINT) == MACHINE


def test_nothing_stored_is_none(tmp_path: Path):
    assert store.load(tmp_path, FAMILY, PRINT) is None


def test_a_changed_artefact_has_no_stored_profile(tmp_path: Path):
    saved(tmp_path)
    changed = replace(FAMILY, variants=(FAMILY.variants[0], a_variant("b", "3" * 64)))

    found = store.load(tmp_path, changed, PRINT)

    assert found is not None
    assert [p.variant for p in found.profiles] == ["a"]


def test_a_variant_that_is_gone_is_left_out(tmp_path: Path):
    saved(tmp_path)

    found = store.load(tmp_path, replace(FAMILY, variants=FAMILY.variants[:1]), PRINT)

    assert found is not None
    assert [p.variant for p in found.profiles] == ["a"]


def test_another_machine_has_its_own_file(tmp_path: Path):
    saved(tmp_path)

    assert store.load(tmp_path, FAMILY, "0" * 12) is None
    assert store.load(tmp_path, FAMILY, PRINT) == MACHINE


def test_only_the_file_itself_is_left_in_the_folder(tmp_path: Path):
    saved(tmp_path)
    saved(tmp_path)

    assert [p.name for p in tmp_path.iterdir()] == [f"tiny-{PRINT}.json"]


def edited(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content | changes


def with_row(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content | {"profiles": [content["profiles"][0] | changes]}


@pytest.mark.parametrize(
    "edit",
    [
        edited(schema=store.SCHEMA + 1),
        edited(schema=store.SCHEMA - 1),
        edited(schema=None),
        edited(fingerprint="0" * 12),
        edited(family="other"),
        edited(profiles=None),
        edited(profiles=[1]),
        edited(profiles={"a": 1}),
        with_row(points=[]),
        with_row(points=[{"batch": 1}]),
        with_row(threads="many"),
        with_row(precision=None),
        with_row(load_s=-1.0),
        with_row(note=None),
        with_row(seconds="long"),
        with_row(points=[{"batch": 1, "n": 1, "p50_s": -1, "p95_s": 1, "p99_s": 1, "mean_s": 1}]),
        with_row(extra=1),
        lambda _: [],
        lambda _: "text",
        lambda _: None,
    ],
)
def test_a_foreign_file_is_set_aside_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, edit: Callable[[dict[str, Any]], Any]
):
    path = saved(tmp_path)
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))

    with caplog.at_level(logging.WARNING):
        assert store.load(tmp_path, FAMILY, PRINT) is None

    assert "measuring again" in caplog.text
    assert [p.name for p in tmp_path.iterdir()] == [f"{path.name}.bad"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_damaged_file_is_set_aside_and_a_new_one_can_be_saved(tmp_path: Path, content: bytes):
    path = saved(tmp_path)
    path.write_bytes(content)

    assert store.load(tmp_path, FAMILY, PRINT) is None

    saved(tmp_path)
    assert store.load(tmp_path, FAMILY, PRINT) == MACHINE


def test_a_file_cut_anywhere_is_never_believed(tmp_path: Path):
    path = saved(tmp_path)
    whole = path.read_bytes()

    for size in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:size])
        assert store.load(tmp_path, FAMILY, PRINT) is None


def test_a_folder_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").touch()

    with caplog.at_level(logging.WARNING):
        assert not store.save(tmp_path / "file" / "folder", FAMILY, MACHINE, HARDWARE)

    assert "the next start measures again" in caplog.text


def test_a_full_disk_costs_a_warning_and_leaves_the_old_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    path = saved(tmp_path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("profiler.store.os.fsync", full)
    with caplog.at_level(logging.WARNING):
        assert not store.save(tmp_path, FAMILY, replace(MACHINE, profiles=()), HARDWARE)

    assert "No space left" in caplog.text
    assert (path.read_bytes(), [p.name for p in tmp_path.iterdir()]) == (before, [path.name])


def test_the_default_folder_honours_the_cache_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")

    assert store.default_folder() == Path("/somewhere/gearshift/profiles")


@pytest.mark.parametrize("graphs", [(), (1,), (1, 1, 4, 4)])
def test_of_a_runtime_with_graphs_only_what_says_which_comes_back(
    tmp_path: Path, graphs: tuple[int, ...]
):
    ran = replace(a_profile("a"), backend="openvino", graphs=graphs)
    assert store.save(tmp_path, FAMILY, replace(MACHINE, profiles=(ran,)), HARDWARE)

    found = store.load(tmp_path, FAMILY, PRINT)

    assert found is not None
    assert found.profiles == ((ran,) if graphs else ())


def test_graphs_by_which_no_batch_can_run_make_a_file_a_bad_one(tmp_path: Path):
    ran = replace(a_profile("a"), backend="openvino", graphs=(1, 3, 2))
    assert store.save(tmp_path, FAMILY, replace(MACHINE, profiles=(ran,)), HARDWARE)

    assert store.load(tmp_path, FAMILY, PRINT) is None
