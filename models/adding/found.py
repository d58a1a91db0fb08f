"""Which models a path holds, and what each is called: a file, a folder with one, a Triton or KServe repository."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.adding.archives import TORCH
from models.artifacts import is_plain_name
from models.build.errors import BuildError

GRAPH = ".onnx"
CONFIG = "config.pbtxt"
"""Of a model in a Triton repository; it may be missing, as Triton allows."""
_USUAL = ("model.onnx", "onnx/model.onnx")
"""Where a folder with several graphs keeps the one that is meant, as exports of Hugging Face do."""
_PICKLED = {".pkl", ".pickle", ".joblib", ".sav"}
_SERVED = (GRAPH, ".pt2", ".pt")
"""Endings of what a folder is looked through for, the first that is there; Triton calls a TorchScript model.pt."""
_LISTED = 5
"""So many files are named in a message."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model's file, and the name for its family; `remarks`: what lay beside it and was not looked at."""

    name: str
    graph: Path
    remarks: tuple[str, ...] = ()


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
        return [_triton_model(p) for p in below]
    return [FoundModel(plain_name(path.resolve().name), _sole_graph(path))]


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
    return (folder / CONFIG).is_file() or bool(_versions(folder))


def _versions(folder: Path) -> list[Path]:
    """The models in its numbered folders, the newest first; one of each."""
    numbered = sorted(
        (p for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()),
        key=lambda p: -int(p.name),
    )
    found = [[p / f"model{e}" for e in _SERVED if (p / f"model{e}").is_file()] for p in numbered]
    return [files[0] for files in found if files]


def _triton_model(folder: Path) -> FoundModel:
    versions = _versions(folder)
    if not versions:
        raise BuildError(
            f"{folder} has a {CONFIG} but no 1/model{GRAPH}, .pt2 or .pt; only such models of a Triton repository can "
            "be added"
        )
    remarks = []
    if (folder / CONFIG).is_file():
        remarks.append(
            f"{CONFIG} was not read: the model says what it takes, the policy how to batch"
        )
    if len(versions) > 1:
        remarks.append(
            f"version {versions[0].parent.name} of {len(versions)} was taken, the newest"
        )
    name = plain_name(folder.resolve().name)
    return FoundModel(name, versions[0], tuple(remarks))
