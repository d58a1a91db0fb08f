"""ModelInfer and ModelStreamInfer: convert, submit, convert. What arrives while the front is busy goes on together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from models.catalog import Family, TensorSpec
from server.errors import ComputeFailed, Overloaded, RequestError
from server.metrics import FamilyMetrics
from server.rpc import answers, sizes
from server.rpc.aside import LARGE_BYTES, Aside
from server.rpc.convert import Reader, Request
from server.rpc.opening import Opening, named
from server.rpc.status import ending_of, status_of, trailers_of
from server.rpc.streams import Stream, StreamReply
from server.rpc.transport.call import Call, Handler
from server.rpc.transport.endings import Trailers
from server.rpc.transport.hosting import SMALL_BYTES
from server.rpc.transport.packing import Packed
from server.rpc.unserved import Unserved
from server.runtime.candidates.candidates import Candidates
from server.runtime.dispatch.dispatcher import Dispatcher
from server.runtime.dispatch.jobs import Answer, Job

MOST_BYTES = 64 << 20
"""The largest message, unless the operator sets another."""


class Reply(Protocol):
    """Where one request's answer goes; `on_cancel` is called if its client leaves before."""

    on_cancel: Callable[[], object] | None

    @property
    def unread(self) -> str:
        """Why an answer need not be made, as this client takes none; "": it must."""
        ...

    def reply(self, message: bytes) -> None:
        """A serialised ModelInferResponse."""
        ...

    def fail(self, code: grpc.StatusCode, details: str, trailers: Trailers = (), /) -> None:
        """An error instead, and metadata that goes with it where the transport can carry it."""
        ...


@dataclass(slots=True, eq=False)
class Hosted:
    """One family as the transport sees it; `family` holds the variants that serve now, `candidates` tells of others."""

    family: Family
    reader: Reader
    dispatcher: Dispatcher
    metrics: FamilyMetrics
    candidates: Candidates

    def adopt(self, family: Family) -> None:
        """The variants that serve are others now. Any thread: each is one assignment."""
        self.reader.adopt(family)
        self.family = family

    @property
    def outputs(self) -> dict[str, TensorSpec]:
        """Output name -> its spec."""
        return {spec.name: spec for spec in self.family.outputs}


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a job's answer needs to find its way back."""

    to: Reply
    request: Request
    hosted: Hosted


class Service:
    """Requests of all families, on the front's thread; answers from any."""

    def __init__(
        self, hosted: Mapping[str, Hosted], unserved: Unserved, most_bytes: int = MOST_BYTES
    ) -> None:
        self._hosted = hosted
        self._unserved = unserved
        self._inbox: dict[str, list[Job]] = {name: [] for name in hosted}
        known = [sizes.request_bytes(one.family, most_bytes) for one in hosted.values()]
        self._most_bytes = max(known, default=SMALL_BYTES)
        self._opening = Opening(hosted, most_bytes, unserved.error)
        self._aside = Aside(self._most_bytes)

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        return {
            "/inference.GRPCInferenceService/ModelInfer": Handler(
                self._infer, most_bytes=self._most_bytes, unpacks=True
            ),
            "/inference.GRPCInferenceService/ModelStreamInfer": Handler(
                self._stream, streaming=True, most_bytes=self._most_bytes, unpacks=True
            ),
        }

    def close(self) -> None:
        """End the thread that reads large requests. After the front has stopped."""
        self._aside.close()

    def flush(self) -> None:
        """Hand what has been collected to the dispatchers."""
        for name, jobs in self._inbox.items():
            if jobs:
                self._inbox[name] = []
                self._hosted[name].dispatcher.submit(jobs)

    def deliver(self, given: Sequence[Answer]) -> Sequence[Answer]:
        """Encode answers and send them. The answers of one batch share most of their bytes.

        Returns those that were withheld, with the error that went out instead.
        """
        shared: dict[tuple[tuple[str, ...], int], bytes] = {}
        withheld = list[Answer]()
        for answer in given:
            origin: Any = answer.job.origin
            error = answer.error
            if error is None:
                try:
                    if not (why := origin.to.unread):
                        origin.to.reply(_encode(answer, origin, shared))
                        continue
                    error = Overloaded(why)
                except Exception as failure:  # noqa: BLE001 - one answer that cannot be encoded must not cost its neighbours theirs
                    foreseen = isinstance(failure, RequestError)
                    error = failure if foreseen else ComputeFailed(status_of(failure)[1])
                withheld.append(Answer(answer.job, error=error))
            code, details = status_of(error)
            origin.to.fail(code, named(origin.request.id, details), trailers_of(error))
        return withheld

    def _infer(self, call: Call, data: bytes | Packed | None) -> None:
        arrival_s = call.arrival_s
        if isinstance(data, Packed) or len(data or b"") >= LARGE_BYTES:
            large = data or b""
            self._aside.do(
                self._size(large), lambda: self._read_aside(call, arrival_s, call, large)
            )
        else:
            self._accept(call, arrival_s, call, self._opening.message(data or b""))

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
            job, hosted = self._checked(call, arrival_s, to, message)
            with call.lock:  # its client may leave meanwhile
                if not call.is_open:
                    return
                to.on_cancel = lambda: self._withdraw(hosted, job)
            hosted.dispatcher.submit([job])
        except Exception as error:  # noqa: BLE001 - whoever asked must be answered, and the thread go on
            to.fail(*ending_of(error))

    def _accept(self, call: Call, arrival_s: float, to: Reply, message: Any) -> None:
        """Take in a message that came at `arrival_s`. Raises RequestError."""
        job, hosted = self._checked(call, arrival_s, to, message)
        to.on_cancel = lambda: self._withdraw(hosted, job)
        self._inbox[message.model_name].append(job)

    def _checked(self, call: Call, arrival_s: float, to: Reply, message: Any) -> tuple[Job, Hosted]:
        """What a message asks for, and of whom. Raises RequestError."""
        name = message.model_name
        hosted = None if name in self._unserved else self._hosted.get(name)
        try:
            if hosted is None:
                raise self._unserved.error(name)
            request = hosted.reader.read(message)
        except RequestError as error:
            if hosted is not None:
                hosted.metrics.unrun("default", "invalid")
            raise type(error)(named(message.id, str(error))) from error
        return _job(call, arrival_s, _Origin(to, request, hosted)), hosted

    def _withdraw(self, hosted: Hosted, job: Job) -> None:
        """The client of `job` has gone. On the front's thread, as everything that touches the inbox."""
        inbox = self._inbox[hosted.family.name]
        if job in inbox:
            inbox.remove(job)
            hosted.metrics.unrun(job.slo_class, "cancelled")
        else:
            hosted.dispatcher.cancel(job)


def _job(call: Call, arrival_s: float, origin: _Origin) -> Job:
    """Its bounds count from when its message came, but for the call's own deadline."""
    request = origin.request
    demand = request.demand
    deadline_s = arrival_s + demand.slo.latency_s
    if demand.timeout_s is not None:
        deadline_s = min(deadline_s, arrival_s + demand.timeout_s)
    if call.deadline_s is not None:
        deadline_s = min(deadline_s, call.deadline_s)
    return Job(
        request.inputs,
        request.rows,
        arrival_s,
        deadline_s,
        demand.slo.min_accuracy,
        demand.variant,
        demand.slo.name,
        origin,
    )


def _encode(
    answer: Answer, origin: _Origin, shared: dict[tuple[tuple[str, ...], int], bytes]
) -> bytes:
    assert answer.outputs is not None and answer.batch is not None  # noqa: PT018 - an answer without error has both
    job, request, batch = answer.job, origin.request, answer.batch
    key = (request.outputs, job.rows)
    common = shared.get(key)
    if common is None:
        specs = origin.hosted.outputs
        wanted = [specs[name] for name in request.outputs]
        common = shared[key] = answers.shared(origin.hosted.family, batch, wanted, job.rows)
    arrays = [answer.outputs[name] for name in request.outputs]
    message = answers.whole(common, request.id, batch.started_s - job.arrival_s, arrays)
    return message if request.raw else answers.typed(message, arrays)
