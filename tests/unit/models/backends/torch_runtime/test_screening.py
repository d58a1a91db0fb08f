"""What torch would run while it reads a program is refused before torch sees it."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch.export import Dim, export, save  # noqa: E402

from models.backends.base import BackendError  # noqa: E402
from models.backends.torch_runtime.archive import load_program  # noqa: E402

RUNS = "__import__('os').system('touch {}')"
"""What a stranger would have run."""


class Net(torch.nn.Module):
    """Sizes that are reckoned with, a branch, a mask and several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(6, 6)

    def forward(self, x: Any, tokens: Any) -> dict[str, Any]:
        half = tokens[:, : tokens.shape[1] // 2]
        twice = torch.cat([tokens, tokens + 1], dim=1).reshape(tokens.shape[0], -1, 2)
        mixed = torch.einsum("ij,ik->ijk", x, x)
        kept = torch.cond(x.sum() > 0, lambda a: a.relu(), lambda a: a.abs(), (x,))
        mask = (tokens > 0) & (tokens < 9)
        return {
            "class scores": self.layer(kept),
            "half": half,
            "twice": twice,
            "mixed": mixed,
            "m": mask,
        }


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    """A copy of the program at `path`, with its operators' JSON changed."""
    copy = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("models/model.json"):
                model = json.loads(content)
                change(model)
                content = json.dumps(model).encode()
            target.writestr(name, content)
    return copy


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    example = (torch.zeros(4, 6), torch.zeros(4, 8, dtype=torch.int64))
    rows = Dim("rows", min=1, max=32)
    shapes = {"x": {0: rows}, "tokens": {0: rows, 1: Dim.AUTO}}
    path = tmp_path_factory.mktemp("program") / "net.pt2"
    save(export(Net().eval(), example, dynamic_shapes=shapes), path)
    return path


@pytest.fixture
def program(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(exported, tmp_path))


def test_a_program_of_tensors_is_read(program: Path):
    assert load_program(program).graph_signature.user_inputs == ("x", "tokens")


def graph(model: Any) -> Any:
    return model["graph_module"]["graph"]


def in_a_guard(model: Any, text: str) -> None:
    model["guards_code"] = [f"{text} == 0"]


def by_a_key(model: Any, text: str) -> None:
    model["guards_code"] = [f"max({text!r}, key=exec)"]


def in_a_size(model: Any, text: str) -> None:
    graph(model)["tensor_values"]["x"]["sizes"][0]["as_expr"]["expr_str"] = text


def in_a_text_of_a_size(model: Any, text: str) -> None:
    in_a_size(model, f"Add({text!r}, 1)")


def as_an_operator(model: Any, text: str) -> None:
    node = graph(model)["nodes"][0]
    node["target"] = "torch.os.system"
    node["inputs"] = [{"name": "command", "arg": {"as_string": text}, "kind": 1}]


def as_a_file(model: Any, _: str) -> None:
    graph(model)["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def as_a_name(model: Any, text: str) -> None:
    graph(model)["nodes"][0]["name"] = f"x = {text}; y"


def as_an_argument(model: Any, text: str) -> None:
    for call in model["graph_module"]["module_call_graph"]:
        if call["signature"]:
            call["signature"]["forward_arg_names"] = [f"x={text}", "tokens"]


def in_a_structure(model: Any, _: str) -> None:
    factory = {"default_factory_module": "os", "default_factory_name": "system"}
    context = {**factory, "dict_context": ["x"]}
    spec = {"type": "collections.defaultdict", "context": context, "children_spec": []}
    for call in model["graph_module"]["module_call_graph"]:
        if call["signature"]:
            call["signature"]["out_spec"] = json.dumps([1, spec])


@pytest.mark.parametrize(
    "change",
    [
        in_a_guard,
        by_a_key,
        in_a_size,
        in_a_text_of_a_size,
        as_an_operator,
        as_a_file,
        as_a_name,
        as_an_argument,
        in_a_structure,
    ],
)
def test_what_torch_would_run_is_refused_unread(
    program: Path, tmp_path: Path, change: Callable[[Any, str], None]
):
    ran = tmp_path / "ran"
    crafted = changed(program, lambda model: change(model, RUNS.format(ran)))

    with pytest.raises(BackendError, match="not opened"):
        load_program(crafted)

    assert not ran.exists()


def test_two_files_of_one_name_are_refused(program: Path):
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(program, "a") as archive,
    ):
        archive.writestr(archive.namelist()[0], b"{}")

    with pytest.raises(BackendError, match="two files of one name"):
        load_program(program)


def test_why_torch_cannot_read_it_is_said(program: Path, caplog: pytest.LogCaptureFixture):
    crafted = changed(program, lambda model: graph(model).pop("outputs"))

    with pytest.raises(BackendError, match="torch cannot read it"):
        load_program(crafted)

    assert not caplog.records


def test_a_program_of_old_whose_texts_nobody_reads_first_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        archive.writestr("version", "8.1")
        archive.writestr("serialized_exported_program.json", "{}")

    with pytest.raises(BackendError, match="'version', which is neither operators nor tensors"):
        load_program(tmp_path / "net.pt2")
