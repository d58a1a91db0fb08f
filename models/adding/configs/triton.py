"""What lies beside graphs in other servers' repositories: Triton's config.pbtxt, MLServer's model-settings.json."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from models.adding.configs.pbtxt import Fields, message, messages, numbers, read_fields, word
from models.artifacts import ArtifactError
from models.build.errors import BuildError
from models.labels import read_labels
from surroundings.documents import text_at

CONFIG = "config.pbtxt"
"""Of a model in a Triton repository; it may be missing, as Triton allows."""
SETTINGS = "model-settings.json"
"""Of a model of MLServer's."""
_READ = {
    "name",
    "max_batch_size",
    "input",
    "output",
    "default_model_filename",
    "platform",
    "backend",
    "parameters",
    "metric_tags",
}
"""What is read, or says nothing of how the model is run."""
_RUNS = {"", "onnxruntime", "onnxruntime_onnx", "pytorch", "pytorch_libtorch"}


@dataclass(frozen=True, slots=True)
class Stated:
    """An input or output as a config states it: the protocol's datatype, or ""; dimensions, -1 where free."""

    datatype: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a config says that is of use here. `max_batch` is 0 where a request is a whole batch, whose dimensions count
    rows too. `labels`: a file beside it; `file`: the model's name in a version's folder, "" where it is the usual."""

    path: Path
    name: str = ""
    max_batch: int = 0
    inputs: Mapping[str, Stated] = field(default_factory=dict[str, Stated])
    outputs: Mapping[str, Stated] = field(default_factory=dict[str, Stated])
    labels: Path | None = None
    file: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names; none where they cannot be read, which is said where they are taken."""
        try:
            return () if self.labels is None else read_labels(self.labels)
        except ArtifactError:
            return ()

    def behind_rows(self, stated: Stated) -> tuple[int, ...]:
        """The dimensions behind the rows."""
        return stated.dims if self.max_batch else stated.dims[1:]


def read_config(folder: Path) -> ModelConfig | None:
    """The config of the model in `folder`; None where there is none.

    Raises BuildError where it is broken, or of a model that is no graph.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    fields = read_fields(path)
    _refuse_others(path, fields)
    most = numbers(fields, "max_batch_size")
    labels = [word(one, "label_filename") for one in messages(fields, "output")]
    file = word(fields, "default_model_filename")
    for name in (file, *labels):
        if name and Path(name).name != name:
            raise BuildError(f"{path}: {name!r} must be a file's name, without a folder")
    return ModelConfig(
        path,
        name=word(fields, "name"),
        max_batch=max(0, most[-1]) if most else 0,
        inputs=_stated(fields, "input"),
        outputs=_stated(fields, "output"),
        labels=next((folder / name for name in labels if name), None),
        file=file,
        remarks=tuple(_left(fields)),
    )


def settings_name(folder: Path) -> str:
    """The name that MLServer's settings give the model in `folder`; empty where none. Raises BuildError."""
    name = _settings(folder).get("name")
    return name if isinstance(name, str) else ""


def settings_file(folder: Path) -> Path | None:
    """The file in `folder` that MLServer's settings name for the model; None where none. Raises BuildError."""
    parameters = _settings(folder).get("parameters")
    uri = cast("dict[str, Any]", parameters).get("uri") if isinstance(parameters, dict) else None
    name = uri.removeprefix("./") if isinstance(uri, str) else ""
    return folder / name if name in {p.name for p in folder.iterdir() if p.is_file()} else None


def _settings(folder: Path) -> dict[str, Any]:
    """What MLServer's settings say; empty where there are none. Raises BuildError."""
    path = folder / SETTINGS
    if not path.is_file():
        return {}
    try:
        found: object = json.loads(text_at(path))
    except json.JSONDecodeError as error:
        raise BuildError(
            f"{path}, line {error.lineno}, column {error.colno}: {error.msg}; correct it, or name the graph itself"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BuildError(f"{path} cannot be read: {error}; or name the graph itself") from error
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _refuse_others(path: Path, fields: Fields) -> None:
    runs = word(fields, "backend") or word(fields, "platform")
    if "ensemble_scheduling" in fields or runs == "ensemble":
        steps = messages(message(fields, "ensemble_scheduling"), "step")
        names = ", ".join(dict.fromkeys(word(step, "model_name") for step in steps))
        raise BuildError(
            f"{path}: an ensemble{f' of {names}' if names else ''}, which is no graph of its own; add its models one "
            "by one, and call them in turn"
        )
    if runs == "python":
        raise BuildError(
            f'{path}: backend "python" runs a program (model.py), which is not run here; export what it computes to '
            "ONNX and add that"
        )


def _left(fields: Fields) -> Iterator[str]:
    """One line on what is said and not taken."""
    names = [name for name in fields if name not in _READ]
    runs = word(fields, "backend") or word(fields, "platform")
    if runs not in _RUNS:
        names.append(f'{"backend" if word(fields, "backend") else "platform"} "{runs}"')
    if names:
        yield (
            f"{CONFIG}: {', '.join(names)} not taken: runtimes are measured, how many batches run and when is the "
            "policy's, and the newest version is served"
        )


def _stated(fields: Fields, name: str) -> dict[str, Stated]:
    found: dict[str, Stated] = {}
    for one in messages(fields, name):
        dims = numbers(one, "dims")
        if dims is not None and "reshape" not in one:
            datatype = word(one, "data_type").removeprefix("TYPE_")
            found[word(one, "name")] = Stated(datatype, tuple(dims))
    return found
