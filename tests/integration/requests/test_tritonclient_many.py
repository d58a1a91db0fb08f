"""NVIDIA's own client with many requests at once: futures, streams and asyncio, every answer checked by its content."""

import asyncio
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio

from tests.support.serving.families import expected_echo, expected_mlp, rows
from tests.support.serving.server import Server
from tests.support.serving.triton import an_input, said


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    """A synchronous client."""
    with triton.InferenceServerClient(server.url) as opened:
        yield opened


def test_concurrent_requests_each_get_their_own_answer(server: Server, client: Any):
    answers: queue.Queue[Any] = queue.Queue()
    count = 200
    sent = {str(i): rows(float(i), 1 + i % 3) for i in range(count)}

    with server.standing_still():  # so that they wait together
        for name, x in sent.items():
            client.async_infer(
                "echo",
                [an_input(x)],
                lambda result, error: answers.put((result, error)),
                request_id=name,
            )
    got = [answers.get(timeout=30) for _ in range(count)]

    assert [str(error) for _, error in got if error] == []
    assert {r.get_response().id for r, _ in got} == sent.keys()
    for result, _ in got:
        x = sent[result.get_response().id]
        np.testing.assert_allclose(result.as_numpy("y"), expected_echo(x), rtol=1e-6)
    assert max(said(r)["batch_size"] for r, _ in got) > 3  # so neighbours there were


def test_a_stream_answers_every_request_and_marks_it_final(client: Any):
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    sent = {str(i): rows(i / 8) for i in range(20)}

    for name, x in sent.items():
        client.async_stream_infer("mlp", [an_input(x)], request_id=name)
    client.stop_stream()

    got = [answers.get(timeout=10) for _ in sent]
    assert {r.get_response().id for r, _ in got} == sent.keys()
    for result, error in got:
        x = sent[result.get_response().id]
        assert error is None
        assert said(result)["triton_final_response"] is True
        np.testing.assert_allclose(result.as_numpy("y"), expected_mlp(x), atol=1e-5)


def test_the_asyncio_client_is_served_too(server: Server):
    async def ask() -> tuple[Any, list[Any]]:
        async with triton_aio.InferenceServerClient(server.url) as aio:
            ready = await aio.is_model_ready("mlp")
            calls = [aio.infer("mlp", [an_input(rows(i / 8))]) for i in range(20)]
            return ready, await asyncio.gather(*calls)

    ready, results = asyncio.run(ask())

    assert ready is True
    for i, result in enumerate(results):
        wanted = expected_mlp(rows(i / 8))
        np.testing.assert_allclose(result.as_numpy("y"), wanted, atol=1e-5)


def test_the_asyncio_client_streams(server: Server):
    sent = {str(i): rows(float(i)) for i in range(5)}

    async def requests() -> Any:
        for name, x in sent.items():
            yield {"model_name": "echo", "inputs": [an_input(x)], "request_id": name}

    async def ask() -> dict[str, Any]:
        async with triton_aio.InferenceServerClient(server.url) as aio:
            got = [answer async for answer in aio.stream_infer(requests())]
            assert [str(error) for _, error in got if error] == []
            return {r.get_response().id: r.as_numpy("y") for r, _ in got}

    answers = asyncio.run(ask())

    assert answers.keys() == sent.keys()
    for name, x in sent.items():
        np.testing.assert_allclose(answers[name], expected_echo(x), rtol=1e-6)
