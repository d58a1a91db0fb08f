"""From jobs to the arrays of one batch, and from a batch's outputs back to its jobs."""

from collections.abc import Sequence
from functools import partial
from math import inf
from typing import cast

import numpy as np
from numpy.typing import NDArray

from models.backends.base import BackendError
from models.catalog import Family
from models.padding import cropped, hides_all, padded
from server.policy.decision import ArmProfile
from server.runtime.dispatch.jobs import Arrays, Batch, Job, JobAnswer, Portion, Rows
from server.runtime.workers.grouping import Sized, by_size, padded_groups


class Buffers:
    """One preallocated array per input, filled row by row; a single job's arrays are used as they are.

    Where sizes are free nothing is allocated beforehand: each batch has other shapes.
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._arrays: dict[str, NDArray[np.generic]] = {
            spec.name: np.empty((family.max_batch, *spec.shape[1:]), spec.dtype)
            for spec in family.inputs
            if not family.sizes
        }

    def runs(self, jobs: tuple[Job, ...], profile: ArmProfile) -> Sequence[Sequence[Job]]:
        """The jobs of a step by what can share a run on this arm, and does where that takes less time in all."""
        family = self._family
        if not family.sizes or len(jobs) == 1:
            return (jobs,)
        if family.one_row or not profile.separable:
            return [(job,) for job in jobs]
        if not family.pads:
            return by_size([(job, job.sizes) for job in jobs])
        hidden = [job for job in jobs if hides_all(job.inputs)]
        ordered = [job for job in jobs if job not in hidden]
        ordered.sort(key=lambda job: (job.row_units, job.sizes))
        sized = [Sized(job.rows, job.sizes) for job in ordered]
        groups = padded_groups(sized, partial(self._takes_s, profile))
        return [*([ordered[i] for i in group] for group in groups), *([job] for job in hidden)]

    def gather(self, jobs: Sequence[Job], rows: int) -> Arrays:
        """The jobs' rows, one after the other, padded to one size; good until the next call."""
        if len(jobs) == 1:
            inputs = jobs[0].inputs
            return inputs.arrays() if isinstance(inputs, Rows) else inputs
        if self._family.sizes:
            return self._joined(jobs)
        into = {name: whole[:rows] for name, whole in self._arrays.items()}
        parts = [job.inputs for job in jobs]
        kind = type(parts[0])
        if issubclass(kind, Rows) and all(type(part) is kind for part in parts):
            kind.gather(cast("Sequence[Rows]", parts), into)
            return into
        for name, whole in into.items():
            at = 0
            for job, part in zip(jobs, parts, strict=True):
                whole[at : at + job.rows] = part[name]
                at += job.rows
        return into

    def scatter(self, jobs: Sequence[Job], outputs: Arrays, batch: Batch) -> list[JobAnswer]:
        """Each job's rows of the outputs, cut to its sizes, as its answer."""
        family, answers, at = self._family, list[JobAnswer](), 0
        if len(jobs) == 1 and (family.sizes or family.one_row):
            return [JobAnswer(jobs[0], outputs, batch)]
        for job in jobs:
            part: Arrays = Portion(outputs, at, job.rows)
            if family.sizes:
                sizes = family.sizes_by_name(job.sizes)
                part = {s.name: cropped(part[s.name], s, sizes) for s in family.outputs}
            answers.append(JobAnswer(job, part, batch))
            at += job.rows
        return answers

    def _joined(self, jobs: Sequence[Job]) -> Arrays:
        family = self._family
        sizes = family.sizes_by_name(tuple(map(max, *(job.sizes for job in jobs))))
        rows = [padded(job.inputs, family, sizes) for job in jobs]
        return {
            spec.name: np.concatenate([one[spec.name] for one in rows]) for spec in family.inputs
        }

    def _takes_s(self, profile: ArmProfile, rows: int, sizes: tuple[int, ...]) -> float:
        """How long (s) a run of rows of these sizes is foreseen to take; infinite where it is larger than any."""
        units = self._family.units(self._family.sizes_by_name(sizes), rows)
        return profile.mean_s[units] if units <= profile.max_batch else inf


def too_large(family: Family) -> str:
    """Why there is no memory for the largest batch's inputs, which every worker holds; empty where there is."""
    try:
        Buffers(family)
    except (MemoryError, ValueError) as error:
        return (
            f"family {family.name} cannot be served: there is no memory for max_batch = {family.max_batch} rows of its "
            f"inputs ({error}); correct max_batch or the shapes in its manifest"
        )
    return ""


def checked(outputs: Arrays, rows: int, family: Family, variant: str) -> Arrays:
    """`outputs`, as the family's signature says for so many rows and in its order. Raises BackendError."""
    for spec in family.outputs:
        array = outputs[spec.name]
        fits = array.shape == (rows, *spec.shape[1:]) or family.answers(spec, array.shape, rows)
        if not fits or array.dtype != spec.dtype:
            raise BackendError(
                f"output {spec.name!r} of {variant} is {array.dtype} {list(array.shape)} for {rows} rows, "
                f"the family says {spec.datatype} {list(spec.shape)}"
            )
    return {spec.name: outputs[spec.name] for spec in family.outputs}
