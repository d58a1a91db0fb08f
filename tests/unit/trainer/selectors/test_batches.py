"""The queue of selected examples gives out full batches in order, and what is left at the end."""

import numpy as np
import pytest

from trainer.selectors import Batches


def push(queue: Batches, *ids: int) -> None:
    queue.push(np.array(ids, np.intp), np.array(ids, np.float32) / 2)


def test_a_batch_comes_out_once_it_is_full():
    queue = Batches(3)

    push(queue, 1, 2)
    assert queue.pop() is None
    push(queue, 3, 4)
    popped = queue.pop()

    assert popped is not None
    assert list(popped[0]) == [1, 2, 3]
    assert list(popped[1]) == [0.5, 1, 1.5]
    assert queue.pop() is None
    assert len(queue) == 1


def test_a_batch_that_came_out_does_not_change_afterwards():
    queue = Batches(2)
    push(queue, 1, 2)
    popped = queue.pop()

    for _ in range(20):
        push(queue, 8, 9)

    assert popped is not None
    assert list(popped[0]) == [1, 2]


def test_weights_that_are_not_as_many_as_the_examples_are_refused():
    with pytest.raises(ValueError, match="2 examples came with 1 weights"):
        Batches(2).push(np.arange(2), np.ones(1, np.float32))


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one example, not 0"):
        Batches(0)
