"""Plain requests of the native front: checked there, handed to the engine together, answered by the batch."""

import itertools
import threading
from collections.abc import Mapping, Sequence

import grpc
import numpy as np

from server.engine.delivery import execution_of
from server.engine.intake import Intake
from server.engine.plain import Plain
from server.engine.served import ServedFamily
from server.errors import BadInput, ComputeFailed, Overloaded, RequestError
from server.rpc import answers
from server.rpc.fronts.rows import NativeRows
from server.rpc.fronts.ways import Way, has_plain
from server.rpc.opening import named
from server.rpc.status import status_of, trailers_of
from server.rpc.transport.endings import clipped
from server.rpc.transport.native._core import Exchange
from server.rpc.transport.native.front import NativeFront
from server.runtime.dispatch.jobs import Arrays, Job, JobAnswer, Portion


class PlainRequests:
    """All families'. `renew` has to be called when families may have changed."""

    def __init__(
        self,
        families: Mapping[str, ServedFamily],
        intake: Intake,
        front: NativeFront,
        most_bytes: int,
    ) -> None:
        self._families, self._intake, self._front = families, intake, front
        self._most_bytes = most_bytes
        self._renewing = threading.Lock()  # what is published and what is known must be of one call
        self._keys = itertools.count()
        self._ways: dict[int, Way] = {}

    def renew(self) -> None:
        """Have the front take what is plain by the families that are there now. Any thread."""
        with self._renewing:
            ways = {next(self._keys): way for way in map(self._way, list(self._families)) if way}
            self._ways = {**self._ways, **ways}  # those published so far may still come
            signatures = [way.signature(k, self._most_bytes) for k, way in ways.items()]
            self._front.take_plain(signatures, self)
            self._ways = ways

    def take(self, key: int, exchanges: list[Exchange]) -> None:
        """These came together. On the front's thread."""
        way = self._ways.get(key)
        if way is None or not way.plain.is_current:
            for exchange in exchanges:
                self._front.answer_long(exchange)
            if way is not None:  # nobody told of the family's change
                self.renew()
            return
        jobs = [job for job in (self._job(way, exchange) for exchange in exchanges) if job]
        way.plain.submit(jobs)

    def withdraw(self, exchange: Exchange) -> None:
        """Its client has left. On the front's thread."""
        job = exchange.state
        if isinstance(job, Job) and isinstance(job.origin, Plain):
            job.origin.withdraw(job)

    def deliver(self, given: Sequence[JobAnswer]) -> Sequence[JobAnswer]:
        """Encode answers and send them. Returns those withheld, each with the error that went out instead."""
        withheld: list[JobAnswer] = []
        alike: dict[tuple[int, int, int], list[JobAnswer]] = {}
        for one in given:
            if one.error is not None or one.outputs is None:
                self._fail(one.job, one.error or ComputeFailed("no outputs"))
                continue
            portion = one.outputs
            whole = id(portion.whole) if isinstance(portion, Portion) else id(portion)
            alike.setdefault((id(one.batch), whole, one.job.rows), []).append(one)
        for some in alike.values():
            try:
                withheld += self._answer(some)
            except Exception as failure:  # noqa: BLE001 - answers that cannot be encoded must not cost others theirs
                error = failure if isinstance(failure, RequestError) else _unforeseen(failure)
                withheld += [self._withhold(one.job, error) for one in some]
        return withheld

    def _job(self, way: Way, exchange: Exchange) -> Job | None:
        plain, asked = way.plain, exchange.asked
        if asked is not None:
            try:
                plain = way.asking(asked)
            except RequestError:  # the long way says why, and counts it
                self._front.answer_long(exchange)
                return None
        rows = NativeRows(exchange, way.inputs)
        try:
            job = plain.job(rows, exchange.rows, exchange.arrival_s, exchange.gives_up_s, exchange)
        except BadInput as error:
            _finish(exchange, error)
            return None
        exchange.state = job
        return job

    def _answer(self, some: Sequence[JobAnswer]) -> list[JobAnswer]:
        """Answers of one batch with the same outputs of the same shapes."""
        first = some[0]
        plain, batch, outputs = first.job.origin, first.batch, first.outputs
        assert isinstance(plain, Plain)
        assert batch is not None
        assert outputs is not None
        specs, rows = plain.signature.outputs, first.job.rows
        whole: Arrays = outputs.whole if isinstance(outputs, Portion) else outputs
        arrays = [np.ascontiguousarray(whole[spec.name]) for spec in specs]
        if any(len(array) != len(arrays[0]) for array in arrays):
            raise ValueError(
                f"outputs of {[array.shape for array in arrays]} have no rows in common"
            )
        shapes = [(rows, *array.shape[1:]) for array in arrays]
        common = answers.shared(plain.served.family, execution_of(batch), specs, shapes)
        refused = self._front.core.reply_all(
            [_exchange(one.job) for one in some],
            common,
            arrays,
            len(arrays[0]),
            [one.outputs.first if isinstance(one.outputs, Portion) else 0 for one in some],
            [(batch.started_s - one.job.arrival_s) * 1e3 for one in some],
        )
        for one in some:
            _exchange(one.job).state = None  # it refers to the job, which refers to it
        return [self._withhold(some[at].job, Overloaded(why)) for at, why in refused]

    def _withhold(self, job: Job, error: RequestError) -> JobAnswer:
        self._fail(job, error)
        return JobAnswer(job, error=error)

    def _fail(self, job: Job, error: RequestError) -> None:
        exchange = _exchange(job)
        _finish(exchange, error)
        exchange.state = None

    def _way(self, name: str) -> Way | None:
        try:
            plain = self._intake.plain(name, self.deliver)
        except RequestError:  # it is not served now
            return None
        return Way(plain) if plain is not None and has_plain(plain.served.family) else None


def _exchange(job: Job) -> Exchange:
    exchange = job.token
    assert isinstance(exchange, Exchange)
    return exchange


def _finish(exchange: Exchange, error: RequestError) -> None:
    code, details = status_of(error)
    exchange.finish(code.value[0], clipped(named(exchange.id, details)), trailers_of(error))


def _unforeseen(failure: BaseException) -> RequestError:
    code, details = status_of(failure)
    assert code is grpc.StatusCode.INTERNAL
    return ComputeFailed(details)
