"""The planner counts a network's work and feeds the choice with what is published, served and asked for."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks are counted by torch")

from trainer.data import Dataset, Split
from trainer.errors import TrainError
from trainer.run.sizing import multiplications
from trainer.sidecar.assignment import Assignment
from trainer.sidecar.frontier import Frontier, NoServer, Region, Standing
from trainer.sidecar.gaps import Tried
from trainer.sidecar.planning import Planner, as_values

ORIGIN = '{"network": "cnn-w2-d1", "budget": 20000, "units": 19000, "seed": 0}'
SERVES = Standing("v", 0.6, ORIGIN, "serving", "", {1: 0.001})


def a_planner(*networks: str) -> Planner:
    split = Split(np.zeros((4, 1, 8, 8), np.uint8), np.zeros(4, np.int64))
    dataset = Dataset("dots", split, split, ("a", "b"), "drawn")
    budgets = (80_000.0, 20_000.0)
    return Planner(Assignment("dots", Path("models"), networks, budgets), dataset)


def test_multiplications_are_those_of_convolutions_and_full_layers():
    convolution = 8 * 8 * 4 * (1 * 3 * 3)
    hidden, last = 4 * 4 * 4 * 16, 16 * 10

    assert multiplications("cnn-w4-d1", (1, 8, 8), 10) == convolution + hidden + last


def test_a_network_that_cannot_be_is_refused():
    with pytest.raises(TrainError, match="resnet50"):
        multiplications("resnet50", (1, 8, 8), 10)


def test_a_family_begins_with_what_is_trained_soonest():
    proposal = a_planner("cnn-w8-d2", "cnn-w2-d1").first()

    assert proposal is not None
    assert (proposal.attempt.network, proposal.attempt.budget) == ("cnn-w2-d1", 20_000)
    assert "there is no family dots in models yet" in proposal.reason


def test_a_family_does_not_begin_with_what_diverged():
    planner = a_planner("cnn-w8-d2", "cnn-w2-d1")
    small = [Tried(o, 0, 0.0, "failed") for o in planner.attempts if o.network == "cnn-w2-d1"]

    proposal = planner.first(small)

    assert proposal is not None
    assert (proposal.attempt.network, proposal.attempt.budget) == ("cnn-w8-d2", 20_000)
    assert planner.first([Tried(o, 0, 0.0, "failed") for o in planner.attempts]) is None


def test_where_nobody_asked_lately_the_familys_own_bound_is_planned_for():
    proposal = a_planner("cnn-w8-d2").next(None, Frontier((SERVES,), (), 60.0))

    assert proposal is not None
    assert "bounds of about 50 ms" in proposal.reason


def test_those_who_asked_lately_are_planned_for():
    asked = (Region(0.064, 0, 0, 0.0), Region(0.256, 90, 80, 0.6))

    proposal = a_planner("cnn-w8-d2").next(None, Frontier((SERVES,), asked, 60.0))

    assert proposal is not None
    assert (
        "bounds of about 256 ms can have 60.0% of what serves (had 60.0% of late)"
        in proposal.reason
    )
    assert as_values(proposal)["network"] == "cnn-w8-d2"
    assert as_values(None)["network"] is None


def test_before_anything_is_measured_nothing_can_be_planned():
    loading = Frontier((Standing("v", 0.6, ORIGIN, "serving", "", {}),), (), 60.0)

    with pytest.raises(NoServer, match="no variant of dots has been measured"):
        a_planner("cnn-w8-d2").next(None, loading)
