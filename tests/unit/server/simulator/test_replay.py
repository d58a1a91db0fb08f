"""A replay scores candidates on the same requests under the same noise."""

import pytest

from server.policy.dispatch.choose import adaptive
from server.policy.dispatch.static import largest
from server.simulator.arrivals import poisson
from server.simulator.engine import tickets_at
from server.simulator.replay import ReplaySetup, replay
from tests.support.builders import three_arms

BOTH = {"adaptive": adaptive, "largest": largest}


def test_under_overload_the_one_that_changes_variants_scores_higher():
    requests = tickets_at(poisson(250.0, 5.0, seed=1).tolist(), 0.1)

    scores = replay(three_arms(), requests, BOTH, ReplaySetup())

    assert 0.0 < scores["largest"] < scores["adaptive"] - 0.1 < 0.8


def test_equal_candidates_score_equally():
    requests = tickets_at(poisson(150.0, 5.0, seed=2).tolist(), 0.1)

    scores = replay(three_arms(), requests, {"a": adaptive, "b": adaptive}, ReplaySetup(cv=0.2))

    assert scores["a"] == scores["b"]


def test_more_workers_are_taken_into_account():
    requests = tickets_at(poisson(250.0, 5.0, seed=1).tolist(), 0.1)

    alone = replay(three_arms(), requests, BOTH, ReplaySetup(workers=1))
    four = replay(three_arms(), requests, BOTH, ReplaySetup(workers=4))

    assert four["largest"] > alone["largest"]


def test_no_requests_are_refused():
    with pytest.raises(ValueError, match="no requests"):
        replay(three_arms(), [], BOTH, ReplaySetup())
