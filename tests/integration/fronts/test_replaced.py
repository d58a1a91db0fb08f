"""A family that is replaced by another network while many clients ask: each answer is that of one of them, whole."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton

from models.artifacts import publish_family
from models.catalog import Accuracy, Variant
from tests.support.serving.families import MLP, WIDTH, perceptron, weights
from tests.support.serving.server import Server, a_request, eventually, output, serving

CLIENTS, TURNS, MORE = 8, 4, 100
SEEDS = (1, 2)


def publish(root: Path, seed: int) -> None:
    """The perceptron with other weights, in the place of what is there."""
    graph = root.parent / f"{seed}.onnx"
    graph.write_bytes(perceptron(seed).SerializeToString())
    variants = (Variant(f"seed{seed}", "fp32", "", "", Accuracy(0.7, "made up")),)
    publish_family(root, replace(MLP, variants=variants), {f"seed{seed}": graph})


def whose(x: Any, y: Any) -> list[int]:
    """The seeds whose network gives these rows."""
    found: list[int] = []
    for seed in SEEDS:
        first, second = weights(seed)
        if np.allclose(np.tanh(x @ first) @ second, y, rtol=1e-3, atol=1e-3):
            found.append(seed)
    return found


class Asking:
    """Clients that ask without a pause, rows and ids of their own."""

    def __init__(self, server: Server) -> None:
        self.answered: list[list[int]] = []
        self.wrong: list[str] = []
        self._server, self._is_over = server, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def await_more(self, count: int) -> None:
        """Until so many more answers have come."""
        wanted = len(self.answered) + count
        eventually(lambda: _holds(len(self.answered) >= wanted), 30.0)

    def end(self) -> None:
        """No more."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        rng = np.random.default_rng(number)
        count = 0
        while not self._is_over.is_set():
            x, count = rng.standard_normal((1 + count % 3, WIDTH)).astype(np.float32), count + 1
            try:
                answer = self._server.infer(a_request(MLP.name, x, f"{number}-{count}"))
            except grpc.RpcError as refusal:
                self.wrong.append(f"{refusal}")
                continue
            if answer.id != f"{number}-{count}":
                self.wrong.append(f"{answer.id} for {number}-{count}")
            self.answered.append(whose(x, output(answer)))


def _holds(claim: bool) -> None:
    assert claim


def test_each_answer_is_of_one_network_and_after_a_load_of_the_new_one(tmp_path: Path):
    root = tmp_path / "models"
    publish(root, SEEDS[0])
    with serving(root, tmp_path / "cache") as server:
        client = triton.InferenceServerClient(server.url)
        asking = Asking(server)
        try:
            for turn in range(1, TURNS):
                asking.await_more(MORE)
                seed = SEEDS[turn % 2]
                publish(root, seed)
                client.load_model(MLP.name)
                x = np.full((1, WIDTH), 0.1, np.float32)
                assert whose(x, output(server.infer(a_request(MLP.name, x)))) == [seed]
            asking.await_more(MORE)
        finally:
            asking.end()
            client.close()

    assert asking.wrong == []
    assert {tuple(one) for one in asking.answered} == {(1,), (2,)}
