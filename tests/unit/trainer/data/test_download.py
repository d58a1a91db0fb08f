"""An archive is trusted by its sha256 alone, kept whole or not at all, and unpacked inside its folder."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.training import datasets
from trainer.data import load
from trainer.data.download import default_cache
from trainer.errors import TrainError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return default_cache()


def url_of(archive: Path) -> str:
    return f"{archive.as_uri()}#sha256={hashlib.sha256(archive.read_bytes()).hexdigest()}"


def zipped(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder.parent))
    return archive


def tarred(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, folder.name)
    return archive


def test_an_npz_is_fetched_once_and_then_read_from_the_cache(tmp_path: Path):
    archive = datasets.write_npz(tmp_path / "some.npz")
    url = url_of(archive)

    first = load(url)
    archive.unlink()

    assert first.source == url
    assert load(url).train.images.tolist() == first.train.images.tolist()


@pytest.mark.parametrize(("pack", "name"), [(zipped, "cifar.zip"), (tarred, "cifar.tar.gz")])
def test_packed_folders_are_unpacked(pack: object, name: str, tmp_path: Path):
    assert callable(pack)
    archive = pack(datasets.write_cifar(tmp_path / "cifar-10-batches-py"), tmp_path / name)

    assert load(url_of(archive)).name == "cifar10"
    assert load(url_of(archive)).train.images.shape == (10, 3, 32, 32)


def test_another_sha256_is_refused_and_nothing_is_kept(tmp_path: Path, cache: Path):
    archive = datasets.write_npz(tmp_path / "some.npz")

    with pytest.raises(TrainError, match="nothing was kept"):
        load(f"{archive.as_uri()}#sha256={'0' * 64}")

    assert [p for p in cache.rglob("*") if p.is_file()] == []


def test_a_damaged_cache_is_fetched_anew(tmp_path: Path, cache: Path):
    url = url_of(datasets.write_npz(tmp_path / "some.npz"))
    load(url)
    (kept,) = cache.rglob("some.npz")
    kept.write_bytes(b"damaged")

    assert len(load(url).train.labels) == 6


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://example.org/a.npz", "add #sha256="),
        ("https://example.org/a.npz#sha256=12", "add #sha256="),
        (f"http://example.org/a.npz#sha256={'0' * 64}", "neither an https nor a file"),
        (f"https://example.org/a.rar#sha256={'0' * 64}", r"must end in \.npz, \.zip"),
        (f"file:///nowhere/a.npz#sha256={'0' * 64}", "cannot be brought to"),
    ],
)
def test_addresses_that_cannot_be_trusted_or_read_are_refused(url: str, fault: str):
    with pytest.raises(TrainError, match=fault):
        load(url)


def test_a_packed_file_that_leaves_its_folder_is_refused(tmp_path: Path, cache: Path):
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as file:
        member = tarfile.TarInfo("../../../escaped")
        member.size = 1
        file.addfile(member, io.BytesIO(b"x"))

    with pytest.raises(TrainError, match="cannot be unpacked"):
        load(url_of(archive))

    assert list(tmp_path.rglob("escaped")) == []
    assert [p for p in cache.rglob("*") if p.name.startswith((".new-", "unpacked"))] == []


@pytest.mark.parametrize("name", ["cut.zip", "cut.tar.gz", "cut.tar.xz"])
def test_a_damaged_archive_is_refused(name: str, tmp_path: Path):
    whole = tarred(datasets.write_cifar(tmp_path / "cifar"), tmp_path / "whole.tar.gz").read_bytes()
    archive = tmp_path / name
    archive.write_bytes(whole[:-500])

    with pytest.raises(TrainError, match="cannot be unpacked"):
        load(url_of(archive))
