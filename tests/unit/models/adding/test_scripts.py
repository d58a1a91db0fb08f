"""TorchScript made families: what is said of its inputs, and whether the graph made of it answers as it does."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from models.adding.adding import Asked  # noqa: E402
from models.adding.command import shapes_in  # noqa: E402
from models.build.errors import BuildError  # noqa: E402
from models.catalog import FreeSize  # noqa: E402
from tests.support.adding import torch_nets as nets  # noqa: E402
from tests.support.adding.families import added, answers, specs  # noqa: E402


def asked(folder: Path, *shapes: str, samples: Path | None = None) -> Asked:
    """As the command line says it."""
    dims, datatypes = shapes_in(shapes)
    return Asked(folder / "models", shapes=dims, datatypes=datatypes, samples=samples)


def test_a_traced_script_is_served_as_the_example_was(tmp_path: Path):
    net = nets.seeded(nets.Pictures)
    nets.write_traced(tmp_path / "net.pt", net, torch.zeros(1, 3, 16, 16))
    x = np.random.default_rng(1).random((5, 3, 16, 16), np.float32)

    family, said = added(tmp_path / "net.pt")

    assert specs(family.inputs) == [("x", "FP32", (-1, 3, 16, 16))]
    assert [t.name for t in family.outputs] == ["class scores", "features"]
    assert "traced with, x=FP32:3,16,16; --shape says others" in said
    found = answers(family, tmp_path / "models", {"x": x})
    for name, expected in net(torch.from_numpy(x)).items():
        assert found[name] == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_sizes_may_be_left_free_by_names(tmp_path: Path):
    nets.write_scripted(tmp_path / "net.pt", Tokens())

    family, _ = added(tmp_path / "net.pt", asked(tmp_path, "ids=INT64:tokens", "weights=tokens"))

    assert [(t.datatype, t.sizes) for t in family.inputs] == [
        ("INT64", ("tokens",)),
        ("FP32", ("tokens",)),
    ]
    assert family.sizes == (FreeSize("tokens", 32, 1024),)
    rows = {"ids": np.ones((2, 9), np.int64), "weights": np.full((2, 9), 2, np.float32)}
    assert answers(family, tmp_path / "models", rows)["output"].tolist() == [18.0, 18.0]


class Tokens(torch.nn.Module):
    """Two inputs of one length."""

    def forward(self, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return (ids * weights).sum(1)


class Loose(torch.nn.Module):
    """Defaults that need not be given."""

    def forward(
        self, x: torch.Tensor, rounds: int = 2, bias: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        for _ in range(rounds):
            x = x + 1
        return [x, x if bias is None else x + bias]


def test_defaults_are_left_as_they_are_unless_something_is_said(tmp_path: Path):
    nets.write_scripted(tmp_path / "net.ts", Loose())

    family, _ = added(tmp_path / "net.ts", asked(tmp_path, "x=3"))

    assert [t.name for t in family.inputs] == ["x"]
    found = answers(family, tmp_path / "models", {"x": np.zeros((2, 3), np.float32)})
    assert [a.tolist() for a in found.values()] == [[[2.0] * 3] * 2] * 2


def test_branches_and_rounds_that_follow_from_rows_are_kept(tmp_path: Path):
    net = nets.seeded(nets.Branches)
    nets.write_scripted(tmp_path / "net.pt", net)

    family, _ = added(tmp_path / "net.pt", asked(tmp_path, "x=4", "n=INT64:1"))

    for x, n in ((1.0, 3), (1.0, 1), (-1.0, 2)):
        rows = {"x": np.full((1, 4), x, np.float32), "n": np.full((1, 1), n)}
        found = answers(family, tmp_path / "models", rows)
        expected, _ = net(torch.from_numpy(rows["x"]), torch.from_numpy(rows["n"]))
        assert found["output_0"] == pytest.approx(expected.detach().numpy(), abs=1e-6)


def test_rows_of_the_users_own_say_what_it_takes(tmp_path: Path):
    nets.write_scripted(tmp_path / "net.pt", Tokens())
    rng = np.random.default_rng(3)
    rows = {"ids": rng.integers(0, 9, (50, 6)), "weights": rng.random((50, 6), np.float32)}
    np.savez(tmp_path / "rows.npz", **rows)

    family, _ = added(tmp_path / "net.pt", asked(tmp_path, samples=tmp_path / "rows.npz"))

    assert specs(family.inputs) == [("ids", "INT64", (-1, 6)), ("weights", "FP32", (-1, 6))]


class Numbers(torch.nn.Module):
    """Takes what is no tensor."""

    def forward(self, x: torch.Tensor, k: int) -> torch.Tensor:
        return x * k


class Built(torch.nn.Module):
    """A dict that grows."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        found["a"] = x
        return found


class Writes(torch.nn.Module):
    """Touches a file."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "written")
        return x


@pytest.mark.parametrize(
    ("net", "shapes", "why"),
    [
        (Tokens, (), r"--shape ids=N,N --shape weights=N,N .* --samples FILE\.npz with 'ids' and"),
        (Tokens, ("ids=INT64:4",), r"--shape weights=N,N"),
        (Tokens, ("x=4",), "has no input 'x'; it has ids, weights"),
        (Tokens, ("ids=4", "weights=5"), "does not run on 2 rows: The size of tensor a .4."),
        (Numbers, ("x=4",), "takes 'k', which is no tensor"),
        (Built, ("x=4",), "cannot be made an ONNX graph .* a dict that is written at once"),
        (Writes, ("x=4",), r"reads or writes files by itself \(torch\.save\("),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_way_out(
    tmp_path: Path,
    net: Callable[[], Any],
    shapes: tuple[str, ...],
    why: str,
    capfd: pytest.CaptureFixture[str],
):
    nets.write_scripted(tmp_path / "net.pt", net())

    with pytest.raises(BuildError, match=why) as refused:
        added(tmp_path / "net.pt", asked(tmp_path, *shapes))

    assert "\n" not in str(refused.value)
    assert not (tmp_path / "models" / "net").exists()
    captured = capfd.readouterr()
    assert "graph(" not in captured.out + captured.err


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """A copy of an archive, each file as `change` has it; None leaves it out."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w") as copy:
        for name in whole.namelist():
            content = change(name, whole.read(name))
            if content is not None:
                copy.writestr(name, content)


def test_a_damaged_script_is_refused(tmp_path: Path):
    nets.write_scripted(tmp_path / "whole.pt", Tokens())
    rewritten(
        tmp_path / "whole.pt",
        tmp_path / "net.pt",
        lambda name, content: None if name.endswith("data.pkl") else content,
    )

    with pytest.raises(BuildError, match=r"net\.pt cannot be read as TorchScript"):
        added(tmp_path / "net.pt", asked(tmp_path, "ids=4", "weights=4"))


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("ending", ["/data.pkl", "/constants.pkl", "/traced_inputs.pkl"])
def test_what_is_pickled_in_a_script_is_not_run(tmp_path: Path, ending: str):
    nets.write_traced(tmp_path / "whole.pt", Tokens(), torch.ones(1, 4), torch.ones(1, 4))
    trap = pickle.dumps(Trap(tmp_path / "ran"), protocol=2)
    rewritten(
        tmp_path / "whole.pt",
        tmp_path / "net.pt",
        lambda name, content: trap if name.endswith(ending) else content,
    )

    with pytest.raises(BuildError, match=r"net\.pt"):
        added(tmp_path / "net.pt")

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("datatype", "plus"), [("FP64", 1.5), ("INT32", 1), ("UINT8", 1)])
def test_datatypes_are_as_said(tmp_path: Path, datatype: str, plus: float):
    nets.write_scripted(tmp_path / "net.pt", Plus(plus))

    family, _ = added(tmp_path / "net.pt", asked(tmp_path, f"x={datatype}:2,3"))

    assert [t.datatype for t in (*family.inputs, *family.outputs)] == [datatype] * 2
    rows = np.full((2, 2, 3), 3, family.inputs[0].dtype)
    assert np.array_equal(answers(family, tmp_path / "models", {"x": rows})["output"], rows + plus)


class Plus(torch.nn.Module):
    """Adds a number."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.number
