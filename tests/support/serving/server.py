"""The real server in a process of its own, and the raw calls with which tests speak to it."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2
from numpy.typing import NDArray

from wire import control_pb2
from wire import inference_pb2 as pb

ROOT = Path(__file__).resolve().parents[3]
SERVICE = "/inference.GRPCInferenceService/"
PATIENCE_S = 60.0
"""How long a test waits for what must come; far above what it takes."""

_PORTS = re.compile(r"gRPC on \S+:(\d+), metrics on http://\S+:(\d+)/metrics")
_REST = re.compile(r"REST on http://\S+:(\d+)/v2")


class Server:
    """One running `gearshift serve`: its ports, its log, a channel to it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = self.await_line(_PORTS)
        self.port, self.http_port = int(found[1]), int(found[2])
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.port}", [("grpc.max_send_message_length", -1)]
        )

    @property
    def url(self) -> str:
        """Where its gRPC service is."""
        return f"127.0.0.1:{self.port}"

    @property
    def rest_port(self) -> int:
        """Where REST is."""
        return (
            int(found[1]) if (found := _REST.search(self.log)) else int(self.await_line(_REST)[1])
        )

    @property
    def log(self) -> str:
        """All that it has written to stderr so far."""
        return "".join(self.lines)

    def await_line(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """The first line not asked about before that matches. Fails where the server ends first."""
        while (line := self._new.get(timeout=PATIENCE_S)) is not None:
            if found := pattern.search(line):
                return found
        raise AssertionError(f"no log line matches {pattern.pattern}; the log is:\n{self.log}")

    def await_serving(self, service: str = "") -> None:
        """Return once the health service says that `service` serves."""
        watch = self.channel.unary_stream("/grpc.health.v1.Health/Watch")
        message = health_pb2.HealthCheckRequest(service=service).SerializeToString()
        call = watch(message, timeout=PATIENCE_S)
        for answer in call:
            if health_pb2.HealthCheckResponse.FromString(answer).status == 1:
                call.cancel()
                return
        raise AssertionError(f"the health stream ended; the log is:\n{self.log}")

    def await_arms(self) -> None:
        """Return once every family that serves has all of its arms, as far as the log says it: the first will do for a
        client, but tests ask for others."""
        asked = pb.RepositoryIndexRequest(ready=True)
        families = self.ask("RepositoryIndex", asked, pb.RepositoryIndexResponse).models
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s and " INFO " in self.log:
            if all(re.search(rf" {one.name}: \d+ of \d+ arms ready", self.log) for one in families):
                return
            time.sleep(0.01)

    def ask(self, method: str, request: Any, answer: Any, **options: Any) -> Any:
        """One unary call of the inference service."""
        call = self.channel.unary_unary(
            SERVICE + method, type(request).SerializeToString, answer.FromString
        )
        return call(request, timeout=options.pop("timeout", PATIENCE_S), **options)

    def infer(self, request: Any, **options: Any) -> Any:
        """One ModelInfer. Raises grpc.RpcError."""
        return self.ask("ModelInfer", request, pb.ModelInferResponse, **options)

    def begin(self, request: Any, timeout: float | None = PATIENCE_S) -> Any:
        """Start one ModelInfer; the future's result is its answer. `timeout`: None for a call without a deadline."""
        call = self.channel.unary_unary(
            SERVICE + "ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        return call.future(request, timeout=timeout)

    def begin_together(
        self, requests: Sequence[Any], timeout: float | None = PATIENCE_S
    ) -> list[Any]:
        """Start these ModelInfers so that they arrive at once, however slowly this process gets to begin them."""
        with self.standing_still():
            return [self.begin(request, timeout) for request in requests]

    @contextmanager
    def standing_still(self) -> Generator[None]:
        """Its process is stopped meanwhile; what is sent waits in its sockets."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def statistics(self, family: str) -> Any:
        """The family's ModelStatistics."""
        request = pb.ModelStatisticsRequest(name=family)
        return self.ask("ModelStatistics", request, pb.ModelStatisticsResponse).model_stats[0]

    def terminate(self) -> None:
        """Ask it to drain and end."""
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """Its exit code, once it has ended and all of its log is read."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            self._new.put(line)
        self._new.put(None)


@contextmanager
def serving(
    repository: Path, cache: Path, *flags: str, wait: bool = True, **environment: str
) -> Generator[Server]:
    """A server of this repository, ready unless `wait` is False; it must end with exit code 0 on SIGTERM."""
    with running(
        "--repository", str(repository), *flags, cache=cache, wait=wait, **environment
    ) as server:
        yield server


@contextmanager
def running(*flags: str, cache: Path, wait: bool = True, **environment: str) -> Generator[Server]:
    """As `serving`, of whatever `flags` say."""
    command = serve_command(*flags)
    with subprocess.Popen(
        command, cwd=ROOT, env=surroundings(cache, environment), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            server = Server(process)
            if wait:
                server.await_serving()
                server.await_arms()
            yield server
            server.channel.close()
            server.terminate()
            assert server.ended() == 0, server.log
        finally:
            process.kill()


def refused_start(cache: Path, *flags: str, **environment: str) -> str:
    """What `gearshift serve` says where it cannot start; it must exit with 2 and show no traceback."""
    done = subprocess.run(
        serve_command(*flags),
        cwd=ROOT,
        env=surroundings(cache, environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def serve_command(*flags: str) -> list[str]:
    """`gearshift serve` on free loopback ports; later flags win."""
    ports = ("--host", "127.0.0.1", "--port", "0", "--http-port", "0", "--rest-port", "0")
    return [sys.executable, "-m", "gearshift", "serve", *ports, *flags]


def surroundings(cache: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server: ours without its settings, a cache of its own, quick profiling."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("GEARSHIFT_")}
    quick = {"XDG_CACHE_HOME": str(cache), "GEARSHIFT__PROFILES__BUDGET_S": "1"}
    return {**ours, **quick, **extra}


def count(server: Server, outcome: str, family: str) -> int:
    """Requests of the family that ended so."""
    plan = server.channel.unary_unary(
        "/gearshift.v1.Control/GetPlan", None, control_pb2.GetPlanResponse.FromString
    )
    request: Any = control_pb2.GetPlanRequest(family=family)
    return plan(request.SerializeToString(), timeout=PATIENCE_S).plans[0].outcomes.get(outcome, 0)


def eventually(check: Callable[[], None], within_s: float = 2.0) -> None:
    """Pass once `check` passes, within two seconds: counters move just after the answer that they count."""
    for _ in range(int(within_s * 100)):
        with suppress(AssertionError):
            check()
            return
        time.sleep(0.01)
    check()


def equal(got: object, wanted: object) -> None:
    """What `eventually` may wait for."""
    assert got == wanted


def a_request(model: str, x: NDArray[np.float32], request_id: str = "", **more: Any) -> Any:
    """A raw ModelInfer request for a family whose input is `x`; `more` are parameters."""
    request: Any = pb.ModelInferRequest(
        model_name=model, id=request_id, raw_input_contents=[x.tobytes()]
    )
    request.inputs.add(name="x", datatype="FP32", shape=x.shape)
    for key, value in more.items():
        _set(request.parameters[key], value)
    return request


def output(response: Any, name: str = "y") -> NDArray[np.float32]:
    """A raw FP32 output of a response, in its shape."""
    at = [tensor.name for tensor in response.outputs].index(name)
    flat = np.frombuffer(response.raw_output_contents[at], np.float32)
    return flat.reshape(tuple(response.outputs[at].shape))


def _set(parameter: Any, value: object) -> None:
    match value:
        case bool():
            parameter.bool_param = value
        case int():
            parameter.int64_param = value
        case float():
            parameter.double_param = value
        case _:
            parameter.string_param = value
