"""The TensorRT backend over its stand-in, with a cache folder of its own."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models import backends
from tests.support.tensorrt_stand_in import HostStream, StandIn

_MODULES = ("tensorrt", "models.backends.tensorrt_engine", "models.backends.tensorrt_backend")


@pytest.fixture
def install_tensorrt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[StandIn], StandIn]]:
    """Makes a stand-in the installed TensorRT, as a new process would find it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = {name: sys.modules.get(name) for name in _MODULES}

    def install(stand_in: StandIn) -> StandIn:
        _replace({**dict.fromkeys(_MODULES), "tensorrt": stand_in})
        backend = importlib.import_module("models.backends.tensorrt_backend")
        monkeypatch.setattr(backend, "devices", lambda: ("cuda",))
        monkeypatch.setattr(backend, "gpu", lambda: ("Stand-in", (9, 0)))
        monkeypatch.setattr(backend, "open_stream", HostStream)
        return stand_in

    yield install
    _replace(before)


@pytest.fixture
def tensorrt_stand_in(install_tensorrt: Callable[[StandIn], StandIn]) -> StandIn:
    return install_tensorrt(StandIn())


def _replace(modules: dict[str, object]) -> None:
    for name, module in modules.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module  # pyright: ignore[reportArgumentType]
    backends.is_installed.cache_clear()
    backends._usable.cache_clear()  # noqa: SLF001 - what is installed has changed
