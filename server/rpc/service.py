"""ModelInfer and ModelStreamInfer: decode, take in, encode. What arrives while the front is busy goes on together."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import grpc

from models.catalog import Family
from models.coded import always
from profiler.hardware.fingerprint import usable_cores
from server.engine.checking.checks import Checked
from server.engine.intake import Intake
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Answer, Execution, Request
from server.errors import ComputeFailed, Overloaded, RequestError
from server.rpc import answers, decode, sizes
from server.rpc.answer_size import AnswerSize
from server.rpc.answers import RunAnswers
from server.rpc.aside import LARGE_BYTES, Aside
from server.rpc.by_family import ByFamily
from server.rpc.opening import Opening, named
from server.rpc.shared_memory.placing import Regions, check_room, put
from server.rpc.status import ending_of, status_of, trailers_of
from server.rpc.streams import Stream, StreamReply
from server.rpc.transport.call import Call, Handler
from server.rpc.transport.endings import Trailers
from server.rpc.transport.packing import Packed
from server.runtime.dispatch.jobs import Job, Portion
from wire import inference_pb2 as pb

_log = logging.getLogger(__name__)

MOST_BYTES = 64 << 20
"""The largest message, unless the operator sets another."""
COMING_BYTES = 26 << 20
"""32 pictures of 224 x 224 in FP32, with room: the largest request of a family that comes while the server runs, unless
another had larger ones at the start. gRPC's core learns the limit once."""


_Alike = tuple[int, tuple[str, ...], tuple[tuple[int, ...], ...]]
"""Answers of one execution with the same outputs in the same shapes."""


@dataclass(slots=True)
class _Shared:
    """What answers that are given together share: those of one run, by its outputs and their rows, and others."""

    runs: dict[tuple[int, int], RunAnswers] = field(
        default_factory=dict[tuple[int, int], RunAnswers]
    )
    others: dict[_Alike, bytes] = field(default_factory=dict["_Alike", bytes])


class Reply(Protocol):
    """Where one request's answer goes; `on_cancel` is called if its client leaves before."""

    on_cancel: Callable[[], object] | None

    @property
    def unread(self) -> str:
        """Why an answer need not be made, as this client takes none; "": it must."""
        ...

    def reply(self, message: bytes, trailers: Trailers = (), /) -> None:
        """A serialised ModelInferResponse, and metadata that goes with it where the transport can carry it."""
        ...

    def fail(self, code: grpc.StatusCode, details: str, trailers: Trailers = (), /) -> None:
        """An error instead, with metadata likewise."""
        ...


class _Origin(NamedTuple):
    """What an answer needs to find its way back: `raw` is how its outputs are to be encoded, `call` what it is for."""

    to: Reply
    raw: bool
    call: Call
    regions: Regions

    def find(self, tensor: decode.Elsewhere) -> decode.Place:
        """Where a tensor lies that is not in the message. Raises RequestError."""
        return self.regions.part(tensor, self.call.peer)


class Service:
    """Requests of all families, on the front's thread; answers from any."""

    def __init__(
        self,
        families: Mapping[str, ServedFamily],
        unserved: Unserved,
        most_bytes: int = MOST_BYTES,
        regions: Regions | None = None,
    ) -> None:
        """`most_bytes`: of a message, in or out; of requests no more is taken than those of the families that are there
        may have, or COMING_BYTES: families that come later have room in that."""
        self.families = families
        self._regions = regions or Regions(allowed=False)
        self._answer_sizes = ByFamily(lambda one: AnswerSize(one.family, most_bytes))
        self.intake = Intake(families, unserved, self.deliver, self._check_answer)
        known = [sizes.request_bytes(one.family, most_bytes) for one in families.values()]
        self._most_bytes = min(most_bytes, max(COMING_BYTES, *known, 0))
        self._opening = Opening(families, self._most_bytes, unserved.error, self.intake.refused)
        self._aside = Aside(self._most_bytes)
        self._decoding = Aside(self._most_bytes, threads=usable_cores())

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        return {
            "/inference.GRPCInferenceService/ModelInfer": Handler(
                self._infer, most_bytes=self._most_bytes, unpacks=True, is_plain=True
            ),
            "/inference.GRPCInferenceService/ModelStreamInfer": Handler(
                self._stream, streaming=True, most_bytes=self._most_bytes, unpacks=True
            ),
        }

    def close(self) -> None:
        """End the threads that read what takes long. After the front has stopped."""
        self._aside.close()
        self._decoding.close()

    def flush(self) -> None:
        """Hand what has been collected to the engine."""
        self.intake.flush()

    def deliver(self, given: Sequence[Answer]) -> None:
        """Encode answers and send them. The answers of one batch share most of their bytes.

        Those that are withheld get the error that went out instead.
        """
        shared = _Shared()
        for answer in given:
            origin: _Origin = answer.request.origin
            if answer.error is None:
                try:
                    if not (why := origin.to.unread):
                        origin.to.reply(self._encode(answer, shared), answer.trailers)
                        continue
                    answer.error = Overloaded(why)
                except Exception as failure:  # noqa: BLE001 - one answer that cannot be encoded must not cost its neighbours theirs
                    foreseen = isinstance(failure, RequestError)
                    answer.error = failure if foreseen else ComputeFailed(status_of(failure)[1])
            error = answer.error
            code, details = status_of(error)
            origin.to.fail(code, named(answer.request.id, details), trailers_of(error))

    def _infer(self, call: Call, data: bytes | Packed | None) -> None:
        arrival_s = call.arrival_s
        if isinstance(data, Packed) or len(data or b"") >= LARGE_BYTES:
            large = data or b""
            self._aside.do(
                self._size(large), lambda: self._read_aside(call, arrival_s, call, large)
            )
        else:
            message = self._opening.message(data or b"")
            if self._takes_long(message):
                self._decode(call, arrival_s, call, message)
            else:
                self._accept(call, arrival_s, call, message)

    def _stream(self, call: Call, data: bytes | Packed | None) -> None:
        stream = Stream.of(call)
        if data is None:
            stream.end()
            return
        arrival_s, reply = call.arrival_s, stream.open()
        try:
            if isinstance(data, Packed) or len(data) >= LARGE_BYTES:
                self._stream_aside(call, arrival_s, reply, data)
                return
            message = self._opening.message(data)
            reply.request_id = message.id
            if self._takes_long(message):
                self._decode(call, arrival_s, reply, message)
            else:
                self._accept(call, arrival_s, reply, message)
        except Exception as error:  # noqa: BLE001 - one bad message must not end the stream of its neighbours
            reply.fail(*ending_of(error))

    def _stream_aside(
        self, call: Call, arrival_s: float, reply: StreamReply, data: bytes | Packed
    ) -> None:
        """Nothing is read on before the large message has been: a stream's requests keep their order."""

        def read() -> None:
            self._read_aside(call, arrival_s, reply, data)
            call.resume()

        call.pause()  # before: it may have been read when `do` returns
        try:
            self._aside.do(self._size(data), read)
        except RequestError:
            call.resume()
            raise

    def _takes_long(self, message: pb.ModelInferRequest) -> bool:
        """Whether its rows are to be decoded, or much of it copied from elsewhere. Raises TooLarge."""
        elsewhere = len(message.raw_input_contents) < len(message.inputs)
        large = elsewhere and self._opening.shared_bytes(message) >= LARGE_BYTES
        return large or sizes.is_coded(message)

    def _size(self, data: bytes | Packed) -> int:
        """What the message may take, unpacked."""
        return data.size(self._most_bytes) if isinstance(data, Packed) else len(data)

    def _read_aside(self, call: Call, arrival_s: float, to: Reply, data: bytes | Packed) -> None:
        """On the thread for large messages."""
        try:
            if isinstance(data, Packed):
                data = data.unpack(data.size(self._most_bytes))
            message = self._opening.message(data)
            if isinstance(to, StreamReply):
                to.request_id = message.id
            if self._takes_long(message):
                self._decode(call, arrival_s, to, message)
                return
        except Exception as error:  # noqa: BLE001 - whoever asked must be answered, and the thread go on
            to.fail(*ending_of(error))
            return
        self._check_aside(call, arrival_s, to, message)

    def _decode(
        self, call: Call, arrival_s: float, to: Reply, message: pb.ModelInferRequest
    ) -> None:
        """Have its rows decoded or copied, no work for a thread that others wait for. Raises Overloaded or TooLarge."""
        family = self.families.get(message.model_name)
        size = message.ByteSize() + self._opening.shared_bytes(message)
        if family is not None:
            size = max(size, sizes.decoding_cost(family.family, message.inputs[0]))
        self._decoding.do(size, lambda: self._check_aside(call, arrival_s, to, message))

    def _check_aside(
        self, call: Call, arrival_s: float, to: Reply, message: pb.ModelInferRequest
    ) -> None:
        """Take in what has been read, on a thread that is not the front's."""
        try:
            wanted = partial(_is_wanted, call)
            job = self.intake.current(self._checked(call, arrival_s, to, message, wanted))
            with call.lock:  # its client may leave meanwhile
                if not call.is_open:
                    return
                to.on_cancel = lambda: self.intake.cancel(job)
            self.intake.submit(job)
        except Exception as error:  # noqa: BLE001 - whoever asked must be answered, and the thread go on
            to.fail(*ending_of(error))

    def _accept(
        self, call: Call, arrival_s: float, to: Reply, message: pb.ModelInferRequest
    ) -> None:
        """Take in a message that came at `arrival_s`. Raises RequestError."""
        job = self._checked(call, arrival_s, to, message)
        to.on_cancel = lambda: self.intake.cancel(job)
        self.intake.collect(job)

    def _checked(
        self,
        call: Call,
        arrival_s: float,
        to: Reply,
        message: pb.ModelInferRequest,
        wanted: Callable[[], bool] = always,
    ) -> Job:
        """What a message asks for, as long as it is `wanted`. Raises RequestError."""
        origin = _Origin(
            to, bool(message.raw_input_contents) or decode.is_raw(message), call, self._regions
        )
        try:
            request = self._decoded(message, arrival_s, call.deadline_s, origin)
            request.is_wanted = wanted
            return self.intake.check(request)
        except RequestError as error:
            raise type(error)(named(message.id, str(error))) from error

    def _decoded(
        self,
        message: pb.ModelInferRequest,
        arrival_s: float,
        deadline_s: float | None,
        origin: _Origin,
    ) -> Request:
        try:
            return decode.request(message, arrival_s, deadline_s, origin, origin.find)
        except RequestError:
            self.intake.family(message.model_name)  # who asks for none is told that first
            self.intake.refused(message.model_name)
            raise

    def _check_answer(self, request: Request, checked: Checked, family: ServedFamily) -> None:
        origin: _Origin = request.origin
        sizes_of = self._answer_sizes.of(family)
        outputs = checked.outputs
        if request.outputs and (places := decode.places(request)):
            check_room(places, family.family.outputs, checked.rows)
            outputs = tuple(name for name in outputs if name not in places)
        sizes_of.check(checked.rows, outputs, request.id, raw=origin.raw)

    def _encode(self, answer: Answer, shared: _Shared) -> bytes:
        request, execution, family = answer.request, answer.execution, answer.family
        assert execution is not None  # an answer without error has been computed
        assert family is not None
        outputs, origin = answer.outputs, request.origin
        places = decode.places(request)
        if origin.raw and not places and isinstance(outputs, Portion):
            run = shared.runs.get((id(outputs.whole), outputs.rows))
            if run is None:
                run = shared.runs[id(outputs.whole), outputs.rows] = _run(
                    family, execution, outputs
                )
            return run.whole(request.id, answer.queue_s, outputs.first)
        names, arrays = tuple(outputs), list(outputs.values())
        shapes = tuple([array.shape for array in arrays])
        key = (id(execution), names, shapes)
        common = shared.others.get(key)
        if common is None:
            wanted = [spec for name in names for spec in family.outputs if spec.name == name]
            common = shared.others[key] = answers.shared(family, execution, wanted, shapes)
        if places and origin.call.is_open:  # who has left may use the memory for something else
            common, arrays = put(places, common, outputs)
        message = answers.whole(common, request.id, answer.queue_s, arrays)
        return message if origin.raw else answers.typed(message, arrays)


def _run(family: Family, execution: Execution, outputs: Portion) -> RunAnswers:
    """What encodes the answers of one run, to requests with as many rows as this one, for all outputs."""
    arrays = list(outputs.whole.values())
    shapes = [(outputs.rows, *array.shape[1:]) for array in arrays]
    wanted = [spec for name in outputs.whole for spec in family.outputs if spec.name == name]
    return RunAnswers(answers.shared(family, execution, wanted, shapes), arrays, outputs.rows)


def _is_wanted(call: Call) -> bool:
    return call.is_open and (call.deadline_s is None or time.monotonic() < call.deadline_s)
