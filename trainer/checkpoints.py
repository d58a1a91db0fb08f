"""Checkpoints: all that a run needs to go on bit by bit the same. A kill while one is written leaves the former one."""

import os
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from trainer.cost import Ledger, Prices
from trainer.errors import TrainError
from trainer.loop import Run

_ARRAY = "numpy"
_SCHEMA = 1


def save(path: Path, run: Run) -> None:
    """Write the run's state to a temporary file beside `path`, sync it and rename. Raises TrainError if that fails."""
    state = run.state()
    state["ledger"], state["prices"] = asdict(run.ledger), asdict(run.prices)
    content = {"schema": _SCHEMA, "settings": asdict(run.settings), "state": _packed(state)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise TrainError(
            f"checkpoint {path} cannot be written: {error}; the former one, if any, is whole; free the disk and "
            "run the same command again"
        ) from error


def resume(path: Path, run: Run) -> bool:
    """Bring `run` to where `path` was saved; False where there is no such file.

    Raises TrainError for a file that is damaged or of a run with other settings.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        schema, settings, state = content["schema"], content["settings"], content["state"]
    except FileNotFoundError:
        return False
    except (
        OSError,
        RuntimeError,
        pickle.UnpicklingError,
        KeyError,
        TypeError,
        EOFError,
        ValueError,
    ) as error:
        raise TrainError(
            f"checkpoint {path} cannot be read: {error}; delete it to begin anew"
        ) from error
    if schema != _SCHEMA:
        raise TrainError(
            f"checkpoint {path} has schema {schema}, this program {_SCHEMA}; delete it to begin anew"
        )
    wrong = differing(settings, asdict(run.settings))
    if wrong:
        raise TrainError(
            f"checkpoint {path} is of a run with other settings ({'; '.join(wrong)}); give those, or another file"
        )
    state = _unpacked(state)
    state["ledger"], state["prices"] = Ledger(**state["ledger"]), Prices(**state["prices"])
    run.restore(state)
    return True


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


def _write(path: Path, content: object) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
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
