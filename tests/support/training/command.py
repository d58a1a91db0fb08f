"""`gearshift train` as tests run it, and requests for the family that it publishes: digits."""

import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from tests.support.serving.commands import GEARSHIFT, Ended, ended
from tests.support.serving.server import PATIENCE_S, Server, eventually, surroundings
from trainer.data import Split, load
from wire import control_pb2
from wire import inference_pb2 as pb

FAMILY = "digits"
KEEN = {"GEARSHIFT__CANDIDATES__SHADOW_SHARE": "1", "GEARSHIFT__CANDIDATES__TRIAL_ROWS": "24"}
"""For a server: every answer is copied to who is on trial, and few are enough."""


def command(*flags: str) -> list[str]:
    """`gearshift train` with these flags."""
    return [*GEARSHIFT, "train", *flags]


def around(folder: Path) -> Mapping[str, str]:
    """The environment of a run: a cache of its own, one thread."""
    return surroundings(folder / "cache", {"OMP_NUM_THREADS": "1"})


def train(folder: Path, *flags: str) -> Ended:
    """A run to its end, whatever its exit code."""
    return ended(command(*flags), around(folder))


def train_tasks(folder: Path, *flags: str) -> Ended:
    """`gearshift train-tasks` on digits, whatever its exit code."""
    digits = ("--data", "digits", "--quiet")
    return ended([*GEARSHIFT, "train-tasks", *digits, *flags], around(folder))


def publish(folder: Path, network: str, budget: int, *flags: str) -> Ended:
    """Train on digits and publish into `folder`/models."""
    what = ("--data", "digits", "--network", network, "--budget", str(budget), "--quiet", "--json")
    where = ("--publish", str(folder / "models"), "--family", FAMILY, "--slo-ms", "2000")
    done = train(folder, *what, *where, *flags)
    assert done.returncode == 0, done.stderr
    return done


def sidecar_file(folder: Path, server: str, **keys: object) -> Path:
    """A TOML file for digits; `keys` are of [sidecar], in place of quick ones: neighbours do not starve it."""
    known = {
        "server": server,
        "family": FAMILY,
        "repository": str(folder / "models"),
        "networks": ["cnn-w8-d2"],
        "budgets": [60000],
        "precisions": ["fp32"],
        "rounds": 1,
        "nice": 0,
        "work": str(folder / "work"),
    }
    rows = [f"{key} = {_toml(value)}" for key, value in {**known, **keys}.items()]
    path = folder / "train.toml"
    path.write_text("\n".join(['data = "digits"', "[sidecar]", *rows, ""]))
    return path


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"  # pyright: ignore[reportUnknownArgumentType]
    return f'"{value}"' if isinstance(value, str) else str(value)


class Visitors:
    """One request after the other, each a digit of the test split."""

    def __init__(self, server: Server, split: Split) -> None:
        self.failures: list[str] = []
        self.answers: list[tuple[int, str, int]] = []
        """(which image, the variant that answered, the class it said)."""
        self._server, self._split = server, split
        self._stop = threading.Event()

    def right(self, variant: str) -> float:
        """The share of its answers that are the image's label."""
        said = [(i, c) for i, who, c in self.answers if who == variant]
        return float(np.mean([self._split.labels[i] == c for i, c in said]))

    def variants(self) -> set[str]:
        """Those that have answered so far."""
        return {who for _, who, _ in list(self.answers)}

    def await_answers_of_others(self, than: set[str], count: int) -> None:
        """Return once other variants have given so many."""

        def check() -> None:
            assert sum(who not in than for _, who, _ in list(self.answers)) >= count

        eventually(check)

    def run(self) -> None:
        """Until told to end."""
        at = 0
        while not self._stop.is_set():
            at = (at + 1) % len(self._split.labels)
            try:
                self.answers.append((at, *_asked(self._server, self._split.images[at])))
            except grpc.RpcError as error:
                self.failures.append(str(error))

    def end(self) -> None:
        """No more after the next."""
        self._stop.set()


@contextmanager
def visited(server: Server) -> Generator[Visitors]:
    """Requests come, meanwhile."""
    visitors = Visitors(server, load(FAMILY).test)
    thread = threading.Thread(target=visitors.run)
    thread.start()
    try:
        yield visitors
    finally:
        visitors.end()
        thread.join()


def _asked(server: Server, image: "np.ndarray[Any, np.dtype[np.uint8]]") -> tuple[str, int]:
    request: Any = pb.ModelInferRequest(
        model_name=FAMILY, raw_input_contents=[image.astype(np.float32).tobytes()]
    )
    request.inputs.add(name="images", datatype="FP32", shape=(1, *image.shape))
    answer = server.infer(request)
    logits = np.frombuffer(answer.raw_output_contents[0], np.float32)
    return answer.parameters["variant"].string_param, int(logits.argmax())


def standings(server: Server) -> dict[str, Any]:
    """What GetFrontier says of every variant."""
    call = server.channel.unary_unary("/gearshift.v1.Control/GetFrontier")
    request = control_pb2.GetFrontierRequest(family=FAMILY).SerializeToString()
    told = control_pb2.GetFrontierResponse.FromString(call(request, timeout=PATIENCE_S))
    return {one.name: one for one in told.variants}


def await_told(server: Server, what: str) -> str:
    """The log's line that says so of a candidate."""
    return server.await_line(re.compile(rf"{FAMILY}: candidate {what}.*"))[0]
