"""What was trained is read back from origins and standings; what others made is let alone."""

import json

import pytest

from trainer.errors import TrainError
from trainer.sidecar.frontier import Standing
from trainer.sidecar.gaps import Attempt, Performance, Tried
from trainer.sidecar.memory import points, tried

SIZES = {"cnn-w2-d1": 1000, "cnn-w8-d2": 9000}


def sized(network: str) -> int:
    if network not in SIZES:
        raise TrainError(f"network {network} is unknown")
    return SIZES[network]


def a_standing(
    state: str = "serving", origin: str | None = None, accuracy: float = 0.9, **told: object
) -> Standing:
    known = {"network": "cnn-w2-d1", "budget": 2e4, "units": 19_900, "seed": 1, **told}
    text = json.dumps(known) if origin is None else origin
    return Standing(f"v{accuracy}", accuracy, text, state, "", {1: 0.002, 8: 0.008})


def test_files_of_one_run_are_one_try_as_good_as_the_best_of_them():
    files = [a_standing(accuracy=0.9), a_standing("rejected", accuracy=0.88)]

    assert tried(files, sized) == [Tried(Attempt("cnn-w2-d1", 2e4, 1000), 1, 0.9, "serving")]


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (("rejected", "rolled_back"), "dropped"),
        (("rejected", "trial"), "pending"),
        (("profiling",), "pending"),
        (("trial", "serving"), "serving"),
    ],
)
def test_a_try_is_at_the_stage_of_its_files(states: tuple[str, ...], state: str):
    assert [t.state for t in tried(map(a_standing, states), sized)] == [state]


def test_runs_differ_by_network_budget_and_seed():
    files = [
        a_standing(),
        a_standing(seed=2),
        a_standing(budget=4e4),
        a_standing(network="cnn-w8-d2"),
    ]

    assert len(tried(files, sized)) == 4


def test_an_origin_without_a_budget_counts_by_the_units_spent():
    [found] = tried([a_standing(budget=0.0)], sized)

    assert found.attempt.budget == 19_900


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "not JSON",
        "[1]",
        '{"network": "resnet50"}',
        '{"network": "a", "units": "x", "seed": 1}',
        '{"network": "somebody-elses", "units": 5, "seed": 1}',
        '{"network": "a", "units": 0, "seed": 1}',
        '{"network": "cnn-w2-d1", "units": Infinity, "seed": 1}',
        '{"network": "cnn-w2-d1", "units": 5, "seed": Infinity}',
    ],
)
def test_what_others_have_made_is_no_try_yet_serves(origin: str):
    other = a_standing(origin=origin)

    assert tried([other], sized) == []
    assert points([other], sized) == (Performance(0.002, 0.001, 0.9, 0.0),)


def test_only_what_serves_with_a_known_latency_is_a_point():
    unknown = Standing("u", 0.9, "", "serving", "", {})

    found = points([a_standing(), a_standing("trial"), unknown], sized)

    assert found == (Performance(0.002, 0.001, 0.9, 1000),)
