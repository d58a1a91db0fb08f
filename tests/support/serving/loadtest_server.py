"""A small real gRPC server that speaks the load generator's wire: answers, refuses or stalls as
its model's name says.

Run as `python loadtest_server.py`; it prints its port. Models: `echo` (FP32), `picture` (UINT8
image), `busy` (refuses everything), `slow` (answers after a second), `loading` (not ready),
`garbled` (answers what is no message), `wrong` (calls every request invalid).
"""

import sys
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc

from loadtest.target import SERVICE
from wire import inference_pb2 as pb

MODELS = {
    "echo": ("FP32", (-1, 16)),
    "picture": ("UINT8", (-1, 64, 48, 3)),
    "busy": ("FP32", (-1, 16)),
    "slow": ("FP32", (-1, 16)),
    "loading": ("FP32", (-1, 16)),
    "garbled": ("FP32", (-1, 16)),
    "wrong": ("FP32", (-1, 16)),
}


class Echo(grpc.GenericRpcHandler):
    """Serves ModelReady, ModelMetadata and ModelInfer."""

    def __init__(self) -> None:
        self._methods: dict[str, Callable[[bytes, Any], bytes]] = {
            "ModelReady": self.ready,
            "ModelMetadata": self.metadata,
            "ModelInfer": self.infer,
        }

    def service(self, handler_call_details: Any) -> Any:
        """The method called, raw bytes in and out."""
        method = self._methods.get(handler_call_details.method.removeprefix(SERVICE))
        return None if method is None else grpc.unary_unary_rpc_method_handler(method)

    def ready(self, request: bytes, _: Any) -> bytes:
        """Every known model but `loading`."""
        name = pb.ModelReadyRequest.FromString(request).name
        ready = name in MODELS and name != "loading"
        return pb.ModelReadyResponse(ready=ready).SerializeToString()

    def metadata(self, request: bytes, context: Any) -> bytes:
        """The model's one input."""
        name = pb.ModelMetadataRequest.FromString(request).name
        if name not in MODELS:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}'")
        answer = pb.ModelMetadataResponse(name=name)
        datatype, shape = MODELS[name]
        answer.inputs.add(name="x", datatype=datatype, shape=shape)
        return answer.SerializeToString()

    def infer(self, request: bytes, context: Any) -> bytes:
        """What was sent, with the response parameters of a server that names its arms."""
        asked = pb.ModelInferRequest.FromString(request)
        if asked.model_name == "busy":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full")
        if asked.model_name == "wrong":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input 'x'")
        if asked.model_name == "slow":
            threading.Event().wait(1.0)
        if asked.model_name == "garbled":
            return b"\xff\xff\xff"
        return _answer(asked).SerializeToString()


def _answer(asked: Any) -> Any:
    answer = pb.ModelInferResponse(model_name=asked.model_name, id=asked.id)
    said = answer.parameters
    said["variant"].string_param = asked.parameters["variant"].string_param or "small"
    said["precision"].string_param = "int8"
    said["backend"].string_param = "echo"
    said["accuracy"].double_param = 0.75
    said["batch_size"].int64_param = 2
    said["queue_ms"].double_param = 0.5
    said["compute_ms"].double_param = 1.5
    answer.outputs.add(name="y", datatype=asked.inputs[0].datatype, shape=asked.inputs[0].shape)
    answer.raw_output_contents.append(asked.raw_input_contents[0][:64])
    return answer


def main() -> None:
    """Serve until stdin closes."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
