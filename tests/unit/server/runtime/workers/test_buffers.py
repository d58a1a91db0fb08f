"""Which jobs of a step share a run, and that rows come back to the job they are of."""

import numpy as np
import pytest

from models.backends.base import BackendError
from models.catalog import Family, FreeSize, Slo, TensorSpec
from server.runtime.dispatch.jobs import Job
from server.runtime.workers.buffers import Buffers, checked

IDS, MASK = (
    TensorSpec("ids", "INT64", (-1, -1), ("t",)),
    TensorSpec("mask", "INT64", (-1, -1), ("m",)),
)
SIZED = Family(
    "text",
    (IDS, MASK),
    (TensorSpec("y", "FP32", (-1, -1), ("t",)),),
    (),
    Slo(0.05),
    sizes=(FreeSize("t", 4, 64), FreeSize("m", 4, 64)),
)
FIXED = Family("m", (TensorSpec("x", "FP32", (-1, 2)),), (), (), Slo(0.05), max_batch=8)


def job(rows: int, ids: int, mask: int = 4, *, reverse: bool = False) -> Job:
    """Its ids are all `ids`."""
    inputs = {"ids": np.full((rows, ids), ids), "mask": np.full((rows, mask), mask)}
    ordered = dict(reversed(inputs.items())) if reverse else inputs
    return Job(ordered, rows, 0.0, 1.0, 0.0, None, "default", None)


def test_rows_of_one_size_share_a_run_and_others_do_not():
    a, b, c, d = job(1, 3), job(2, 5), job(2, 3), job(1, 3, mask=5)

    assert Buffers(SIZED).runs((a, b, c, d), apart=False) == [(a, c), (b,), (d,)]


def test_sizes_are_told_apart_by_input_in_whatever_order_a_client_sends_them():
    a, b = job(1, 4, mask=5), job(1, 5, mask=4, reverse=True)

    assert Buffers(SIZED).runs((a, b), apart=False) == [(a,), (b,)]


def test_where_rows_may_hang_on_each_other_each_request_runs_by_itself():
    jobs = (job(1, 3), job(2, 3))

    assert Buffers(SIZED).runs(jobs, apart=True) == [(jobs[0],), (jobs[1],)]


def test_rows_of_one_size_are_put_together_in_order():
    jobs = (job(1, 3), job(2, 3, reverse=True))
    jobs[1].inputs["ids"][1] = 9

    found = Buffers(SIZED).gather(jobs, 3)

    assert found["ids"].tolist() == [[3] * 3, [3] * 3, [9] * 3]


def test_without_free_sizes_all_jobs_share_a_run():
    jobs = tuple(
        Job({"x": np.zeros((1, 2), np.float32)}, 1, 0.0, 1.0, 0.0, None, "default", None)
        for _ in range(3)
    )

    assert Buffers(FIXED).runs(jobs, apart=False) == (jobs,)


def test_outputs_must_be_as_the_signature_says_where_it_does():
    good = {"y": np.zeros((2, 7), np.float32)}

    assert checked(good, 2, SIZED, "v") is good
    with pytest.raises(BackendError, match="output 'y' of v"):
        checked({"y": np.zeros((3, 7), np.float32)}, 2, SIZED, "v")
    with pytest.raises(BackendError, match="output 'y' of v"):
        checked({"y": np.zeros((2, 7, 1), np.float32)}, 2, SIZED, "v")
