"""The family `tiny` in every format that a backend runs, and every way of running it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.backends import RUNTIMES, Way, is_installed, open_backend, ways
from models.backends.base import Backend
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

ROWS, WIDTH, CLASSES = 5, 6, 3
ACCURACY = Accuracy(0.5, "invented")


@dataclass(frozen=True)
class Kind:
    """One backend under test: how its artefact is made, the way it is run, and the fixture it needs, if any."""

    suffix: str
    write: Callable[[Path], None]
    way: Way
    fixture: str = ""


def write_onnx(path: Path, name: str = "x", rows: str | int = "rows", top: int = 255) -> None:
    """uint8 rows -> float -> one dense layer -> softmax, and the row's sum beside it."""
    weights = np.random.default_rng(3).standard_normal((WIDTH, CLASSES)).astype(np.float32) / top
    nodes = [
        helper.make_node("Cast", [name], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["scores"], axis=1),
        helper.make_node("ReduceSum", ["f", "axis"], ["total"], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, [rows, WIDTH])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [rows, CLASSES]),
            helper.make_tensor_value_info("total", TensorProto.FLOAT, [rows, 1]),
        ],
        [
            helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.ravel().tolist()),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def write_program(path: Path) -> None:
    """The same layer as a program of torch.export, with the outputs' names."""
    import torch  # noqa: PLC0415 - not installed everywhere

    weights = np.random.default_rng(3).standard_normal((WIDTH, CLASSES)).astype(np.float32) / 255

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.from_numpy(weights))

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            f = x.float()
            return {"scores": (f @ self.w).softmax(1), "total": f.sum(1, keepdim=True)}

    rows = torch.export.Dim("rows")
    example = torch.zeros(4, WIDTH, dtype=torch.uint8)
    torch.export.save(
        torch.export.export(Layer(), (example,), dynamic_shapes={"x": {0: rows}}), path
    )


def write_script(path: Path) -> None:
    """A script that takes no time."""
    path.write_text("fixed_s = 0.0\nper_row_s = 0.0\n")


KINDS = {
    "onnxruntime": Kind(".onnx", write_onnx, Way("onnxruntime")),
    "openvino": Kind(".onnx", write_onnx, Way("openvino")),
    "torch": Kind(".onnx", write_onnx, Way("torch")),
    "torch-pt2": Kind(".pt2", write_program, Way("torch")),
    "tensorrt-stand-in": Kind(".onnx", write_onnx, Way("tensorrt", "cuda"), "tensorrt_stand_in"),
    "scripted": Kind(".scripted", write_script, Way("scripted")),
}
GPU_KINDS = {
    "onnxruntime-cuda": Kind(".onnx", write_onnx, Way("onnxruntime", "cuda")),
    "onnxruntime-tensorrt": Kind(".onnx", write_onnx, Way("onnxruntime", "tensorrt")),
    "torch-cuda": Kind(".onnx", write_onnx, Way("torch", "cuda")),
    "torch-pt2-cuda": Kind(".pt2", write_program, Way("torch", "cuda")),
    "tensorrt-cuda": Kind(".onnx", write_onnx, Way("tensorrt", "cuda")),
}
EVERY_KIND = {**KINDS, **GPU_KINDS}


def need(way: Way, suffix: str = ".onnx") -> None:
    """Skips the test where this way cannot be gone here, saying why."""
    runtime = next(r for r in RUNTIMES if r.name == way.backend)
    if not is_installed(runtime):
        pytest.skip(f"{runtime.name} is not installed")
    if way not in ways(a_variant(suffix), [way.backend]):
        pytest.skip(f"{runtime.name} here has no device {way.device}")


def a_variant(suffix: str) -> Variant:
    return Variant("tiny", "fp32", f"tiny{suffix}", "", ACCURACY)


def a_family(suffix: str) -> Family:
    return Family(
        name="tiny",
        inputs=(TensorSpec("x", "UINT8", (-1, WIDTH)),),
        outputs=(
            TensorSpec("scores", "FP32", (-1, CLASSES)),
            TensorSpec("total", "FP32", (-1, 1)),
        ),
        variants=(a_variant(suffix),),
        slo=Slo(0.05),
    )


def opened(folder: Path, suffix: str, way: Way | None = None, instances: int = 1) -> Backend:
    family, variant = a_family(suffix), a_variant(suffix)
    return open_backend(folder, family, variant, threads=1, way=way, instances=instances)


def some_rows(n: int = ROWS) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (n, WIDTH), dtype=np.uint8)


def kinds(suffix: str = "") -> list[object]:
    """The kinds of this suffix as parameters, those on a GPU marked so."""
    return [
        pytest.param(name, marks=[pytest.mark.gpu] if name in GPU_KINDS else [])
        for name, kind in EVERY_KIND.items()
        if kind.suffix.startswith(suffix)
    ]


def ready(request: pytest.FixtureRequest) -> Kind:
    found = EVERY_KIND[request.param]
    if found.fixture:
        request.getfixturevalue(found.fixture)
    need(found.way, found.suffix)
    return found
