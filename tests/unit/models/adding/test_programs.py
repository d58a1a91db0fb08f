"""Programs of torch made families: what is read of them, what is tried and what is refused."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch.export import Dim  # noqa: E402

from models.adding.adding import Asked  # noqa: E402
from models.build.errors import BuildError  # noqa: E402
from models.catalog import FreeSize  # noqa: E402
from tests.support.adding import torch_nets as nets  # noqa: E402
from tests.support.adding.families import added, answers, specs  # noqa: E402


class Net(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Any) -> Any:
        return self.function(*given)


def a_program(folder: Path, function: Callable[..., Any], *example: Any, axes: Any) -> Path:
    nets.write_program(folder / "net.pt2", Net(function), example, (tuple(axes),))
    return folder / "net.pt2"


ROWS = {0: nets.rows()}


def test_a_programs_signature_is_read_and_its_answers_are_its_own(tmp_path: Path):
    net = nets.write_pictures(tmp_path / "my net v1.2.pt2")
    x = np.random.default_rng(1).random((5, 3, 16, 16), np.float32)

    family, _ = added(tmp_path / "my net v1.2.pt2")

    assert family.name == "my_net_v1.2"
    assert specs(family.inputs) == [("x", "FP32", (-1, 3, 16, 16))]
    assert specs(family.outputs) == [
        ("class scores", "FP32", (-1, 5)),
        ("features", "FP32", (-1, 8)),
    ]
    assert (family.max_batch, family.variants[0].precision) == (32, "fp32")
    found = answers(family, tmp_path / "models", {"x": x})
    for name, expected in net(torch.from_numpy(x)).items():
        assert found[name] == pytest.approx(expected.detach().numpy(), abs=1e-6)


def test_free_sizes_are_named_and_padded_as_those_of_graphs(tmp_path: Path):
    nets.write_texts(tmp_path / "texts.pt2")

    family, said = added(tmp_path / "texts.pt2")

    assert [t.sizes for t in family.inputs] == [("input_ids_1",), ("input_ids_1",)]
    assert specs(family.outputs) == [
        ("output_0", "FP32", (-1, 3)),
        ("output_1", "FP32", (-1, -1, 16)),
    ]
    assert family.sizes == (FreeSize("input_ids_1", 32, 64),)
    assert family.pads
    assert "padded where that pays" in said


def test_free_sizes_may_be_fixed_within_the_programs_range(tmp_path: Path):
    nets.write_texts(tmp_path / "texts.pt2")
    repository = tmp_path / "models"

    with pytest.raises(BuildError, match="exported for sizes from 1 to 64"):
        added(tmp_path / "texts.pt2", Asked(repository, shapes={"input_ids": (65,)}))
    both = {"input_ids": (20,), "attention_mask": (20,)}
    family, _ = added(tmp_path / "texts.pt2", Asked(repository, shapes=both))

    assert [t.shape for t in family.inputs] == [(-1, 20), (-1, 20)]


@pytest.mark.parametrize(
    ("function", "example", "inputs", "outputs"),
    [
        (lambda x: x + 1, [torch.zeros(2, 3, dtype=torch.int64)], ["INT64"], ["output INT64"]),
        (lambda x: x * 2, [torch.zeros(2, 3, dtype=torch.float64)], ["FP64"], ["output FP64"]),
        (lambda x: x > 0, [torch.zeros(2, 3, dtype=torch.uint8)], ["UINT8"], ["output BOOL"]),
        (
            lambda x, y: (x * y[:, None, None], y),
            [torch.zeros(2, 3, 4), torch.zeros(2)],
            ["FP32", "FP32"],
            ["output_0 FP32", "output_1 FP32"],
        ),
        (
            lambda x: {"a": x, "b": [x[:, 0], None]},
            [torch.zeros(2, 3)],
            ["FP32"],
            ["a FP32", "b_0 FP32"],
        ),
        (lambda x: {1: x.half()}, [torch.zeros(2, 3)], ["FP32"], ["1 FP16"]),
    ],
)
def test_any_datatype_rank_and_structure_is_served(
    tmp_path: Path,
    function: Callable[..., Any],
    example: list[Any],
    inputs: list[str],
    outputs: list[str],
):
    source = a_program(tmp_path, function, *example, axes=[ROWS] * len(example))

    family, _ = added(source)

    assert [t.datatype for t in family.inputs] == inputs
    assert [f"{t.name} {t.datatype}" for t in family.outputs] == outputs
    given = {t.name: np.ones((3, *t.shape[1:]), t.dtype) for t in family.inputs}
    found = answers(family, tmp_path / "models", given)
    leaves = torch.utils._pytree.tree_leaves(  # noqa: SLF001
        function(*map(torch.from_numpy, given.values()))
    )
    for array, leaf in zip(found.values(), leaves, strict=False):
        assert np.array_equal(array, leaf.numpy())


def test_constants_that_it_was_exported_with_are_filled_in(tmp_path: Path):
    source = a_program(
        tmp_path, lambda x, k, flag: x * k if flag else x, torch.zeros(2, 3), 4, True,
        axes=[ROWS, None, None],
    )  # fmt: skip

    family, _ = added(source)

    (spec,) = family.inputs
    found = answers(family, tmp_path / "models", {spec.name: np.ones((2, 3), np.float32)})
    assert found["output"].tolist() == [[4.0] * 3] * 2


@pytest.mark.parametrize(("axis", "most"), [(nets.rows(8), 8), (nets.rows(2), 2), (Dim.AUTO, 32)])
def test_the_largest_batch_is_what_it_was_exported_for(tmp_path: Path, axis: Any, most: int):
    source = a_program(tmp_path, lambda x: x.exp(), torch.zeros(2, 3), axes=[{0: axis}])

    family, _ = added(source)

    assert family.max_batch == most
    for rows in (1, most):
        assert (
            len(
                answers(family, tmp_path / "models", {"given_0": np.ones((rows, 3), "f")})["output"]
            )
            == rows
        )


@pytest.mark.parametrize(
    "function", [lambda x: x.exp(), lambda x: (x > 0).nonzero(), lambda x: x.reshape(1, 3)]
)
def test_one_that_was_exported_for_one_row_takes_one_a_request(
    tmp_path: Path, function: Callable[..., Any]
):
    source = a_program(tmp_path, function, torch.ones(1, 3), axes=[None])

    family, said = added(source)

    assert (family.one_row, family.max_batch) == (True, 1)
    assert "it was exported for one; export the network" in said
    found = answers(family, tmp_path / "models", {"given_0": np.ones((1, 3), "f")})
    assert np.array_equal(found["output"], function(torch.ones(1, 3)).numpy())


@pytest.mark.parametrize(
    ("function", "example", "axes", "why"),
    [
        (lambda x: x, torch.zeros(4, 3), None, "takes 4 rows at a time and no other number"),
        (lambda x: x, torch.zeros(4, 3), {0: Dim("r", min=3, max=9)}, "takes 3 rows at least"),
        (lambda x: x.sum(), torch.zeros(2, 3), ROWS, "a single value without an axis"),
        (lambda x: x, torch.tensor(1.0), None, "no axis of rows"),
        (lambda x: x, torch.zeros(2, 3, dtype=torch.bfloat16), ROWS, "is torch.bfloat16"),
        (lambda x: x.bfloat16(), torch.zeros(2, 3), ROWS, "output 'output' is torch.bfloat16"),
        (lambda x: {1: x, "1": x}, torch.zeros(2, 3), ROWS, "under names of their own"),
        (lambda _: None, torch.zeros(2, 3), ROWS, "returns no tensors"),
    ],
)
def test_what_cannot_be_served_is_refused_and_nothing_is_made(
    tmp_path: Path, function: Callable[..., Any], example: Any, axes: Any, why: str
):
    source = a_program(tmp_path, function, example, axes=[axes])

    with pytest.raises(BuildError) as refused:
        added(source)

    assert why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "models" / "net").exists()


def test_sizes_that_follow_from_others_are_to_be_fixed(tmp_path: Path):
    length = Dim("length", min=2, max=50)
    source = a_program(
        tmp_path,
        lambda x, y: x.sum(1) + y.reshape(y.shape[0], -1, 2).sum((1, 2)),
        torch.zeros(2, 9),
        torch.zeros(2, 18),
        axes=[{**ROWS, 1: length}, {**ROWS, 1: 2 * length}],
    )
    shapes = {"given_0": (8,), "given_1": (16,)}

    with pytest.raises(BuildError, match=r"reckoned from another \(2\*s\d+\); fix it"):
        added(source)
    family, _ = added(source, Asked(tmp_path / "models", shapes=shapes))

    assert [t.shape for t in family.inputs] == [(-1, 8), (-1, 16)]


@pytest.mark.parametrize("layer", [torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)])
def test_one_that_was_exported_to_be_trained_is_refused(tmp_path: Path, layer: Any):
    nets.write_program(tmp_path / "net.pt2", layer.train(), [torch.randn(4, 3)], (ROWS,))

    with pytest.raises(BuildError, match="exported in training mode"):
        added(tmp_path / "net.pt2")


def test_answers_that_differ_each_time_are_told_of(tmp_path: Path):
    source = a_program(tmp_path, lambda x: x + torch.rand_like(x), torch.zeros(2, 3), axes=[ROWS])

    assert "of the same row is another each time" in added(source)[1]


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def truncated(path: Path) -> None:
    nets.write_pictures(path)
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_the_middle(path: Path) -> None:
    nets.write_pictures(path)
    content = path.read_bytes()
    path.write_bytes(content[:2000] + content[4000:])


@pytest.mark.parametrize("ending", [".pt2", ".pt", ".pth"])
@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda p: p.write_bytes(b""), "empty or damaged"),
        (lambda p: p.write_bytes(b"text"), "empty or damaged"),
        (truncated, "empty or damaged"),
        (cut_in_the_middle, "net"),
        (lambda p: p.write_bytes(pickle.dumps(Trap(p.with_name("ran")))), "a pickle"),
        (lambda p: torch.save(Trap(p.with_name("ran")), p), "a pickle"),
        (lambda p: torch.save({"w": torch.zeros(3)}, p), "torch.export.export"),
        (
            lambda p: torch.save(Trap(p.with_name("ran")), p, _use_new_zipfile_serialization=False),
            "a pickle",
        ),
    ],
)
def test_what_is_no_program_is_refused_and_never_unpickled(
    tmp_path: Path, ending: str, write: Callable[[Path], Any], why: str
):
    source = tmp_path / f"net{ending}"
    write(source)

    with pytest.raises(BuildError, match=why):
        added(source)

    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "models" / "net").exists()


def test_a_program_under_another_ending_is_to_be_renamed(tmp_path: Path):
    nets.write_pictures(tmp_path / "net.pt2")
    (tmp_path / "net.pt2").rename(tmp_path / "net.pt")

    with pytest.raises(BuildError, match=r"rename it to net\.pt2"):
        added(tmp_path / "net.pt")


def test_what_to_install_is_said_where_torch_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    nets.write_pictures(tmp_path / "net.pt2")
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(BuildError, match=r"net\.pt2: this needs torch.*gearshift\[torch\]"):
        added(tmp_path / "net.pt2")


def test_labels_measure_a_programs_accuracy(tmp_path: Path):
    source = a_program(
        tmp_path, lambda x: x[:, :3] * 2, torch.zeros(2, 4), axes=[{0: nets.rows(8)}]
    )
    x = np.random.default_rng(2).random((200, 4), np.float32)
    np.savez(tmp_path / "rows.npz", given_0=x, labels=x[:, :3].argmax(axis=1))

    family, _ = added(source, Asked(tmp_path / "models", samples=tmp_path / "rows.npz"))

    assert (family.variants[0].accuracy.value, family.variants[0].accuracy.n) == (1.0, 100)
