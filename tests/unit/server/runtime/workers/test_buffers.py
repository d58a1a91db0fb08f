"""Which jobs of a step share a run, and that rows come back to the job they are of, as they are alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backends.base import BackendError
from models.catalog import Family, FreeSize, Slo, TensorSpec
from server.policy.decision import ArmProfile
from server.runtime.dispatch.jobs import Arrays, Batch, Job, JobAnswer, Portion, Rows
from server.runtime.workers.buffers import Buffers, checked
from tests.support.builders import a_profile

TOKENS, OTHERS = FreeSize("t", 4, 64), FreeSize("m", 4, 64)
SIZED = Family(
    "text",
    (
        TensorSpec("ids", "INT64", (-1, -1), ("t",)),
        TensorSpec("mask", "INT64", (-1, -1), ("m",)),
    ),
    (TensorSpec("y", "FP32", (-1, -1), ("t",)),),
    (),
    Slo(0.05),
    sizes=(TOKENS, OTHERS),
)
PADDED = Family(
    "text",
    (TensorSpec("ids", "INT64", (-1, -1), ("t",), pad=-1.0),),
    (TensorSpec("y", "INT64", (-1, -1), ("t",)), TensorSpec("sum", "INT64", (-1,))),
    (),
    Slo(0.05),
    sizes=(TOKENS,),
)
FIXED = Family("m", (TensorSpec("x", "FP32", (-1, 2)),), (), (), Slo(0.05), max_batch=8)


def an_arm(run_ms: float = 1.0, unit_ms: float = 1.0, *, separable: bool = True) -> ArmProfile:
    """A run takes `run_ms` and `unit_ms` for each unit of work, up to 200."""
    took_s = (0.0, *((run_ms + unit_ms * units) / 1e3 for units in range(1, 201)))
    return replace(a_profile("v"), mean_s=took_s, upper_s=took_s, separable=separable)


def job(rows: int, ids: int, mask: int = 4, *, reverse: bool = False) -> Job:
    """Its ids are all `ids`."""
    inputs = {"ids": np.full((rows, ids), ids), "mask": np.full((rows, mask), mask)}
    ordered = dict(reversed(inputs.items())) if reverse else inputs
    units = SIZED.units({"t": ids, "m": mask})
    return Job(
        ordered, rows, 0.0, 1.0, 0.0, None, "default", None, row_units=units, sizes=(ids, mask)
    )


def padded_job(rows: int, tokens: int, first: int = 0) -> Job:
    ids = first + np.arange(rows * tokens).reshape(rows, tokens)
    units = PADDED.units({"t": tokens})
    return Job(
        {"ids": ids}, rows, 0.0, 1.0, 0.0, None, "default", None, row_units=units, sizes=(tokens,)
    )


def test_rows_of_one_size_share_a_run_and_others_do_not():
    a, b, c, d = job(1, 3), job(2, 5), job(2, 3), job(1, 3, mask=5)

    assert Buffers(SIZED).runs((a, b, c, d), an_arm()) == [[a, c], [b], [d]]


def test_sizes_are_told_apart_by_input_in_whatever_order_a_client_sends_them():
    a, b = job(1, 4, mask=5), job(1, 5, mask=4, reverse=True)

    assert Buffers(SIZED).runs((a, b), an_arm()) == [[a], [b]]


@pytest.mark.parametrize(
    ("family", "separable"),
    [(SIZED, False), (PADDED, False), (replace(PADDED, one_row=True), True)],
)
def test_where_rows_may_hang_on_each_other_each_request_runs_by_itself(
    family: Family, separable: bool
):
    jobs = (padded_job(1, 3), padded_job(1, 3))

    assert Buffers(family).runs(jobs, an_arm(separable=separable)) == [(jobs[0],), (jobs[1],)]


def test_rows_of_one_size_are_put_together_in_order():
    jobs = (job(1, 3), job(2, 3, reverse=True))
    jobs[1].inputs["ids"][1] = 9

    found = Buffers(SIZED).gather(jobs, 3)

    assert found["ids"].tolist() == [[3] * 3, [3] * 3, [9] * 3]


class Counted(Rows):
    """Rows that all hold one number, and how often they were made arrays of."""

    def __init__(self, number: float, rows: int) -> None:
        self.number, self.rows, self.made = number, rows, 0

    def arrays(self) -> Arrays:
        self.made += 1
        return {"x": np.full((self.rows, 2), self.number, np.float32)}

    @classmethod
    def gather(cls, parts: Sequence[Self], into: Arrays) -> None:
        numbers = [part.number for part in parts for _ in range(part.rows)]
        into["x"][:] = np.asarray(numbers)[:, None]


def a_fixed_job(inputs: Arrays, rows: int = 1) -> Job:
    return Job(inputs, rows, 0.0, 1.0, 0.0, None, "default", None)


def test_rows_that_lie_elsewhere_are_gathered_without_making_arrays_of_each():
    parts = [Counted(1.0, 2), Counted(2.0, 1)]

    found = Buffers(FIXED).gather([a_fixed_job(part, part.rows) for part in parts], 3)

    assert found["x"].tolist() == [[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]
    assert [part.made for part in parts] == [0, 0]


def test_rows_that_lie_elsewhere_join_those_that_do_not():
    mixed = [a_fixed_job(Counted(1.0, 1)), a_fixed_job({"x": np.zeros((1, 2), np.float32)})]

    found = Buffers(FIXED).gather(mixed, 2)

    assert found["x"].tolist() == [[1.0, 1.0], [0.0, 0.0]]
    (alone,) = Buffers(FIXED).gather(mixed[:1], 1).values()
    assert alone.tolist() == [[1.0, 1.0]]


def test_answers_of_a_run_say_where_in_its_outputs_they_are():
    jobs = [a_fixed_job({}, rows) for rows in (2, 1)]
    whole: Arrays = {"y": np.arange(3.0)}

    batch = Batch(an_arm(), "fp32", 3, 0.0, 0.0, 0.0, 3)
    parts = [one.outputs for one in Buffers(FIXED).scatter(jobs, whole, batch)]

    assert [(p.whole is whole, p.first, p.rows) for p in parts if isinstance(p, Portion)] == [
        (True, 0, 2),
        (True, 2, 1),
    ]
    assert [dict(part or {})["y"].tolist() for part in parts] == [[0.0, 1.0], [2.0]]


def test_without_free_sizes_all_jobs_share_a_run():
    jobs = tuple(
        Job({"x": np.zeros((1, 2), np.float32)}, 1, 0.0, 1.0, 0.0, None, "default", None)
        for _ in range(3)
    )

    assert Buffers(FIXED).runs(jobs, an_arm()) == (jobs,)


def test_padding_is_done_where_it_takes_less_than_another_run():
    near, far = padded_job(1, 9), padded_job(1, 60)
    jobs = (far, padded_job(1, 8), near)

    cheap_runs = Buffers(PADDED).runs(jobs, an_arm(run_ms=0.1))
    dear_runs = Buffers(PADDED).runs(jobs, an_arm(run_ms=5.0))
    dearest = Buffers(PADDED).runs(jobs, an_arm(run_ms=500.0))

    assert [[j.sizes[0] for j in run] for run in cheap_runs] == [[8], [9], [60]]
    assert [[j.sizes[0] for j in run] for run in dear_runs] == [[8, 9], [60]]
    assert [[j.sizes[0] for j in run] for run in dearest] == [[8, 9, 60]]


def test_no_run_is_larger_than_any_that_was_measured():
    jobs = tuple(padded_job(1, 60) for _ in range(5))  # 60 units each, of 200

    runs = Buffers(PADDED).runs(jobs, an_arm(run_ms=500.0))

    assert sorted(len(run) for run in runs) == [2, 3]


def answered(jobs: tuple[Job, ...], arm: ArmProfile) -> list[JobAnswer]:
    """By a network that doubles every id, and sums those that are no padding."""
    buffers, batch = Buffers(PADDED), Batch(arm, "fp32", 1, 0.0, 0.0, 0.0, 1)
    answers: list[JobAnswer] = []
    for some in buffers.runs(jobs, arm):
        ids = buffers.gather(some, sum(j.rows for j in some))["ids"]
        outputs: Arrays = {"y": 2 * ids, "sum": np.where(ids < 0, 0, ids).sum(axis=1)}
        answers += buffers.scatter(some, outputs, batch)
    return answers


@given(
    shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 64)), min_size=1, max_size=9),
    run_ms=st.sampled_from([0.0, 1.0, 10.0]),
)
def test_every_job_gets_its_own_answer_once_whatever_it_was_padded_to(
    shapes: Sequence[tuple[int, int]], run_ms: float
):
    jobs = tuple(padded_job(*shape, first=1000 * i) for i, shape in enumerate(shapes))

    answers = answered(jobs, an_arm(run_ms=run_ms))

    assert sorted(id(answer.job) for answer in answers) == sorted(map(id, jobs))
    for answer in answers:
        ids, outputs = answer.job.inputs["ids"], answer.outputs or {}
        assert np.array_equal(outputs["y"], 2 * ids)
        assert np.array_equal(outputs["sum"], ids.sum(axis=1))


def test_outputs_must_be_as_the_signature_says_where_it_does():
    good = {"y": np.zeros((2, 7), np.float32)}

    assert checked({**good, "other": good["y"]}, 2, SIZED, "v") == {"y": good["y"]}
    with pytest.raises(BackendError, match="output 'y' of v"):
        checked({"y": np.zeros((3, 7), np.float32)}, 2, SIZED, "v")
    with pytest.raises(BackendError, match="output 'y' of v"):
        checked({"y": np.zeros((2, 7, 1), np.float32)}, 2, SIZED, "v")


def test_a_row_of_which_everything_is_hidden_is_not_padded():
    masked = replace(
        PADDED,
        inputs=(
            *PADDED.inputs,
            TensorSpec("attention_mask", "INT64", (-1, -1), ("t",), pad=0.0),
        ),
    )
    jobs = tuple(padded_job(1, tokens) for tokens in (3, 5, 4))
    for one, seen in zip(jobs, (1, 0, 1), strict=True):
        one.inputs = {**one.inputs, "attention_mask": np.full((1, one.sizes[0]), seen)}

    runs = Buffers(masked).runs(jobs, an_arm(run_ms=500.0))

    assert runs == [[jobs[0], jobs[2]], [jobs[1]]]
