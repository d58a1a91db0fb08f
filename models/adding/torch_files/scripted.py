"""What a TorchScript module takes: the names are its own, sizes and datatypes somebody has to say.

They are looked for in what the user says, in the user's rows, and in the example that the script was traced with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.adding.found import plain_name
from models.adding.reading import Input, Said
from models.build.errors import BuildError


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of forward; the datatype and all dimensions of the example that it was traced with, if any."""

    name: str
    is_tensor: bool
    is_needed: bool
    datatype: str = ""
    dims: tuple[int, ...] = ()


def inputs_of(
    path: Path, arguments: Sequence[Argument], said: Said, sampled: Mapping[str, Input]
) -> tuple[list[Input], str]:
    """(the inputs, in order; a remark where they are those of the example). `sampled`: what the user's rows are.

    Raises BuildError, saying what to give.
    """
    _check_arguments(path, arguments, {*said.shapes, *sampled})
    inputs: list[Input] = []
    traced: list[str] = []
    missing: list[str] = []
    for one in arguments:
        if (stated := _stated(one.name, len(inputs), said, sampled)) is not None:
            inputs.append(stated)
        elif one.dims:
            inputs.append(Input(one.name, one.datatype, one.dims[1:]))
            traced.append(f"{one.name}={one.datatype}:{','.join(map(str, one.dims[1:]))}")
        elif one.is_needed:
            missing.append(one.name)
    if missing:
        raise BuildError(_what_to_give(path, missing))
    if not inputs:
        raise BuildError(f"{path} takes no input; there is nothing to serve")
    example = f"inputs are as in the example that it was traced with, {' '.join(traced)}; --shape says others"
    return inputs, example * bool(traced)


def _stated(name: str, place: int, said: Said, sampled: Mapping[str, Input]) -> Input | None:
    """As the user says, as the user's rows are, or as the config beside the model states it; a text is the name of a
    free size."""
    if name not in said.shapes:
        return sampled.get(name) or _of_config(name, place, said.config)
    dims = said.shapes[name]
    sizes = tuple(plain_name(d) for d in dims if isinstance(d, str))
    numbers = tuple(d if isinstance(d, int) else -1 for d in dims)
    return Input(name, said.datatypes.get(name, "FP32"), numbers, sizes)


def _of_config(name: str, place: int, config: Mapping[str, Input]) -> Input | None:
    """As a config states it, by name or, as Triton calls inputs of scripts, by place: INPUT__0."""
    places = (i for n, i in config.items() if n.rpartition("__")[2] == str(place) and "__" in n)
    found = config.get(name) or next(places, None)
    return None if found is None else replace(found, name=name)


def _check_arguments(path: Path, arguments: Sequence[Argument], said: set[str]) -> None:
    takes = [one.name for one in arguments if one.is_tensor]
    if unknown := sorted(said - {*takes}):
        raise BuildError(f"{path} has no input {unknown[0]!r}; it has {', '.join(takes)}")
    if odd := [one.name for one in arguments if one.is_needed and not one.is_tensor]:
        raise BuildError(
            f"{path}: its forward takes {odd[0]!r}, which is no tensor; script a module whose forward takes "
            "tensors alone"
        )


def _what_to_give(path: Path, missing: Sequence[str]) -> str:
    flags = " ".join(f"--shape {name}=N,N" for name in missing)
    arrays = " and ".join(repr(name) for name in missing)
    first = missing[0]
    return (
        f"{path}: a script does not say what it takes; say the sizes behind the rows with {flags} (FP32, or "
        f"{first}=INT64:N; {first}=INT64:tokens leaves a size free), or give rows: --samples FILE.npz with {arrays}"
    )
