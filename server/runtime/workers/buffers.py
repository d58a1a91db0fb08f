"""From jobs to the arrays of one batch, and from a batch's outputs back to its jobs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.backends.base import BackendError
from models.catalog import Family
from server.runtime.dispatch.jobs import Arrays, Batch, Job, JobAnswer


class Buffers:
    """One preallocated array per input, filled row by row; a single job's arrays are used as they are.

    Where sizes are free nothing is allocated beforehand: each batch has other shapes.
    """

    def __init__(self, family: Family) -> None:
        self._sized = bool(family.sizes)
        self._apart = family.one_row
        self._names = [spec.name for spec in family.inputs]
        self._arrays: dict[str, NDArray[np.generic]] = {
            spec.name: np.empty((family.max_batch, *spec.shape[1:]), spec.dtype)
            for spec in family.inputs
            if not self._sized
        }

    def runs(self, jobs: tuple[Job, ...], *, apart: bool) -> Sequence[tuple[Job, ...]]:
        """The jobs of a step by what can share a run: rows of one size; `apart`: each request for itself."""
        if not self._sized or len(jobs) == 1:
            return (jobs,)
        if apart or self._apart:
            return [(job,) for job in jobs]
        alike: dict[tuple[tuple[int, ...], ...], list[Job]] = {}
        for job in jobs:
            shapes = tuple([job.inputs[name].shape[1:] for name in self._names])
            alike.setdefault(shapes, []).append(job)
        return [tuple(some) for some in alike.values()]

    def gather(self, jobs: Sequence[Job], rows: int) -> Arrays:
        """The jobs' rows, one after the other; good until the next call."""
        if len(jobs) == 1:
            return jobs[0].inputs
        if self._sized:
            return {n: np.concatenate([job.inputs[n] for job in jobs]) for n in self._names}
        for name, whole in self._arrays.items():
            at = 0
            for job in jobs:
                whole[at : at + job.rows] = job.inputs[name]
                at += job.rows
        return {name: whole[:rows] for name, whole in self._arrays.items()}


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
    """`outputs`, which are as the family's signature says for so many rows. Raises BackendError."""
    for spec in family.outputs:
        array = outputs[spec.name]
        if not family.answers(spec, array.shape, rows) or array.dtype != spec.dtype:
            raise BackendError(
                f"output {spec.name!r} of {variant} is {array.dtype} {list(array.shape)} for {rows} rows, "
                f"the family says {spec.datatype} {list(spec.shape)}"
            )
    return outputs


def scatter(jobs: Sequence[Job], outputs: Arrays, batch: Batch) -> list[JobAnswer]:
    """Each job's rows of the outputs, as its answer."""
    answers: list[JobAnswer] = []
    if len(jobs) == 1:
        return [JobAnswer(jobs[0], outputs, batch)]
    at = 0
    for job in jobs:
        end = at + job.rows
        part = {name: array[at:end] for name, array in outputs.items()}
        answers.append(JobAnswer(job, part, batch))
        at = end
    return answers
