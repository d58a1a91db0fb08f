"""What clients may send and runtimes take for something else: NaN, infinities, numbers beyond FP32's 24 bits."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.backends import RUNTIMES, Way, is_installed, open_backend
from models.backends.base import Backend, BackendError, Refused
from profiler.measuring.conformance import Conformance
from profiler.measuring.rows import sample_rows
from tests.support import zoo
from tests.support.sessions import plain

OPENVINO = next(r for r in RUNTIMES if r.name == "openvino")
pytestmark = pytest.mark.skipif(not is_installed(OPENVINO), reason="openvino is not installed")

ONE = "g (float[N,6] x) => ({}[N,6] y) "
BODIES = {
    "relu": ("float", "y = Relu(x)"),
    "clip": (
        "float",
        "a = Constant<value=float{-1.0}>() b = Constant<value=float{1.0}>() y = Clip(x, a, b)",
    ),
    "exp": ("float", "y = Exp(x)"),
    "greater": ("bool", "z = Constant<value=float{0.0}>() y = Greater(x, z)"),
    "truth": ("bool", "y = Cast<to=9>(x)"),
}


@pytest.fixture
def arm(tmp_path: Path) -> Callable[[str], tuple[Backend, Path]]:
    """A vetted OpenVINO arm of this graph, and its file. Raises BackendError."""

    def opened(text: str) -> tuple[Backend, Path]:
        folder = tmp_path / "odd"
        family = zoo.write(zoo.Exhibit("odd", zoo.graph(text)), folder)
        variant, way = family.variants[0], Way("openvino")
        backend = open_backend(folder, family, variant, threads=1, way=way)
        Conformance(folder, family, sample_rows(folder, family)).vet(backend, variant, way)
        return backend, folder / "only.onnx"

    return opened


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38])
def test_numbers_that_are_none_are_answered_as_the_reference_answers_them(
    name: str, odd: float, arm: Callable[[str], tuple[Backend, Path]]
):
    word, body = BODIES[name]
    backend, path = arm(ONE.format(word) + f"{{ {body} }}")
    x = np.array([[0.5, -1, odd, 2, 0, 1], [1, 2, 3, 4, 5, 6]], np.float32)

    for rows in (x, x[:1], x[1:]):
        mine, theirs = backend.run({"x": rows})["y"], plain(path, {"x": rows})["y"]
        np.testing.assert_allclose(mine, theirs, 1e-5)
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.run({"x": x[1:]})


def test_many_threads_may_send_them_first(arm: Callable[[str], tuple[Backend, Path]]):
    backend, _ = arm(ONE.format("float") + "{ y = Relu(x) }")
    x, found = np.full((1, 6), np.nan, np.float32), list[bool]()

    def run() -> None:
        found.append(bool(np.isnan(backend.run({"x": x})["y"]).all()))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [True] * 8


@pytest.mark.parametrize("sides", ["x, c", "c, x"])
@pytest.mark.parametrize("operator", ["Equal", "Greater", "Less", "LessOrEqual"])
def test_comparisons_of_whole_numbers_in_floats_are_refused(
    operator: str, sides: str, arm: Callable[[str], tuple[Backend, Path]]
):
    """123456788 and 123456789 are one number in FP32."""
    body = f"c = Constant<value=int32[1] {{123456789}}>() y = {operator}({sides})"

    with pytest.raises(Refused, match="computes INT32 in FP32"):
        arm(f"g (int32[N,6] x) => (bool[N,6] y) {{ {body} }}")


def test_powers_of_whole_numbers_in_floats_are_refused(
    arm: Callable[[str], tuple[Backend, Path]],
):
    with pytest.raises(Refused, match="computes INT32 in FP32"):
        arm("g (int32[N,4] x, int32[N,4] k) => (int32[N,4] y) { y = Pow(x, k) }")


@pytest.mark.parametrize("width", [1, 6])
def test_a_function_that_is_coarse_near_zero_is_refused(
    width: int, arm: Callable[[str], tuple[Backend, Path]]
):
    with pytest.raises(Refused, match="its answers are not the reference's"):
        arm(f"g (float[N,{width}] x) => (float[N,{width}] y) {{ y = Erf(x) }}")
