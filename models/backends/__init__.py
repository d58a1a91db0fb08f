"""The one table from an artefact's suffix to the runtimes that can run it."""

import importlib
from pathlib import Path
from types import ModuleType

from models.backends.base import Backend, BackendError
from models.catalog import Family, Variant

AUTO = "auto"
"""Let the suffix choose: the first row of the table that fits."""

_BACKENDS = (
    (".onnx", "onnxruntime", "models.backends.onnx_backend"),
    (".scripted", "scripted", "models.backends.scripted"),
)
"""(suffix, backend, module). A module is imported when first used: idle runtimes cost nothing."""


def open_backend(
    folder: Path, family: Family, variant: Variant, *, threads: int, backend: str = AUTO
) -> Backend:
    """Load `variant` from the family's `folder`, checked against the signature.

    `threads` are the intra-op threads of one run. Raises BackendError where the artefact is
    missing, damaged or foreign, or no such runtime is known.
    """
    path = folder / variant.artifact
    if not path.is_file():
        raise BackendError(
            f"artefact {path} of variant {variant.name} is missing; run `gearshift models build`"
        )
    module = _import(backend_name(variant, backend), path)
    return module.open_artifact(path, family, variant, threads)


def backend_name(variant: Variant, backend: str = AUTO) -> str:
    """The runtime that `open_backend` would use. Raises BackendError where none fits."""
    fitting = [name for suffix, name, _ in _BACKENDS if variant.artifact.endswith(suffix)]
    if backend == AUTO and fitting:
        return fitting[0]
    if backend in fitting:
        return backend
    known = ", ".join(f"{name} (*{suffix})" for suffix, name, _ in _BACKENDS)
    raise BackendError(
        f"no backend {backend!r} for artefact {variant.artifact} of variant {variant.name}; "
        f"known: {known}"
    )


def _import(name: str, path: Path) -> ModuleType:
    module = next(module for _, known, module in _BACKENDS if known == name)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendError(
            f"artefact {path} needs the runtime {name}, which is not installed: {error}"
        ) from error
