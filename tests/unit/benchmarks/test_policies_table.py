"""The policy benchmark's arithmetic: who runs in full, what a gap is, who is named as ahead."""

from collections.abc import Mapping

import pytest

from benchmarks.policies import policies_report
from benchmarks.policies.cells import Cell
from benchmarks.policies.policies_run import Figures, Ran
from benchmarks.policies.policies_table import MOST_CONTENDERS, Screened, row, screened, summary


def a_run(awg: Mapping[str, float], bound: float = 0.8) -> Ran:
    """One seed's figures, by policy."""
    policies: dict[str, Figures] = {
        name: {"awg": value, "attainment": 0.99, "accuracy": 0.8, "late": 0}
        for name, value in awg.items()
    }
    return {"offered": 100, "bound": bound, "policies": policies, "code": {}}


def a_cell(trace: str = "azure_conv", utilisation: float = 1.0) -> Cell:
    """A square of the table."""
    return Cell("gpu", trace, utilisation, 1)


def test_references_far_behind_the_best_do_not_run_in_full_but_keep_their_gap():
    found = screened(a_run({"adaptive": 0.80, "near": 0.79, "best": 0.795, "far": 0.60}))

    assert found.contenders == ("best", "near")
    assert found.left == {"far": pytest.approx(20.0)}


def test_of_references_that_did_the_same_the_last_named_runs_in_full():
    found = screened(a_run({"adaptive": 0.8, "plain": 0.79, "plain+drop": 0.79}))

    assert found.contenders == ("plain+drop",)
    assert found.left == {"plain": pytest.approx(1.0)}


def test_only_so_many_references_run_in_full():
    close = {f"r{i}": 0.79 - i * 1e-4 for i in range(MOST_CONTENDERS + 2)}

    found = screened(a_run({"adaptive": 0.8, **close}))

    assert found.contenders == tuple(f"r{i}" for i in range(MOST_CONTENDERS))


def test_a_gap_is_the_median_of_differences_on_the_same_arrivals():
    runs = [
        a_run({"adaptive": 0.70, "other": 0.69}),
        a_run({"adaptive": 0.80, "other": 0.77}),
        a_run({"adaptive": 0.60, "other": 0.62}),
    ]

    found = row(a_cell(), runs, ["other"])

    assert found.gap == pytest.approx(1.0)
    assert found.ours["awg"] == 0.70
    assert found.spread == (0.60, 0.80)


def test_the_best_reference_is_the_one_with_the_least_gap():
    found = row(
        a_cell(), [a_run({"adaptive": 0.7, "a": 0.65, "b": 0.71, "c": 0.6})], ["a", "b", "c"]
    )

    assert (found.best, found.gap) == ("b", pytest.approx(-1.0))


def test_the_share_of_the_bound_is_taken_seed_by_seed():
    runs = [a_run({"adaptive": 0.4, "a": 0.4}, bound=b) for b in (0.8, 0.5, 0.4)]

    assert row(a_cell(), runs, ["a"]).percent_of_bound == pytest.approx(80.0)


def test_a_reference_ahead_by_more_than_noise_is_named_with_its_cell():
    level = row(a_cell(utilisation=0.5), [a_run({"adaptive": 0.700, "a": 0.702})], ["a"])
    behind = row(a_cell(utilisation=2.0), [a_run({"adaptive": 0.700, "a": 0.706})], ["a"])

    found = summary([level, behind], [Screened(("a",), {})] * 2)

    assert found["cells_with_a_reference_ahead"] == {
        "gpu azure_conv 2x W1": {"a": pytest.approx(-0.6)}
    }


def test_the_worst_recorded_cell_is_not_one_of_a_made_trace():
    recorded = row(a_cell(), [a_run({"adaptive": 0.72, "a": 0.7})], ["a"])
    made = row(a_cell("gamma"), [a_run({"adaptive": 0.4, "a": 0.4})], ["a"])

    found = summary([recorded, made], [Screened(("a",), {})] * 2)

    assert found["worst_recorded_percent_of_bound"] == pytest.approx(90.0)
    assert found["worst_percent_of_bound"] == pytest.approx(50.0)


def test_a_references_mean_gap_counts_screening_runs_where_it_went_no_further():
    rows = [row(a_cell(), [a_run({"adaptive": 0.7, "a": 0.69, "b": 0.6})], ["a"])] * 2
    screenings = [Screened(("a",), {"b": 10.0}), Screened(("a",), {"b": 20.0})]

    found = summary(rows, screenings)["mean_gap_by_reference"]

    assert found == {
        "a": {"mean": pytest.approx(1.0), "worst": pytest.approx(1.0), "cells": 2, "whole": 2},
        "b": {"mean": pytest.approx(15.0), "worst": pytest.approx(10.0), "cells": 2, "whole": 0},
    }


def test_the_report_marks_a_cell_where_a_reference_is_ahead():
    rows = [row(a_cell(), [a_run({"adaptive": 0.70, "a": 0.71})], ["a"])]
    result = {
        "summary": summary(rows, [Screened(("a",), {})]),
        "profiles": {"gpu": {"arms": 6, "slo_ms": 36.0, "largest_rps": 286.0}},
        "machine": {"cpu": "some processor", "date": "today"},
        "duration_s": 120.0,
        "seeds": [11],
        "spent_s": 60.0,
        "processes": 2,
        "command": "python",
        "slow_down": {"rows": []},
        "decision_time": [],
    }

    text = policies_report.markdown(result, rows)

    assert "- gpu azure_conv 1x W1: a (-1.00)" in text
    assert "| azure_conv | 1x | 1 | 80.00 | 70.00 (70.00 to 70.00) |" in text
    assert "| **-1.00** |" in text
