"""The rows of live traffic that candidates are compared on: few, whole, the oldest first."""

import numpy as np

from server.policy.decision import Arm, ArmProfile
from server.runtime.dispatch.jobs import Batch, Job, JobAnswer
from server.runtime.workers.samples import HELD, MOST_ROWS, Samples, top
from tests.support.builders import a_profile

QUICK, SHARP = a_profile("quick"), a_profile("sharp")


def answers(*rows: int, arm: ArmProfile = QUICK) -> list[JobAnswer]:
    """One answer of so many rows for each, row i of class i % 3; each row's input is its number."""
    batch = Batch(arm, "fp32", sum(rows), 0.0, 0.0, 0.0, sum(rows))
    made: list[JobAnswer] = []
    for count in rows:
        x = np.arange(count, dtype=np.float32)[:, None]
        y = np.eye(3, dtype=np.float32)[np.arange(count) % 3]
        job = Job({"x": x}, count, 0.0, 1.0, 0.0, None, "default", None)
        made.append(JobAnswer(job, {"y": y}, batch))
    return made


def keen(share: float = 1.0) -> Samples:
    samples = Samples(share, "y")
    samples.want(wanted=True)
    return samples


def test_rows_are_copied_with_the_classes_that_were_answered():
    samples = keen()
    offered = answers(3)

    samples.offer(offered)
    offered[0].job.inputs["x"][:] = 99.0
    (one,) = samples.take(8, lambda _: True)

    assert one.inputs["x"].ravel().tolist() == [0.0, 1.0, 2.0]
    assert one.classes is not None
    assert one.classes.tolist() == [0, 1, 2]
    assert (one.arm, len(samples)) == (Arm("quick", "scripted"), 0)


def test_no_more_than_the_share_is_taken_of_many_rows():
    samples = keen(0.05)

    samples.offer(answers(*[1] * 19))
    assert len(samples) == 0
    samples.offer(answers(1))
    assert len(samples) == 1


def test_batches_that_follow_at_once_are_left_alone():
    samples = keen()

    for _ in range(100):
        samples.offer(answers(8))

    taken = samples.take(1000, lambda _: True)
    assert 1 <= sum(one.rows for one in taken) < 100 * 8
    assert max(one.rows for one in taken) <= MOST_ROWS


def test_what_is_not_alike_stays():
    samples = keen()
    samples.offer(answers(1, 1))
    oldest = samples.oldest()

    assert samples.take(8, lambda one: one.arm.variant == "sharp") == []
    assert samples.oldest() is oldest
    assert len(samples.take(1, lambda one: one.arm.variant == "quick")) == 1
    assert len(samples) == 1


def test_a_sample_of_more_rows_than_fit_is_cut():
    samples = keen()
    samples.offer(answers(4))

    (one,) = samples.take(2, lambda _: True)

    assert (one.rows, len(one.inputs["x"]), len(samples)) == (2, 2, 0)


def test_when_nobody_is_on_trial_any_more_all_is_forgotten():
    samples = keen()
    samples.offer(answers(1))

    samples.want(wanted=False)

    assert (samples.wanted, len(samples), samples.oldest()) == (False, 0, None)


def test_with_a_share_of_nothing_nothing_is_wanted():
    assert not keen(0.0).wanted


def test_the_oldest_gives_way():
    samples = keen()

    for _ in range(3):
        samples._free_s = 0.0  # noqa: SLF001 - as if time had gone by
        samples.offer(answers(*[1] * HELD))

    assert len(samples) <= HELD


def test_the_top_class_of_scores_that_are_no_numbers_is_none():
    scores = np.array([[0.1, 0.9], [np.nan, 0.5], [np.inf, 0.0]], np.float32)

    assert top(scores).tolist() == [1, -1, -1]
