"""`gearshift models add` of what torch saves, then a server and a real client: answers are those of the network."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="torch is not installed (`pip install 'gearshift[torch]'`)"
)

from models.__main__ import main  # noqa: E402
from tests.support.adding import torch_nets as nets  # noqa: E402
from tests.support.serving.server import refused_start, running, serving  # noqa: E402
from tests.support.serving.triton import asked  # noqa: E402

Rows = dict[str, np.ndarray]


def pictures(rng: np.random.Generator) -> Rows:
    return {"x": rng.random((int(rng.integers(1, 5)), 3, 16, 16), np.float32)}


def texts(rng: np.random.Generator) -> Rows:
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 65)))
    mask = (rng.random(shape) < 0.7).astype(np.int64)
    mask[:, 0] = 1
    return {"input_ids": rng.integers(0, 50, shape), "attention_mask": mask}


def branches(rng: np.random.Generator) -> Rows:
    x = rng.normal(size=(1, 4)).astype(np.float32)
    return {"x": x, "n": rng.integers(1, 4, (1, 1))}


def of_the_network(net: Any, rows: Rows) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        answer = net(*(torch.from_numpy(a) for a in rows.values()))
    if not isinstance(answer, Mapping):
        answer = {f"output_{i}": one for i, one in enumerate(answer)}
    return {name: one.numpy() for name, one in answer.items()}


def a_traced_script(path: Path) -> Any:
    net = nets.seeded(nets.Pictures)
    nets.write_traced(path, net, torch.zeros(1, 3, 16, 16))
    return net


def a_compiled_script(path: Path) -> Any:
    net = nets.seeded(nets.Branches)
    nets.write_scripted(path, net)
    return net


@pytest.mark.parametrize(
    ("ending", "write", "rows_of", "options"),
    [
        (".pt2", nets.write_pictures, pictures, ()),
        (".pt2", nets.write_texts, texts, ()),
        (".pt", a_traced_script, pictures, ()),
        (".pt", a_compiled_script, branches, ("--shape", "x=4", "--shape", "n=INT64:1")),
    ],
    ids=["pictures", "texts of any length", "traced", "with branches"],
)
def test_what_torch_saves_is_added_by_one_command_and_answers_as_the_network(
    tmp_path: Path,
    ending: str,
    write: Callable[[Path], Any],
    rows_of: Callable[[np.random.Generator], Rows],
    options: tuple[str, ...],
):
    source, models, rng = tmp_path / f"net{ending}", tmp_path / "models", np.random.default_rng(8)
    net = write(source)
    where = ("--repository", str(models), "--slo-ms", "2000")
    assert main(["add", str(source), *where, *options]) == 0
    batches = [rows_of(rng) for _ in range(60)]

    with serving(models, tmp_path / "cache") as server, ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(partial(asked, server.url, "net"), batches))  # many at once

    for rows, answer in zip(batches, answers, strict=True):
        expected = of_the_network(net, rows)
        assert answer.keys() == expected.keys()
        for name, values in expected.items():
            assert answer[name] == pytest.approx(values, rel=1e-5, abs=1e-5)


def test_a_program_is_served_without_a_repository(tmp_path: Path):
    net = nets.write_pictures(tmp_path / "net.pt2")
    rows = pictures(np.random.default_rng(3))

    with running(str(tmp_path / "net.pt2"), cache=tmp_path / "cache") as server:
        answer = asked(server.url, "net", rows)

    for name, values in of_the_network(net, rows).items():
        assert answer[name] == pytest.approx(values, rel=1e-5, abs=1e-5)


def test_a_program_for_one_row_is_served_one_row_a_request(tmp_path: Path):
    net = nets.seeded(nets.Pictures)
    nets.write_program(tmp_path / "net.pt2", net, [torch.zeros(1, 3, 16, 16)], None)
    rows = {"x": np.random.default_rng(3).random((1, 3, 16, 16), np.float32)}

    with running(str(tmp_path / "net.pt2"), cache=tmp_path / "cache") as server:
        answer = asked(server.url, "net", rows)

    assert "each request is one row" in server.log
    for name, values in of_the_network(net, rows).items():
        assert answer[name] == pytest.approx(values, rel=1e-5, abs=1e-5)


def test_a_triton_repository_of_scripts_is_added_and_what_needs_flags_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, write in (("traced", a_traced_script), ("compiled", a_compiled_script)):
        (tmp_path / "triton" / name / "1").mkdir(parents=True)
        write(tmp_path / "triton" / name / "1" / "model.pt")
    models = tmp_path / "models"

    assert main(["add", str(tmp_path / "triton"), "--repository", str(models)]) == 2

    said = capsys.readouterr()
    assert "traced-fp32" in said.out
    assert "compiled/1/model.pt: a script does not say what it takes" in said.err
    assert "--shape x=N,N --shape n=N,N" in said.err


def test_what_a_script_takes_is_read_off_tritons_config(tmp_path: Path):
    folder = tmp_path / "branches"
    (folder / "1").mkdir(parents=True)
    net, rows = a_compiled_script(folder / "1" / "model.pt"), branches(np.random.default_rng(2))
    inputs = '{ name: "INPUT__0" data_type: TYPE_FP32 dims: [ 4 ] }, '
    inputs += '{ name: "n" data_type: TYPE_INT64 dims: [ 1 ] }'
    (folder / "config.pbtxt").write_text(
        f'platform: "pytorch_libtorch"\nmax_batch_size: 16\ninput [ {inputs} ]\n'
    )

    with running(str(folder), cache=tmp_path / "cache") as server:
        answer = asked(server.url, "branches", rows)

    for name, values in of_the_network(net, rows).items():
        assert answer[name] == pytest.approx(values, rel=1e-5, abs=1e-5)


def test_precisions_of_a_program_are_not_made_and_why_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    nets.write_pictures(tmp_path / "net.pt2")
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(1).random((50, 3, 16, 16), np.float32))
    command = ["add", str(tmp_path / "net.pt2"), "--repository", str(tmp_path / "models")]

    assert main([*command, "--samples", str(tmp_path / "rows.npz")]) == 0

    said = capsys.readouterr()
    assert "no other precisions were made: they are made of ONNX graphs" in said.out
    assert not said.err


def test_precisions_of_a_script_are_made_of_its_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    a_traced_script(tmp_path / "net.pt")
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(1).random((60, 3, 16, 16), np.float32))
    command = ["add", str(tmp_path / "net.pt"), "--repository", str(tmp_path / "models")]

    assert main([*command, "--samples", str(tmp_path / "rows.npz"), "--precisions", "bf16"]) == 0

    assert "net-bf16" in capsys.readouterr().out


def test_weights_alone_end_the_start_with_one_line(tmp_path: Path):
    torch.save(nets.Pictures().state_dict(), tmp_path / "net.pth")

    said = refused_start(tmp_path / "cache", str(tmp_path / "net.pth"))

    assert "pickle of weights" in said
    assert "torch.export.export" in said
