"""Checkpoints: all that a run needs to go on bit by bit the same. A kill while one is written leaves the former one."""

import glob
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from trainer.errors import TrainError
from trainer.run.cost import Ledger, Prices
from trainer.run.loop import Run

_ARRAY = "numpy"
_HEAD = b"gearshift training checkpoint 1\n"
"""Then the SHA-256 of all that follows, which torch reads. The number counts layouts."""
_DIGEST_BYTES = 32


def save(path: Path, run: Run) -> None:
    """Write the run's state to a temporary file beside `path`, sync it and rename. Raises TrainError if that fails.

    What a kill leaves of a temporary file is removed by `resume`. One run at a time has a checkpoint file to itself.
    """
    state = run.state()
    state["ledger"], state["prices"] = asdict(run.ledger), asdict(run.prices)
    content = {"settings": asdict(run.settings), "state": _packed(state)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, _bytes(content))
    except OSError as error:
        raise TrainError(
            f"checkpoint {path} cannot be written: {error}; the former one, if any, is whole; free the disk and "
            "run the same command again"
        ) from error


def resume(path: Path, run: Run) -> bool:
    """Bring `run` to where `path` was saved; False where there is no such file.

    Raises TrainError for a file that is damaged or of a run with other settings.
    """
    try:
        _remove_leftovers(path)
        raw = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TrainError(f"checkpoint {path} cannot be read: {error}") from error
    content = _content(path, raw)
    wrong = differing(content["settings"], asdict(run.settings))
    if wrong:
        raise TrainError(
            f"checkpoint {path} is of a run with other settings ({'; '.join(wrong)}); give those, or another file"
        )
    try:
        _restore(_unpacked(content["state"]), run)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise TrainError(
            f"checkpoint {path} does not fit this data or this version ({error}); move it away to begin anew"
        ) from error
    return True


def _restore(state: dict[str, Any], run: Run) -> None:
    state["ledger"], state["prices"] = Ledger(**state["ledger"]), Prices(**state["prices"])
    run.restore(state)


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which settings are not the same, one text each."""
    found: list[str] = []
    for key, value in now.items():
        before = then.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            found += differing(cast("dict[str, Any]", before), cast("dict[str, Any]", value))
        elif before != value:
            found.append(f"{key} was {before!r}, is {value!r}")
    return found


def _bytes(content: object) -> bytes:
    body = io.BytesIO()
    torch.save(content, body)
    return _HEAD + hashlib.sha256(body.getbuffer()).digest() + body.getbuffer()


def _content(path: Path, raw: bytes) -> dict[str, Any]:
    """What `_bytes` was given. Raises TrainError where they are not its bytes, all of them."""
    body = memoryview(raw)[len(_HEAD) + _DIGEST_BYTES :]
    if not raw.startswith(_HEAD):
        raise TrainError(
            f"checkpoint {path} is no checkpoint of this version; move it away to begin anew"
        )
    if hashlib.sha256(body).digest() != raw[len(_HEAD) : len(_HEAD) + _DIGEST_BYTES]:
        raise TrainError(f"checkpoint {path} is damaged; move it away to begin anew")
    return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=_temporary_prefix(path), dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_IS_RANDOM = re.compile(r"[a-z0-9_]{8}")
"""What `mkstemp` appends."""


def _temporary_prefix(path: Path) -> str:
    return f".{path.name}.new-"


def _remove_leftovers(path: Path) -> None:
    """Of runs that were killed while they wrote: named as our temporary files are, beginning as all that we write."""
    prefix = _temporary_prefix(path)
    for leftover in path.parent.glob(f"{glob.escape(prefix)}*"):
        if _IS_RANDOM.fullmatch(leftover.name.removeprefix(prefix)) and leftover.is_file():
            with leftover.open("rb") as file:
                ours = _HEAD.startswith(file.read(len(_HEAD)))
            if ours:
                leftover.unlink(missing_ok=True)


def _packed(value: Any) -> Any:
    """The same with every numpy array as a tensor, which is what may be read back without running code."""
    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(value.copy())}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _packed(entry) for key, entry in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        entries = [_packed(entry) for entry in cast("list[Any]", value)]
        return tuple(entries) if isinstance(value, tuple) else entries
    return value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        if entries.keys() == {_ARRAY}:
            return entries[_ARRAY].numpy()
        return {key: _unpacked(entry) for key, entry in entries.items()}
    if isinstance(value, list | tuple):
        entries = [_unpacked(entry) for entry in cast("list[Any]", value)]
        return tuple(entries) if isinstance(value, tuple) else entries
    return value
