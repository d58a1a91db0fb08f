"""Which models a path holds, and what each is called: a file, a folder with one, a Triton or KServe repository."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.adding.archives import TORCH
from models.adding.configs.triton import (
    CONFIG,
    SETTINGS,
    ModelConfig,
    read_config,
    settings_file,
    settings_name,
)
from models.artifacts import is_plain_name
from models.build.errors import BuildError

GRAPH = ".onnx"
_USUAL = ("model.onnx", "onnx/model.onnx")
"""Where a folder with several graphs keeps the one that is meant, as exports of Hugging Face do."""
_PICKLED = {".pkl", ".pickle", ".joblib", ".sav"}
_SERVED = (GRAPH, ".pt2", ".pt")
"""Endings of what a folder is looked through for, the first that is there; Triton calls a TorchScript model.pt."""
_MODELS = tuple(f"model{ending}" for ending in _SERVED)
_LISTED = 5
"""So many files are named in a message."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model's file, and the name for its family; `remarks`: what lay beside it and was not looked at.

    `config`: what its repository says of it. `refusal`: why it cannot be added, where it is one of several.
    """

    name: str
    graph: Path
    remarks: tuple[str, ...] = ()
    config: ModelConfig | None = None
    refusal: str = ""


def models_in(path: Path) -> Sequence[FoundModel]:
    """The models at `path`, at least one. Nothing is loaded. Raises BuildError."""
    if path.is_file():
        return [FoundModel(plain_name(path.stem), _graph(path))]
    if not path.is_dir():
        raise BuildError(
            f"{path} is not there; name an ONNX or .pt2 file, or a folder that holds one"
        )
    if _is_triton_model(path):
        return [_triton_model(path)]
    if below := [p for p in sorted(path.iterdir()) if p.is_dir() and _is_triton_model(p)]:
        return [_one_of_several(p) for p in below] if below[1:] else [_triton_model(below[0])]
    return [FoundModel(_name(path), _sole_graph(path))]


def is_model(path: Path) -> bool:
    """Whether `path` looks like a model rather than a text: a folder, or a file that is named as one."""
    return path.is_dir() or path.suffix.lower() in {GRAPH, *_PICKLED, *TORCH}


def plain_name(text: str) -> str:
    """`text` as a family may be called: what is no letter, digit, `_`, `.` or `-` becomes `_`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "_" for c in text)
    kept = kept.lstrip(".-")
    return kept if is_plain_name(kept) else f"_{kept}"


def _graph(path: Path) -> Path:
    """The file, where its name does not say that it is something else."""
    suffix = path.suffix.lower()
    if suffix in _PICKLED:
        raise BuildError(
            f"{path} is a pickle, which would run whatever its maker put in it; it is not opened. Convert it where "
            "you trust it: `pip install skl2onnx`, then `from skl2onnx import to_onnx` and `to_onnx(model, X[:1], "
            'options={"zipmap": False}).SerializeToString()` is the file to add'
        )
    return path


def _sole_graph(folder: Path) -> Path:
    for usual in _USUAL:
        if (folder / usual).is_file():
            return folder / usual
    for ending in _SERVED:
        found = sorted(p for p in folder.rglob(f"*{ending}") if p.is_file())
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(str(p.relative_to(folder)) for p in found[:_LISTED])
            raise BuildError(f"{folder} holds {len(found)} models ({listed}); name the one to add")
    files = sorted(p for p in folder.iterdir() if p.is_file())
    if len(files) == 1:
        return _graph(files[0])
    raise BuildError(
        f"{folder} holds no {GRAPH} or .pt2 file; name a file, or a folder that holds one"
    )


def _is_triton_model(folder: Path) -> bool:
    files = ((folder / name).is_file() for name in (CONFIG, SETTINGS))
    return any(files) or bool(_versions(folder, *_MODELS))


def _versions(folder: Path, *files: str) -> list[Path]:
    """The models in its numbered folders that have one of those names, the first of each, the newest in front."""
    numbered = sorted(
        (p for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()),
        key=lambda p: -int(p.name),
    )
    found = [[p / file for file in files if (p / file).is_file()] for p in numbered]
    return [paths[0] for paths in found if paths]


def _one_of_several(folder: Path) -> FoundModel:
    """What `_triton_model` finds; what is wrong with one keeps none of the others from being added."""
    try:
        return _triton_model(folder)
    except BuildError as error:
        return FoundModel(plain_name(folder.name), folder, refusal=str(error))


def _triton_model(folder: Path) -> FoundModel:
    config = read_config(folder)
    files = (config.file,) if config is not None and config.file else _MODELS
    versions = _versions(folder, *files)
    if config is None and not versions:
        named = settings_file(folder)
        return FoundModel(_name(folder), _graph(named) if named else _sole_graph(folder))
    if not versions:
        raise BuildError(
            f"{folder} has a {CONFIG} but no 1/{files[0]}{', .pt2 or .pt' * (len(files) > 1)}; only such models of a "
            "Triton repository can be added"
        )
    remarks = () if config is None else config.remarks
    if len(versions) > 1:
        taken = f"version {versions[0].parent.name} was taken, the newest of {len(versions)}"
        remarks = (*remarks, taken)
    name = plain_name(config.name) if config is not None and config.name else _name(folder)
    return FoundModel(name, _graph(versions[0]), remarks, config)


def _name(folder: Path) -> str:
    """What a family of the model in `folder` is called: as its settings say, else as the folder."""
    return plain_name(settings_name(folder) or folder.resolve().name)
