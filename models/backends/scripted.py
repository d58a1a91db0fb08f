"""A backend that waits as its script says and answers from its inputs: for tests and the demo.

The artefact is TOML: `fixed_s`, `per_row_s`, and, to prove what trouble does, the other keys of `Script`.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends.base import BackendError, Slot, Tensors
from models.catalog import Family, TensorSpec, Variant
from surroundings.documents import text_at, toml_in


@dataclass(frozen=True, slots=True)
class Script:
    """What a scripted variant does: a batch of b rows takes `fixed_s + b * per_row_s`.

    Runs are counted from 1; `until` is the first run that is well again. `fail_marker`: a row whose first input value
    equals it fails its batch. `hang_on_run` waits `hang_s` besides. With `only_while`, trouble that goes by runs
    needs this file to exist (and `hang_on_run` is then the least run that hangs).
    """

    fixed_s: float = 0.0
    per_row_s: float = 0.0
    fail_on_run: int | None = None
    fail_from_run: int | None = None
    fail_until_run: int | None = None
    fail_marker: float | None = None
    slow_from_run: int | None = None
    slow_until_run: int | None = None
    slow_factor: float = 10.0
    hang_on_run: int | None = None
    hang_s: float = 0.0
    only_while: str | None = None

    def latency_s(self, rows: int) -> float:
        """How long a batch takes when all is well."""
        return self.fixed_s + rows * self.per_row_s

    def takes_s(self, rows: int, run: int) -> float:
        """How long a batch takes as that run."""
        took_s = self.latency_s(rows)
        if not self._troubled():
            return took_s
        if _within(run, self.slow_from_run, self.slow_until_run):
            took_s *= self.slow_factor
        return took_s + (self.hang_s if self._hangs(run) else 0.0)

    def fails(self, run: int) -> bool:
        """Whether that run fails, whatever its input."""
        due = run == self.fail_on_run or _within(run, self.fail_from_run, self.fail_until_run)
        return due and self._troubled()

    def _hangs(self, run: int) -> bool:
        if self.hang_on_run is None:
            return False
        return run == self.hang_on_run or (self.only_while is not None and run > self.hang_on_run)

    def _troubled(self) -> bool:
        return self.only_while is None or Path(self.only_while).exists()


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
        self._runs = itertools.count(1)
        self._closed = False

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Wait, then derive each output row from its input row. Raises BackendError as told."""
        if self._closed:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        self._check(inputs)
        first = inputs[self._family.inputs[0].name]
        run = next(self._runs)
        fails = self._script.fails(run)
        self._sleep(self._script.takes_s(len(first), run))
        self._fail_as_scripted(first, run if fails else None)
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
            if array.dtype != spec.dtype or array.shape[1:] != spec.shape[1:]:
                raise BackendError(
                    f"{self._label}: input {name!r} is {array.dtype} {array.shape}, "
                    f"expected {spec.datatype} {spec.shape}"
                )

    def _fail_as_scripted(self, first: NDArray[np.generic], failing_run: int | None) -> None:
        if failing_run is not None:
            raise BackendError(f"{self._label} failed on run {failing_run}, as scripted")
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
        script = Script(**toml_in(text_at(path)))
    except (ValueError, TypeError) as error:
        raise _unreadable(label, str(error)) from error
    if wrong := _wrong(script):
        raise _unreadable(label, "; ".join(wrong))
    return ScriptedBackend(script, family, label)


def _unreadable(label: str, why: str) -> BackendError:
    keys = ", ".join(field.name for field in fields(Script))
    return BackendError(
        f"{label} cannot be read: {why}; write TOML with fixed_s and per_row_s (s), of {keys}"
    )


def _wrong(script: Script) -> list[str]:
    """Every key whose value is of no use."""
    given = {field.name: getattr(script, field.name) for field in fields(Script)}
    defaults = {field.name: field.default for field in fields(Script)}
    return [
        f"{name} = {value!r}"
        for name, value in given.items()
        if value != defaults[name] and not _fits(name, value)
    ]


def _fits(name: str, value: object) -> bool:
    if name == "only_while":
        return isinstance(value, str)
    if name.endswith("_run"):
        return type(value) is int and value >= 1
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value >= 0 or name == "fail_marker"


def _within(run: int, first: int | None, end: int | None) -> bool:
    return first is not None and run >= first and (end is None or run < end)


def _row_levels(arrays: list[NDArray[np.generic]]) -> NDArray[np.float64]:
    """The mean of each row over all inputs: a row has its level in whatever batch it comes."""
    columns = [np.nan_to_num(a.reshape(len(a), -1).astype(np.float64)).mean(axis=1) for a in arrays]
    return np.sum(columns, axis=0)


def _answer(spec: TensorSpec, levels: NDArray[np.float64]) -> NDArray[np.generic]:
    """(rows, ...) of the output's type: the row's level, less with every place along the row."""
    width = int(np.prod(spec.shape[1:]))
    values = levels[:, None] / (1.0 + np.arange(width))
    if not spec.is_float:
        values = np.clip(np.rint(values), 0, 127)
    dtype = spec.dtype
    return values.reshape(len(levels), *spec.shape[1:]).astype(dtype)
