"""Regions by name, files by key: what may be registered, and what becomes of files that change behind it."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.errors import BadInput, Overloaded, RegionPresent, UnknownRegion
from server.rpc.shared_memory import files
from server.rpc.shared_memory.files import SharedFile
from server.rpc.shared_memory.registry import MOST_NAME, MOST_REGIONS, Registry

BIGGEST = 2**64 - 1


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of /dev/shm, with a file `memory` of 64 bytes that count."""
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    (tmp_path / "memory").write_bytes(bytes(range(64)))
    return tmp_path


@pytest.fixture
def registry() -> Iterator[Registry]:
    """An empty one, whose files are closed in the end."""
    made = Registry()
    yield made
    made.unregister()


def descriptors(path: Path) -> int:
    """How often this process has the file open."""
    links = list(Path("/proc/self/fd").iterdir())
    return sum(link.exists() and link.samefile(path) for link in links)


@pytest.mark.parametrize("key", ["/memory", "memory", "//memory"])
def test_a_region_is_read_from_its_offset_on(registry: Registry, key: str):
    registry.register("r", key, 8, 16)
    region = registry.region("r")

    assert bytes(region.file.read(region.begin(4, 3), 3)) == bytes([12, 13, 14])
    assert [(r.name, r.file.key, r.offset, r.byte_size) for r in registry.listed("r")] == [
        ("r", key, 8, 16)
    ]


def test_what_is_read_is_a_copy(registry: Registry, folder: Path):
    registry.register("r", "/memory", 0, 4)
    copied = registry.region("r").file.read(0, 4)
    (folder / "memory").write_bytes(bytes(64))

    assert bytes(copied) == bytes([0, 1, 2, 3])
    assert copied.readonly


def test_what_is_written_lies_there_and_nothing_beside_it_changes(registry: Registry, folder: Path):
    registry.register("r", "/memory", 8, 16)
    region = registry.region("r")
    region.file.write(region.begin(12, 4), memoryview(b"abcd"))

    want = bytearray(range(64))
    want[20:24] = b"abcd"
    assert (folder / "memory").read_bytes() == bytes(want)


@pytest.mark.parametrize(
    ("offset", "size", "words"),
    [
        (-1, 4, "Invalid offset for shared memory region: 'r'"),
        (16, 0, "Invalid offset for shared memory region: 'r'"),
        (2**63 - 1, 4, "Invalid offset for shared memory region: 'r'"),
        (0, 17, "Invalid offset \\+ byte size for shared memory region: 'r'"),
        (13, 4, "Invalid offset \\+ byte size for shared memory region: 'r'"),
        (0, -1, "Invalid offset \\+ byte size for shared memory region: 'r'"),
        (1, 2**63 - 1, "Invalid offset \\+ byte size for shared memory region: 'r'"),
    ],
)
def test_nothing_outside_of_a_region_is_touched(
    registry: Registry, offset: int, size: int, words: str
):
    registry.register("r", "/memory", 8, 16)

    with pytest.raises(BadInput, match=words):
        registry.region("r").begin(offset, size)


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 65), (64, 1), (1, 64), (BIGGEST, 1), (0, BIGGEST), (BIGGEST, BIGGEST), (0, 0), (-1, 4)],
)
def test_what_the_file_has_not_got_cannot_be_registered(
    registry: Registry, folder: Path, offset: int, size: int
):
    with pytest.raises(BadInput, match="failed to register shared memory region 'r': invalid args"):
        registry.register("r", "/memory", offset, size)

    assert registry.listed() == []
    gc.collect()
    assert descriptors(folder / "memory") == 0


@pytest.mark.parametrize(
    "key",
    [
        *(
            "",
            "/",
            "/.",
            "/..",
            "/../etc/passwd",
            "/etc/passwd",
            "/a/b",
            "/memory\0x",
            "/" + "x" * 256,
        ),
        *("/sem.x", "/nothing"),
    ],
)
def test_keys_of_no_shared_memory_are_refused(registry: Registry, folder: Path, key: str):
    (folder / "sem.x").write_bytes(bytes(64))

    with pytest.raises(BadInput, match="Unable to open shared memory region: '"):
        registry.register("r", key, 0, 1)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_only_files_are_opened(registry: Registry, folder: Path, kind: str):
    path = folder / "odd"
    make = {
        "link": lambda: path.symlink_to("memory"),
        "dangling": lambda: path.symlink_to("/etc/passwd"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()

    with pytest.raises(BadInput, match="Unable to open shared memory region: '/odd'"):
        registry.register("r", "/odd", 0, 1)


def test_a_link_that_takes_a_files_place_is_not_followed(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "odd").symlink_to("memory")
    seen = (folder / "memory").lstat()
    monkeypatch.setattr(Path, "lstat", lambda _path: seen)  # as it was a moment ago

    with pytest.raises(BadInput, match="Unable to open shared memory region: '/odd'"):
        registry.register("r", "/odd", 0, 1)


def test_a_file_that_was_cut_short_is_an_error_and_does_not_grow(registry: Registry, folder: Path):
    registry.register("r", "/memory", 0, 64)
    file = registry.region("r").file
    os.truncate(folder / "memory", 10)

    with pytest.raises(BadInput, match=r"'/memory' was cut short .* has 10 bytes, 64 are needed"):
        file.read(0, 64)
    with pytest.raises(BadInput, match="was cut short"):
        file.write(8, memoryview(b"abcd"))
    assert (folder / "memory").stat().st_size == 10
    assert bytes(file.read(0, 10)) == bytes(range(10))


def test_a_file_that_is_cut_short_while_it_is_read_is_an_error(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    registry.register("r", "/memory", 0, 64)
    os.truncate(folder / "memory", 10)
    monkeypatch.setattr(SharedFile, "_check", lambda *_: None)  # it had its size a moment ago

    with pytest.raises(BadInput, match="was cut short"):
        registry.region("r").file.read(0, 64)


def test_a_name_is_taken_once_until_it_is_free_again(registry: Registry):
    registry.register("r", "/memory", 0, 8)
    with pytest.raises(RegionPresent, match="shared memory region 'r' already in manager"):
        registry.register("r", "/memory", 8, 8)
    registry.unregister("r")
    registry.register("r", "/memory", 8, 8)

    assert registry.region("r").offset == 8


def test_regions_may_overlap(registry: Registry):
    registry.register("a", "/memory", 0, 8)
    registry.register("b", "/memory", 4, 8)

    assert [r.name for r in registry.listed()] == ["a", "b"]


@pytest.mark.parametrize("name", ["", "x" * (MOST_NAME + 1)])
def test_names_are_bounded(registry: Registry, name: str):
    with pytest.raises(BadInput, match="name has"):
        registry.register(name, "/memory", 0, 8)


def test_unregistering_what_is_not_there_is_no_error_and_nothing_named_is_all(registry: Registry):
    registry.unregister("nobody")
    registry.register("a", "/memory", 0, 8)
    registry.register("b", "/memory", 0, 8)
    registry.unregister()

    assert registry.listed() == []
    with pytest.raises(UnknownRegion, match="Unable to find shared memory region: 'a'"):
        registry.region("a")
    with pytest.raises(UnknownRegion, match="Unable to find system shared memory region: 'a'"):
        registry.listed("a")


def test_who_uses_a_region_keeps_its_file_until_done(registry: Registry, folder: Path):
    registry.register("r", "/memory", 0, 8)
    used = registry.region("r")
    registry.unregister("r")
    (folder / "memory").rename(folder / "gone")

    assert bytes(used.file.read(0, 4)) == bytes([0, 1, 2, 3])
    assert descriptors(folder / "gone") == 1
    del used
    gc.collect()
    assert descriptors(folder / "gone") == 0


def test_no_more_files_are_open_than_may_be_even_where_requests_hold_them(registry: Registry):
    for at in range(MOST_REGIONS - 1):
        registry.register(str(at), "/memory", 0, 8)
    registry.register("last", "/memory", 0, 8)
    held = registry.region("last")
    registry.unregister("last")

    with pytest.raises(Overloaded, match=f"{MOST_REGIONS} shared memory regions"):
        registry.register("one more", "/memory", 0, 8)
    del held
    gc.collect()
    registry.register("one more", "/memory", 0, 8)
