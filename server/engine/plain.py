"""A shorter way in, for fronts that check plain requests themselves: rows go in, a dispatcher's answers come out.

Nothing is made of a request but its job. What an error would say, a front has from the long way: it gives what it
finds wrong to `Intake.check`, and so need not know the words.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

from models.catalog import TensorSpec
from server.engine.checking.demands import Demand
from server.engine.served import ServedFamily
from server.engine.values import Scalar
from server.errors import BadInput
from server.runtime.dispatch import jobs
from server.runtime.dispatch.jobs import Arrays, Job


class PlainInput(NamedTuple):
    """One input as a plain request has it: [rows, *row_shape] raw elements, little-endian, `row_bytes` a row.

    `finite`: NaN and infinities are to be refused; `truth`: bytes other than 0 and 1 are.
    """

    name: str
    datatype: str
    row_shape: tuple[int, ...]
    row_bytes: int
    finite: bool
    truth: bool


class PlainSignature(NamedTuple):
    """What a front holds a plain request to, all of it: every input, each once, no other; 1 to `most_rows` rows, in all
    inputs as many; no outputs named, or just these in this order."""

    inputs: tuple[PlainInput, ...]
    most_rows: int
    outputs: tuple[TensorSpec, ...]


class Plain:
    """For requests of one family that make one demand, from one front; `to` is given their answers.

    Before `job` the front has checked the request against `signature`, and that its answer fits its messages. `to` gets
    the answers of a batch, from any thread, and returns those that it withholds. Outputs are a `jobs.Portion` (whole
    arrays, and where the rows are), but arrays by themselves where a request was answered in pieces, or takes a run of
    its own. A job's inputs are not lent: they must be good as long as they are referred to.
    """

    def __init__(
        self,
        served: ServedFamily,
        families: Mapping[str, ServedFamily],
        demand: Demand,
        to: jobs.Deliver,
        known: PlainSignature | None = None,
    ) -> None:
        self.served = served
        self.to = to
        self.signature = known or signature(served)
        self._families = families
        self._family = served.family
        self._bounds = served.checks.bounds
        self._demand = demand
        self._within_s = min(demand.slo.latency_s, demand.timeout_s or inf)

    @property
    def is_current(self) -> bool:
        """Whether requests that come now are still this family's, with these variants. Else ask `Intake.plain` anew."""
        served = self.served
        return self._families.get(self._family.name) is served and served.family is self._family

    def asking(self, parameters: Mapping[str, Scalar | None]) -> "Plain":
        """The same way in, for requests that have these parameters. Raises BadInput or UnknownModel."""
        demand = self.served.checks.demand(parameters, "")
        return Plain(self.served, self._families, demand, self.to, self.signature)

    def job(
        self,
        inputs: Arrays,
        rows: int,
        arrival_s: float,
        gives_up_s: float = inf,
        token: object = None,
    ) -> Job:
        """One request, for `submit`. It came at `arrival_s`, its client gives up at `gives_up_s` (both on
        time.monotonic's clock; infinite: it does not say); `token` is the front's, as the job's.

        Raises BadInput, which is counted, for more rows than can be answered.
        """
        demand = self._demand
        if rows != 1:
            self._check_rows(rows)
        slo = demand.slo
        return Job(
            inputs,
            rows,
            arrival_s,
            min(arrival_s + self._within_s, gives_up_s),
            slo.min_accuracy,
            demand.variant,
            slo.name,
            self,
            soft=demand.soft and gives_up_s == inf,
            token=token,
        )

    def submit(self, given: Sequence[Job]) -> None:
        """Hand them on together. Of those that are refused the answers have been delivered when this returns."""
        self.served.dispatcher.submit(given)

    def withdraw(self, job: Job) -> bool:
        """No answer is wanted any more. False where it runs already or was answered: one comes, or came. Any thread."""
        return self.served.dispatcher.cancel(job)

    def _check_rows(self, rows: int) -> None:
        try:
            if rows > self.signature.most_rows:
                raise self._bounds.too_many(rows)
            self._bounds.check_rows(rows, self._demand)
        except BadInput:
            self.served.metrics.unrun("default", "invalid")
            raise


def signature(served: ServedFamily) -> PlainSignature:
    """Of a family without free sizes."""
    family, finite = served.family, served.checks.finite
    inputs = [
        PlainInput(
            spec.name,
            spec.datatype,
            tuple(spec.shape[1:]),
            spec.row_elements * spec.dtype.itemsize,
            finite and spec.is_float,
            spec.dtype.kind == "b",
        )
        for spec in family.inputs
    ]
    return PlainSignature(tuple(inputs), served.checks.most_rows, family.outputs)
