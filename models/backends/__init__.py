"""The one table from an artefact's suffix to the runtimes that can run it, and where each runs it here."""

import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from models.artifacts import ArtifactError, opening
from models.backends.base import Backend, BackendError, Slot
from models.backends.tame import TameBackend
from models.catalog import Family, Variant
from surroundings.folders import spelled

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """A way of running an artefact: by this runtime, on this device (`cpu`, `cuda`, or `tensorrt` of onnxruntime)."""

    backend: str
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime's row: its adapter is imported when first used (idle runtimes cost nothing), if `package` is there.

    `distributions`: what pip may have installed it and its kernels from; profiles hold for their versions.
    `tame_only`: it takes NaN for a number, so the reference answers what holds any (`models.backends.tame`).
    `any_size`: the endings of artefacts of which it runs rows whose sizes are free; it prepares for each shape of the
    others, or was not tried with it. `has_graphs`: it compiles a graph for some numbers of rows (a slot's `graphs`).
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    package: str
    distributions: tuple[str, ...]
    extra: str = ""
    wants_gpu: bool = False
    tame_only: bool = False
    any_size: tuple[str, ...] = ()
    has_graphs: bool = False


_CUDNN = ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13")

RUNTIMES = (
    Runtime(
        name="onnxruntime",
        suffixes=(".onnx",),
        module="models.backends.onnx_backend",
        package="onnxruntime",
        distributions=(
            "onnxruntime",
            "onnxruntime-gpu",
            "onnxruntime-ep-nv-tensorrt-rtx-cu13",
            *_CUDNN,
        ),
        any_size=(".onnx",),
    ),
    Runtime(
        name="openvino",
        suffixes=(".onnx",),
        module="models.backends.openvino_backend",
        package="openvino",
        distributions=("openvino",),
        tame_only=True,
        has_graphs=True,
    ),
    Runtime(
        name="torch",
        suffixes=(".onnx", ".pt2"),
        module="models.backends.torch_runtime.backend",
        package="torch",
        distributions=("torch", *_CUDNN),
        extra="torch",
        wants_gpu=True,
        any_size=(".pt2",),
    ),
    Runtime(
        name="tensorrt",
        suffixes=(".onnx",),
        module="models.backends.tensorrt_backend",
        package="tensorrt",
        distributions=(
            "tensorrt",
            "tensorrt-cu12",
            "tensorrt-cu13",
            "tensorrt-lean",
            "tensorrt-rtx",
            "tensorrt-rtx-cu13-libs",
        ),
        extra="tensorrt",
        wants_gpu=True,
        tame_only=True,
    ),
    Runtime(
        name="scripted",
        suffixes=(".scripted",),
        module="models.backends.scripted",
        package="models",
        distributions=(),
        any_size=(".scripted",),
    ),
)
"""In the order of preference where several fit and nothing was measured yet. `extra` is what pip installs it with."""

_PREPARES_SHAPES = frozenset({Way("onnxruntime", "tensorrt"), Way("torch", "cuda")})
"""Ways that take seconds for each new shape, or keep memory for one."""
_REFERENCES = {".onnx": Way("onnxruntime"), ".pt2": Way("torch")}
"""Suffix of an artefact -> the way whose answers are the model's; what answers by a script has none."""

LAST_RESORT = frozenset({Way("torch", "cpu")})
"""Not tried unless named, or alone in fitting: on a CPU torch takes two to five times as long as the others
(`scripts/gpu_check.sh --cpu` measures them) and costs every start seconds and hundreds of megabytes."""


def ways(variant: Variant, only: Sequence[str] = (), *, any_size: bool = False) -> tuple[Way, ...]:
    """Every way of running `variant` here that computes in its precision; where there is none, the first that emulates.

    `only` names the runtimes that may be used; empty: all that are installed, but for LAST_RESORT where others will do.
    `any_size`: only those that run rows of any size.
    """
    found = [
        (Way(runtime.name, device), is_native)
        for runtime in _tried(variant, only)
        for device, is_native in _devices(runtime, variant.precision)
        if not any_size or _takes_any_size(runtime, device, variant)
    ]
    if not only:
        found = [row for row in found if row[0] not in LAST_RESORT] or found
    native = tuple(way for way, is_native in found if is_native)
    return native or tuple(way for way, _ in found[:1])


def open_backend(  # noqa: PLR0913 - three say what, three how
    folder: Path,
    family: Family,
    variant: Variant,
    *,
    threads: int,
    way: Way | None = None,
    instances: int = 1,
    graphs: Sequence[int] = (),
    keeps: bool = False,
) -> Backend:
    """Load `variant` from the family's `folder`, checked against the signature; by default in the first of its ways.

    `threads` are the intra-op threads of one run, `instances` how many runs go on at a time, `graphs` and `keeps` a
    slot's. Raises BackendError where the artefact is missing or cannot be loaded, no such runtime is known or
    installed, or it would run elsewhere.
    """
    path = folder / variant.artifact
    if not path.is_file():
        raise BackendError(
            f"artefact {path} of variant {variant.name} is missing; publish it again"
        )
    way = way or _first(variant, any_size=family.any_size)
    runtime = next((r for r in _fitting(variant) if r.name == way.backend), None)
    if runtime is None:
        raise _unknown(variant, way.backend)
    module = _imported(runtime, path)
    try:
        with opening(folder, variant), spelled(path) as same:
            opened = module.open_artifact(
                same, family, variant, Slot(threads, instances, way.device, tuple(graphs), keeps)
            )
    except ArtifactError as error:
        raise BackendError(str(error)) from error
    other = reference_way(variant)
    if runtime.tame_only and other is not None and _takes_floats(family):
        return TameBackend(
            opened,
            partial(open_backend, folder, family, variant, threads=threads, way=other),
        )
    return opened


def _takes_floats(family: Family) -> bool:
    return any(spec.is_float for spec in family.inputs)


def reference_way(variant: Variant) -> Way | None:
    """The way that others' answers are compared with; None for artefacts that are no models."""
    return _REFERENCES.get(Path(variant.artifact).suffix)


def no_way(variant: Variant, only: Sequence[str] = ()) -> str:
    """Why `ways` has none for the variant, and what would have."""
    what = f"{variant.artifact} of {variant.name}"
    fitting = [r.name for r in _fitting(variant)]
    if not fitting:
        known = " or ".join(f"*{suffix}" for suffix in _REFERENCES)
        return f"no runtime takes {what}; artefacts are {known} (`torch.export.save`): export it as one of them"
    allowed = ", ".join(only) or "any"
    return (
        f"no runtime that is installed and allowed (key `backends`: {allowed}) runs {what} here; "
        f"what takes such files: {', '.join(fitting)}"
    )


def is_usable(backend: str) -> bool:
    """Whether the runtime of this name is installed here and can be imported."""
    return any(r.name == backend and _usable(r) is not None for r in RUNTIMES)


def has_graphs(backend: str) -> bool:
    """Whether what an arm of this runtime costs follows from a slot's `graphs`."""
    return any(r.name == backend and r.has_graphs for r in RUNTIMES)


def missing(variant: Variant) -> tuple[Runtime, ...]:
    """The runtimes that could run this artefact but are not installed."""
    return tuple(r for r in _fitting(variant) if not is_installed(r))


def require(package: str, *, extra: str = "") -> None:
    """Import a library that there is no doing without. Raises BackendError, in one line, where that goes wrong.

    `extra`: what pip installs it with, if it does not come with the rest.
    """
    try:
        importlib.import_module(package)
    except (Exception, SystemExit) as error:
        how = f"it with `pip install 'gearshift[{extra}]'`" if extra else "it anew"
        raise BackendError(
            f"this needs {package}, which cannot be imported ({_said(error)}); install {how}"
        ) from error


@cache
def is_installed(runtime: Runtime) -> bool:
    """Whether the runtime's package is there; it is not imported."""
    try:
        return find_spec(runtime.package) is not None
    except Exception as error:  # noqa: BLE001 - a damaged installation raises anything, and costs the others nothing
        _leave_out(runtime.name, f"cannot be looked for ({_said(error)})")
        return False


def _first(variant: Variant, *, any_size: bool) -> Way:
    found = ways(variant, any_size=any_size)
    if not found:
        raise _unknown(variant, "")
    return found[0]


def _tried(variant: Variant, only: Sequence[str]) -> list[Runtime]:
    """The runtimes to ask, without importing the others: those for a GPU only where there is one, or nothing else."""
    fitting = [r for r in _fitting(variant) if not only or r.name in only]
    if only or Path("/dev/nvidiactl").exists():
        return fitting
    return [r for r in fitting if not r.wants_gpu] or fitting


def _takes_any_size(runtime: Runtime, device: str, variant: Variant) -> bool:
    return (
        variant.artifact.endswith(runtime.any_size)
        and Way(runtime.name, device) not in _PREPARES_SHAPES
    )


def _fitting(variant: Variant) -> list[Runtime]:
    return [r for r in RUNTIMES if variant.artifact.endswith(r.suffixes)]


@cache
def _usable(runtime: Runtime) -> ModuleType | None:
    """The runtime's adapter; None where it is not installed, or its installation is broken (said once)."""
    if not is_installed(runtime):
        return None
    try:
        return importlib.import_module(runtime.module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an import runs the library's own code, which raises anything
        _leave_out(runtime.name, f"is installed but cannot be imported ({_said(error)})")
        return None


def _devices(runtime: Runtime, precision: str) -> list[tuple[str, bool]]:
    """Each device that the runtime has here, and whether it computes natively in this precision there."""
    module = _usable(runtime)
    if module is None:
        return []
    try:
        return [(device, bool(module.native(precision, device))) for device in module.devices()]
    except Exception as error:  # noqa: BLE001 - a driver that does not answer raises anything
        _leave_out(runtime.name, f"does not say what it can do here ({_said(error)})")
        return []


@cache
def _leave_out(runtime: str, why: str) -> None:
    """Said once for each runtime and reason."""
    _log.warning("runtime %s %s; going on without it", runtime, why)


def _said(error: BaseException) -> str:
    """An error of somebody else's in one line; the type where it is none of importing or has no words."""
    text = " ".join(str(error).split())
    return text if text and isinstance(error, ImportError) else f"{type(error).__name__}: {text}"


def _imported(runtime: Runtime, path: Path) -> ModuleType:
    try:
        return importlib.import_module(runtime.module)
    except (Exception, SystemExit) as error:
        extra = f"; install it with `pip install 'gearshift[{runtime.extra}]'`" * bool(
            runtime.extra
        )
        raise BackendError(
            f"artefact {path} needs the runtime {runtime.name}, which cannot be imported: {_said(error)}{extra}"
        ) from error


def _unknown(variant: Variant, backend: str) -> BackendError:
    known = ", ".join(f"{r.name} (*{', *'.join(r.suffixes)})" for r in RUNTIMES)
    return BackendError(
        f"no backend {backend!r} for artefact {variant.artifact} of variant {variant.name}; known: {known}"
    )
