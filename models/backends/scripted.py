"""A backend that waits as its script says and answers from its inputs: for tests and the demo.

The artefact is TOML: `fixed_s`, `per_row_s`, and, to prove what a failure does, `fail_on_run`
(counted from 1) and `fail_marker` (a row whose first input value equals it fails its batch).
"""

import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends.base import BackendError, Slot, Tensors
from models.catalog import DATATYPES, Family, TensorSpec, Variant


@dataclass(frozen=True, slots=True)
class Script:
    """What a scripted variant does: a batch of b rows takes `fixed_s + b * per_row_s`."""

    fixed_s: float = 0.0
    per_row_s: float = 0.0
    fail_on_run: int | None = None
    fail_marker: float | None = None

    def latency_s(self, rows: int) -> float:
        """How long a batch takes."""
        return self.fixed_s + rows * self.per_row_s


class ScriptedBackend:
    """Plays a script. `sleep` is how it waits (s), so that a test may pass its own clock's."""

    name = "scripted"

    def __init__(
        self,
        script: Script,
        family: Family,
        label: str = "scripted",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._script, self._family, self._label, self._sleep = script, family, label, sleep
        self._runs = 0
        self._closed = False

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Wait, then derive each output row from its input row. Raises BackendError as told."""
        if self._closed:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        self._check(inputs)
        first = inputs[self._family.inputs[0].name]
        self._runs += 1
        self._sleep(self._script.latency_s(len(first)))
        self._fail_as_told(first)
        levels = _row_levels([inputs[spec.name] for spec in self._family.inputs])
        return {spec.name: _answer(spec, levels) for spec in self._family.outputs}

    def close(self) -> None:
        """Refuse to run from now on."""
        self._closed = True

    def _check(self, inputs: Tensors) -> None:
        wanted = {spec.name: spec for spec in self._family.inputs}
        if inputs.keys() != wanted.keys():
            raise BackendError(f"{self._label}: inputs {sorted(inputs)}, expected {sorted(wanted)}")
        for name, array in inputs.items():
            spec = wanted[name]
            if array.dtype != DATATYPES[spec.datatype] or array.shape[1:] != spec.shape[1:]:
                raise BackendError(
                    f"{self._label}: input {name!r} is {array.dtype} {array.shape}, "
                    f"expected {spec.datatype} {spec.shape}"
                )

    def _fail_as_told(self, first: NDArray[np.generic]) -> None:
        if self._runs == self._script.fail_on_run:
            raise BackendError(f"{self._label} failed on run {self._runs}, as scripted")
        marker = self._script.fail_marker
        if marker is not None and bool(np.any(first.reshape(len(first), -1)[:, 0] == marker)):
            raise BackendError(
                f"{self._label} failed on a row that begins with {marker}, as scripted"
            )


def devices() -> tuple[str, ...]:
    """The one place where waiting is done."""
    return ("cpu",)


def native(_precision: str, _device: str) -> bool:
    """Waiting knows no precision."""
    return True


def open_artifact(path: Path, family: Family, variant: Variant, slot: Slot) -> ScriptedBackend:
    """Read a script; the slot changes nothing here. Raises BackendError."""
    del slot
    label = f"{variant.name} ({path}, scripted)"
    try:
        script = Script(**tomllib.loads(path.read_text(encoding="utf-8")))
        script.latency_s(1)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise BackendError(
            f"{label} cannot be read: {error}; write TOML with fixed_s and per_row_s (s)"
        ) from error
    return ScriptedBackend(script, family, label)


def _row_levels(arrays: list[NDArray[np.generic]]) -> NDArray[np.float64]:
    """The mean of each row over all inputs: a row has its level in whatever batch it comes."""
    columns = [np.nan_to_num(a.reshape(len(a), -1).astype(np.float64)).mean(axis=1) for a in arrays]
    return np.sum(columns, axis=0)


def _answer(spec: TensorSpec, levels: NDArray[np.float64]) -> NDArray[np.generic]:
    """(rows, ...) of the output's type: the row's level, less with every place along the row."""
    width = int(np.prod(spec.shape[1:]))
    values = levels[:, None] / (1.0 + np.arange(width))
    if not spec.datatype.startswith("FP"):
        values = np.clip(np.rint(values), 0, 127)
    dtype = np.dtype(DATATYPES[spec.datatype])
    return values.reshape(len(levels), *spec.shape[1:]).astype(dtype)
