"""A TorchScript module, loaded on the CPU: what its forward takes, and what it answers."""

import re
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.adding.reading import Arrays, Input, Said
from models.adding.rows.given import LINES
from models.adding.torch_files.scripted import Argument, inputs_of
from models.backends.base import words
from models.build.errors import BuildError
from models.build.narrowing.calibration import LABELS, arrays_at
from models.datatypes import BY_DTYPE, DATATYPES

_FILES = re.compile(r"\b(torch|ops\.\w+)\.(save|from_file)\(")
"""What a script's code could touch files with."""
_TYPES = {getattr(torch, row.dtype.name): row.name for row in DATATYPES.values()}


@dataclass(frozen=True, slots=True)
class LoadedScript:
    """A module and what it takes; `remark`: how that is known, where nobody said it."""

    path: Path
    module: Any
    inputs: Sequence[Input]
    remark: str

    def run(self, rows: Arrays) -> dict[str, NDArray[Any]]:
        """Its outputs, by name. Raises BuildError."""
        try:
            with torch.inference_mode(), quiet():
                given = {name: torch.from_numpy(np.array(a)) for name, a in rows.items()}
                return {name: a.numpy() for name, a in named(self.module(**given)).items()}
        except Exception as error:  # what torch raises has no base
            count = len(next(iter(rows.values())))
            raise BuildError(
                f"{self.path} does not run on {count} rows: {last_words(error)}"
            ) from error


def named(answer: Any) -> dict[str, torch.Tensor]:
    """The tensors of what a script returns: by a dict's keys, else `output`, or `output_0` and so on."""
    if isinstance(answer, torch.Tensor):
        return {"output": answer}
    if isinstance(answer, Mapping):
        parts = {str(key): one for key, one in answer.items()}
    else:
        listed = answer if isinstance(answer, list | tuple) else ()
        parts = {f"output_{i}": one for i, one in enumerate(listed)}
    return {name: one for name, one in parts.items() if isinstance(one, torch.Tensor)}


def load_script(path: Path, said: Said) -> LoadedScript:
    """The script at `path`. It holds pickles that torch reads without running them. Raises BuildError."""
    try:
        traced = _looked_through(path)
        with quiet():
            module = torch.jit.load(str(path), map_location="cpu", _restore_shapes=traced).eval()
        arguments = _arguments(module)
    except BuildError:
        raise
    except Exception as error:  # torch raises anything of a damaged archive
        raise BuildError(
            f"{path} cannot be read as TorchScript: {words(error)}; save it again"
        ) from error
    sampled = _sampled(said, {one.name for one in arguments})
    inputs, remark = inputs_of(path, arguments, said, sampled)
    return LoadedScript(path, module, inputs, remark)


def _looked_through(path: Path) -> bool:
    """Whether the example is in it that it was traced with. Raises BuildError where its code touches files."""
    torch_itself: Any = torch
    reader = torch_itself._C.PyTorchFileReader(str(path))  # noqa: SLF001 - as jit.load sees it
    names: list[str] = reader.get_all_records()
    for name in (n for n in names if n.startswith("code/") and n.endswith(".py")):
        if found := _FILES.search(reader.get_record(name).decode("utf-8", "replace")):
            raise BuildError(
                f"{path} reads or writes files by itself ({found[0]}...), and is not opened"
            )
    return "traced_inputs.pkl" in names


def _arguments(module: Any) -> list[Argument]:
    schema = module._c._get_method("forward").schema  # noqa: SLF001 - no public way to defaults
    examples = list(module.graph.inputs())[1:]
    found: list[Argument] = []
    for one, example in zip(schema.arguments[1:], examples, strict=True):
        kind = example.type()
        is_tensor = str(one.type) in {"Tensor", "Optional[Tensor]"}
        sizes = (kind.sizes() if kind.kind() == "TensorType" else None) or ()
        datatype = _TYPES.get(kind.dtype(), "") if sizes else ""
        dims = tuple(sizes) if datatype else ()
        found.append(Argument(one.name, is_tensor, not one.has_default_value(), datatype, dims))
    return found


def _sampled(said: Said, names: set[str]) -> dict[str, Input]:
    """What the user's rows are."""
    if said.samples is None or said.samples.is_dir() or said.samples.suffix in LINES:
        return {}
    arrays = arrays_at(said.samples)
    return {
        name: Input(name, BY_DTYPE[array.dtype.name].name, array.shape[1:])
        for name, array in arrays.items()
        if array.dtype.name in BY_DTYPE and (name in names or name != LABELS)
    }


def last_words(error: Exception) -> str:
    """What torch says at last: before that come the script's lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return words(Exception(lines[-1].removeprefix("RuntimeError: "))) if lines else words(error)


@contextmanager
def quiet() -> Generator[None]:
    """Without torch's warnings that TorchScript is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
