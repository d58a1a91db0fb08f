"""What every backend owes its callers. A new backend adds one parameter."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.backends import RUNTIMES, Way, is_installed, open_backend, ways
from models.backends.base import Backend, BackendError
from models.backends.scripted import Script
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


@pytest.fixture(params=kinds())
def kind(request: pytest.FixtureRequest) -> Kind:
    return ready(request)


@pytest.fixture(params=kinds(".onnx"))
def way(request: pytest.FixtureRequest) -> Way:
    """Of running a graph."""
    return ready(request).way


def ready(request: pytest.FixtureRequest) -> Kind:
    found = EVERY_KIND[request.param]
    if found.fixture:
        request.getfixturevalue(found.fixture)
    need(found.way, found.suffix)
    return found


@pytest.fixture
def backend(kind: Kind, tmp_path: Path) -> Backend:
    kind.write(tmp_path / f"tiny{kind.suffix}")
    return opened(tmp_path, kind.suffix, kind.way, instances=2)


def test_outputs_have_the_familys_names_types_and_shapes(backend: Backend):
    answer = backend.run({"x": some_rows()})

    assert {name: (a.shape, a.dtype.name) for name, a in answer.items()} == {
        "scores": ((ROWS, CLASSES), "float32"),
        "total": ((ROWS, 1), "float32"),
    }


def test_a_batch_answers_as_each_row_alone(backend: Backend):
    rows = some_rows()

    together = backend.run({"x": rows})
    alone = [backend.run({"x": rows[i : i + 1]}) for i in range(ROWS)]

    for name, values in together.items():
        np.testing.assert_allclose(values, np.concatenate([a[name] for a in alone]), rtol=1e-5)


def test_rows_keep_their_order(backend: Backend):
    rows = some_rows()

    forward, backward = backend.run({"x": rows}), backend.run({"x": rows[::-1].copy()})

    for name, values in forward.items():
        np.testing.assert_allclose(values, backward[name][::-1], rtol=1e-5)
        assert len(np.unique(values.round(6), axis=0)) == ROWS


def test_two_threads_may_run_it_at_once(backend: Backend):
    rows = [some_rows(), 255 - some_rows()]
    alone = [backend.run({"x": r})["scores"] for r in rows]

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda i: backend.run({"x": rows[i % 2]})["scores"], range(200)))

    for i, values in enumerate(together):
        np.testing.assert_allclose(values, alone[i % 2], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 32])
def test_any_number_of_rows_runs(backend: Backend, n: int):
    assert len(backend.run({"x": some_rows(n)})["scores"]) == n


def test_the_batch_may_be_part_of_a_larger_buffer(backend: Backend):
    buffer = some_rows(16)

    part = backend.run({"x": buffer[:4]})

    np.testing.assert_array_equal(part["scores"], backend.run({"x": buffer[:4].copy()})["scores"])


def test_rows_that_may_not_be_written_to_are_run_all_the_same(backend: Backend):
    rows = some_rows()
    received = np.frombuffer(rows.tobytes(), np.uint8).reshape(rows.shape)

    np.testing.assert_array_equal(
        backend.run({"x": received})["scores"], backend.run({"x": rows})["scores"]
    )


def test_an_answer_stays_when_the_next_batch_runs(backend: Backend):
    first = backend.run({"x": some_rows()})
    kept = {name: values.copy() for name, values in first.items()}

    backend.run({"x": 255 - some_rows()})

    for name, values in first.items():
        np.testing.assert_array_equal(values, kept[name])


@pytest.mark.parametrize("names", [(), ("y",), ("x", "y")])
def test_wrong_inputs_are_named(backend: Backend, names: tuple[str, ...]):
    with pytest.raises(BackendError, match="tiny") as caught:
        backend.run({name: some_rows() for name in names})

    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    "wrong", [some_rows().astype(np.float64), some_rows()[:, :-1].copy(), some_rows().ravel()]
)
def test_a_wrong_type_or_shape_is_an_error_and_the_next_batch_runs(
    backend: Backend, wrong: NDArray[np.generic]
):
    with pytest.raises(BackendError, match="tiny"):
        backend.run({"x": wrong})

    assert len(backend.run({"x": some_rows()})["scores"]) == ROWS


def test_close_may_be_called_twice_and_ends_it(backend: Backend):
    backend.close()
    backend.close()

    with pytest.raises(BackendError, match="closed"):
        backend.run({"x": some_rows()})


@pytest.mark.parametrize("content", [b"\x00\xff garbage", b"key = [", b"key = 1"])
def test_a_corrupt_artefact_is_named(kind: Kind, tmp_path: Path, content: bytes):
    path = tmp_path / f"tiny{kind.suffix}"
    path.write_bytes(content)

    with pytest.raises(BackendError, match=str(path)):
        opened(tmp_path, kind.suffix, kind.way)


def test_a_missing_artefact_is_named(kind: Kind, tmp_path: Path):
    with pytest.raises(BackendError, match=f"tiny{kind.suffix} .*missing"):
        opened(tmp_path, kind.suffix, kind.way)


def test_a_graph_with_other_names_is_refused(tmp_path: Path, way: Way):
    write_onnx(tmp_path / "tiny.onnx", name="pixels")

    with pytest.raises(BackendError, match="pixels"):
        opened(tmp_path, ".onnx", way)


def test_a_graph_with_a_fixed_batch_is_refused(tmp_path: Path, way: Way):
    write_onnx(tmp_path / "tiny.onnx", rows=4)

    with pytest.raises(BackendError, match="rows of any number"):
        opened(tmp_path, ".onnx", way)


def test_a_device_that_is_not_there_is_refused(tmp_path: Path, way: Way):
    write_onnx(tmp_path / "tiny.onnx")

    with pytest.raises(BackendError, match="no such device"):
        opened(tmp_path, ".onnx", replace(way, device="abacus"))


def test_a_provider_that_is_not_built_in_is_refused_rather_than_replaced(tmp_path: Path):
    write_onnx(tmp_path / "tiny.onnx")

    if Way("onnxruntime", "cuda") in ways(a_variant(".onnx")):
        pytest.skip("this onnxruntime has the CUDA provider and a GPU for it")
    with pytest.raises(BackendError, match=r"CUDAExecutionProvider.*gearshift\[gpu\]"):
        opened(tmp_path, ".onnx", Way("onnxruntime", "cuda"))


def test_a_variant_is_run_where_its_precision_is_computed():
    need(Way("openvino"))

    tried = {way.backend for way in ways(replace(a_variant(".onnx"), precision="int8"))}

    assert {"onnxruntime", "openvino"} <= tried


def test_a_precision_that_nothing_here_computes_is_emulated_once():
    assert len(ways(replace(a_variant(".onnx"), precision="float4"))) == 1


def test_only_the_runtimes_named_are_used():
    need(Way("openvino"))

    assert {way.backend for way in ways(a_variant(".onnx"), ["openvino"])} == {"openvino"}


def test_a_suffix_without_a_runtime_is_refused(tmp_path: Path):
    (tmp_path / "tiny.exe").touch()

    with pytest.raises(BackendError, match="known: onnxruntime"):
        opened(tmp_path, ".exe")


def test_a_script_fails_on_the_run_it_names_and_on_no_other(tmp_path: Path):
    (tmp_path / "tiny.scripted").write_text("fail_on_run = 2\n")
    backend = opened(tmp_path, ".scripted")
    backend.run({"x": some_rows()})

    with pytest.raises(BackendError, match="run 2"):
        backend.run({"x": some_rows()})

    assert len(backend.run({"x": some_rows()})["scores"]) == ROWS


def test_a_script_fails_on_a_marked_row_only(tmp_path: Path):
    (tmp_path / "tiny.scripted").write_text("fail_marker = 7\n")
    backend = opened(tmp_path, ".scripted")
    marked = np.zeros((2, WIDTH), np.uint8)
    marked[1, 0] = 7

    with pytest.raises(BackendError, match="begins with 7"):
        backend.run({"x": marked})

    assert len(backend.run({"x": marked[:1]})["scores"]) == 1


def test_a_script_fails_over_a_range_of_runs(tmp_path: Path):
    (tmp_path / "tiny.scripted").write_text("fail_from_run = 2\nfail_until_run = 4\n")
    backend = opened(tmp_path, ".scripted")

    assert [_runs(backend) for _ in range(5)] == [True, False, False, True, True]


def test_a_script_is_ill_only_while_its_file_exists(tmp_path: Path):
    flag = tmp_path / "ill"
    (tmp_path / "tiny.scripted").write_text(f'fail_from_run = 1\nonly_while = "{flag}"\n')
    backend = opened(tmp_path, ".scripted")

    before = _runs(backend)
    flag.touch()
    meanwhile = _runs(backend)
    flag.unlink()

    assert (before, meanwhile, _runs(backend)) == (True, False, True)


def test_a_script_slows_and_hangs_as_told():
    script = Script(0.01, 0.001, slow_from_run=2, slow_until_run=3, hang_on_run=4, hang_s=5.0)

    took_s = [script.takes_s(10, run) for run in (1, 2, 3, 4, 5)]

    assert took_s == pytest.approx([0.02, 0.2, 0.02, 5.02, 0.02])


@pytest.mark.parametrize(
    "line",
    ["fail_from_run = 0", "hang_s = -1", 'fixed_s = "1"', "slow_from_run = 1.5", "only_while = 1"],
)
def test_a_script_of_no_use_is_refused_by_key(tmp_path: Path, line: str):
    (tmp_path / "tiny.scripted").write_text(line)

    with pytest.raises(BackendError, match=f"{line.split(maxsplit=1)[0]} = .*; write TOML"):
        opened(tmp_path, ".scripted")


def _runs(backend: Backend) -> bool:
    try:
        backend.run({"x": some_rows()})
    except BackendError:
        return False
    return True
