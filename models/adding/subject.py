"""A model that is to be added, looked at: run on the user's rows or made ones, at the sizes that it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from models.adding.filling import PADDED_ROWS, filled
from models.adding.reading import Arrays, Opened
from models.adding.rows.given import GivenRows
from models.adding.sizing import AskedSize, Sizes, free_sizes, made_up, output_sizes
from models.adding.trial import ROWS_TRIED, Trial
from models.artifacts.samples import resized
from models.build.narrowing.calibration import Calibration
from models.catalog import Family, FreeSize, Slo, TensorSpec

PADDED = (
    "rows of unlike sizes run together, padded where that pays: tried, and it changed no answer"
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What running it showed: sizes that are free, the signature, the median time (s) of a typical row on one thread,
    and what is odd about it."""

    sizes: tuple[FreeSize, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    row_s: float
    remarks: tuple[str, ...]


class Subject:
    """`samples`: the user's rows, if any. Raises BuildError where they are not the model's inputs."""

    def __init__(self, opened: Opened, samples: GivenRows | None) -> None:
        self.model = opened.signature
        self.served = opened.served
        self.trial = Trial(opened.signature, opened.runner)
        self.inputs = tuple(
            TensorSpec(i.name, i.datatype, (-1, *i.dims), i.sizes) for i in self.model.inputs
        )
        self._samples = samples

    @cached_property
    def calibration(self) -> Calibration | None:
        """The user's rows."""
        draft = Family("", self.inputs, (), (), Slo(1.0))
        return None if self._samples is None else self._samples.read(draft)

    def looked(self, asked: Mapping[str, AskedSize]) -> Looked:
        """`asked`: what the user said of its sizes. Raises BuildError; NotByRow where it takes one row a run only."""
        sizes = free_sizes(self.model.inputs, self.run_one, asked, self._sampled())
        typical = {size.name: size.typical for size in sizes}
        dims, rows = output_sizes(self.run_one, sizes), self.rows(typical, ROWS_TRIED)
        if dims is None:  # it takes one size only, whatever it states
            self.inputs = tuple(spec.at(typical) for spec in self.inputs)
            dims, sizes = output_sizes(lambda _: self.run_one(typical), ()) or {}, ()
        outputs, row_s = self.trial.tried(rows, dims)
        family = Family(
            "", self.inputs, outputs, (), Slo(1.0), sizes=sizes, one_row=self.model.one_row
        )
        family = filled(family, lambda at: self.rows(at, PADDED_ROWS), self.trial.run)
        remarks = [*self.trial.remarks, *([PADDED] if family.pads else [])]
        return Looked(sizes, family.inputs, outputs, row_s, tuple(remarks))

    def largest_s(self, sizes: tuple[FreeSize, ...]) -> float:
        """The median time (s) of the largest row on one thread; 0 where no size is free."""
        most = {size.name: size.most for size in sizes}
        return self.trial.row_s(self.rows(most, 1)) if sizes else 0.0

    def rows(self, sizes: Sizes, count: int) -> Arrays:
        """Rows to try, as many as it takes at once; the user's where there are any, cut or repeated to these sizes."""
        count = min(count, self.model.most_rows)
        if self.calibration is None:
            return made_up(self.model.inputs, count, sizes)
        fit = self.calibration.fit
        return {i.name: resized(fit[i.name][:count], i.at(sizes)) for i in self.model.inputs}

    def run_one(self, sizes: Sizes) -> Arrays:
        """The outputs for one row of these sizes. Raises BuildError."""
        return self.trial.run(self.rows(sizes, 1))

    def _sampled(self) -> Sizes:
        """The free sizes of the user's own rows."""
        rows = {} if self.calibration is None else self.calibration.fit
        return {
            size: dim
            for spec in self.inputs
            if spec.name in rows
            for size, dim in spec.sizes_of(rows[spec.name].shape[1:]).items()
        }
