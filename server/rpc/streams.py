"""ModelStreamInfer: many requests on one call, answered each by one message in the order they finish."""

from dataclasses import dataclass
from typing import Any

import grpc

from server.rpc.call import Call
from server.rpc.wire import inference_pb2 as pb


class Stream:
    """One ModelStreamInfer call: every request gets one response message, errors too; ends when all are answered."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._open = 0
        self._half_closed = False

    @staticmethod
    def of(call: Call) -> "Stream":
        """The stream of this call, kept on it between messages."""
        if call.state is None:
            call.state = Stream(call)
        assert isinstance(call.state, Stream)
        return call.state

    def open(self, request_id: str) -> "StreamReply":
        """A place for one answer."""
        with self._call.lock:
            self._open += 1
        return StreamReply(self, request_id)

    def half_closed(self) -> None:
        """The client sends no more."""
        with self._call.lock:
            self._half_closed = True
            self._end_if_done()

    def put(self, message: Any) -> None:
        """Send one response."""
        self._call.send(message.SerializeToString())
        with self._call.lock:
            self._open -= 1
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._half_closed and not self._open:
            self._call.finish()


@dataclass(frozen=True, slots=True)
class StreamReply:
    """Where one streamed request's answer goes."""

    stream: Stream
    request_id: str

    def reply(self, message: bytes) -> None:
        """One response, marked as this request's last."""
        response: Any = pb.ModelInferResponse.FromString(message)
        response.parameters["triton_final_response"].bool_param = True
        self.stream.put(pb.ModelStreamInferResponse(infer_response=response))

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """An error message; the stream goes on."""
        text = details if code is not grpc.StatusCode.INTERNAL else f"internal: {details}"
        response: Any = pb.ModelStreamInferResponse(error_message=text)
        response.infer_response.id = self.request_id
        self.stream.put(response)
