"""ModelStreamInfer: many requests on one call, answered each by one message in the order they finish."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from server.rpc import answers
from server.rpc.transport.call import Call
from server.rpc.transport.endings import STOPPING, Trailers
from wire import inference_pb2 as pb


class Stream:
    """One ModelStreamInfer call: every request gets one response message, errors too; ends when all are answered."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._open: set[StreamReply] = set()
        self._end: tuple[grpc.StatusCode, str] | None = None
        call.on_cancel = self._cancelled
        call.on_drain = lambda: self.end(*STOPPING)

    @staticmethod
    def of(call: Call) -> "Stream":
        """The stream of this call, kept on it between messages."""
        if call.state is None:
            call.state = Stream(call)
        assert isinstance(call.state, Stream)
        return call.state

    def open(self) -> "StreamReply":
        """A place for one answer."""
        reply = StreamReply(self)
        with self._call.lock:
            self._open.add(reply)
        return reply

    def end(self, code: grpc.StatusCode = grpc.StatusCode.OK, details: str = "") -> None:
        """No more requests come, or are wanted: end with this status once all are answered."""
        with self._call.lock:
            self._end = self._end or (code, details)
            self._end_if_done()

    @property
    def unread(self) -> str:
        """Why an answer need not be made for this client; "": it must."""
        return self._call.unread

    def put(self, reply: "StreamReply", message: bytes) -> None:
        """Send one response."""
        self._call.send(message)
        with self._call.lock:
            self._open.discard(reply)
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._end is not None and not self._open:
            self._call.fail(*self._end)

    def _cancelled(self) -> None:
        """The client has gone: what still waits must not cost a batch."""
        for reply in list(self._open):
            if reply.on_cancel is not None:
                reply.on_cancel()


@dataclass(slots=True, eq=False)
class StreamReply:
    """Where one streamed request's answer goes."""

    stream: Stream
    request_id: str = ""
    on_cancel: Callable[[], object] | None = None

    @property
    def unread(self) -> str:
        """Why an answer need not be made; "": it must."""
        return self.stream.unread

    def reply(self, message: bytes, _trailers: Trailers = (), /) -> None:
        """One response, marked as this request's last."""
        self.stream.put(self, answers.streamed(message))

    def fail(self, code: grpc.StatusCode, details: str, _trailers: Trailers = (), /) -> None:
        """An error message; the stream goes on, and so has no trailers to give for one request."""
        text = details if code is not grpc.StatusCode.INTERNAL else f"internal: {details}"
        response = pb.ModelStreamInferResponse(error_message=text)
        response.infer_response.id = self.request_id
        response.infer_response.parameters["triton_final_response"].bool_param = True
        self.stream.put(self, response.SerializeToString())
