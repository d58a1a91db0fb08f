"""`docs/models.md`, followed to the letter: its files made, its commands run, its clients answered as it says."""

import importlib.util
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from tests.support.adding.wording import network, tokenizer
from tests.support.pages import blocks
from tests.support.serving.server import PATIENCE_S, ROOT, surroundings

PAGE = ROOT / "docs" / "models.md"
NEEDED = ("torch", "sklearn", "skl2onnx")


def free_ports() -> tuple[int, int]:
    """Two that are free now."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return one.getsockname()[1], two.getsockname()[1]


def lay_out(folder: Path) -> None:
    """What a reader of the page is said to have: a transformer's export, and a repository of three Triton models."""
    (folder / "encoder").mkdir()
    onnx.save(network(), str(folder / "encoder" / "model.onnx"))
    tokenizer().save(str(folder / "encoder" / "tokenizer.json"))
    for name, op in (("doubled", "Add"), ("halved", "Mul"), ("summed", "Add")):
        version = folder / "triton-models" / name / "1"
        version.mkdir(parents=True)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
        graph = helper.make_graph([helper.make_node(op, ["x", "x"], ["y"])], name, [x], [y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, str(version / "model.onnx"))
    (folder / "triton-models" / "halved" / "config.pbtxt").write_text(
        'name: "halved"\nbackend: "onnxruntime"\nmax_batch_size: 16\n'
    )


class Reader:
    """Somebody who does as the page says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.port, http = free_ports()
        own = {
            "GEARSHIFT__MODELS__REPOSITORY": "families",
            "GEARSHIFT__SERVER__HOST": "127.0.0.1",
            "GEARSHIFT__SERVER__PORT": str(self.port),
            "GEARSHIFT__SERVER__HTTP_PORT": str(http),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
        }
        self.folder = folder
        self.environment: Mapping[str, str] = surroundings(folder / "cache", own)
        self.server: subprocess.Popen[bytes] | None = None

    def shell(self, line: str) -> None:
        """Run a command; `serve` goes on in the background."""
        words = shlex.split(line)
        if words[0] == "export":
            assert words[1] == "GEARSHIFT__MODELS__REPOSITORY=families"
        elif words[:2] == ["gearshift", "serve"]:
            self.stop()
            self.server = subprocess.Popen(
                self.found(words),
                cwd=self.folder,
                env=self.environment,
                stderr=subprocess.DEVNULL,
            )
        else:
            assert words[0] == "gearshift", line
            self.run(self.found(words))

    @staticmethod
    def found(words: list[str]) -> list[str]:
        """The command as it is installed beside this Python."""
        return [str(Path(sys.executable).parent / words[0]), *words[1:]]

    def python(self, text: str, name: str) -> str:
        """Run a program of the page; what it prints."""
        path = self.folder / (name or "client.py")
        path.write_text(text.replace("localhost:8001", f"127.0.0.1:{self.port}"))
        return self.run([sys.executable, str(path)])

    def run(self, command: list[str]) -> str:
        """Run it to its end, which must be good; what it prints."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def await_served(self) -> None:
        """Return once all that the repository holds is served."""
        kept = self.folder / "families"
        names = [p.name for p in kept.iterdir() if p.is_dir()] if kept.is_dir() else ["net"]
        wanted = {name for name in names if not name.startswith(".")}
        client: Any = triton.InferenceServerClient(f"127.0.0.1:{self.port}")
        until_s = time.monotonic() + PATIENCE_S
        ready: set[str] = set()
        while not wanted <= ready and time.monotonic() < until_s:
            time.sleep(0.05)
            with suppress(InferenceServerException):
                index = client.get_model_repository_index().models
                ready = {one.name for one in index if one.state == "READY"}
        client.close()
        assert wanted <= ready

    def stop(self) -> None:
        """End the server."""
        if self.server is not None:
            self.server.terminate()
            assert self.server.wait(PATIENCE_S) == 0
            self.server = None


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED),
    reason="torch, scikit-learn and skl2onnx make the models of docs/models.md; install the extra train",
)
def test_the_page_is_right_to_the_letter(tmp_path: Path):
    lay_out(tmp_path)
    reader = Reader(tmp_path)
    printed = ""
    try:
        for block in blocks(PAGE):
            if block.kind == "sh":
                for line in block.lines:
                    reader.shell(line)
            elif block.kind == "python":
                if reader.server is not None and not block.name:
                    reader.await_served()
                printed = reader.python(block.text, block.name)
            else:
                assert block.kind == "text"
                assert printed.split() == block.text.split()
        assert reader.server is not None
        assert reader.server.poll() is None
    finally:
        reader.stop()
