"""The policy benchmark's arithmetic: who runs in full, who is compared with whom, what a gap is, who is ahead."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchmarks.policies import policies_report, policies_table, promise
from benchmarks.policies.cells import Cell
from benchmarks.policies.policies_run import Figures, Ran
from benchmarks.policies.policies_table import (
    MOST_CONTENDERS,
    Row,
    Screened,
    anew,
    row,
    screened,
    summary,
    told,
)


def a_run(
    awg: Mapping[str, float], bound: float = 0.8, in_time: Mapping[str, float] | None = None
) -> Ran:
    """One seed's figures, by policy; all keep the promise but as `in_time` says."""
    policies: dict[str, Figures] = {
        name: {
            "awg": value,
            "attainment": (in_time or {}).get(name, 0.99),
            "accuracy": 0.8,
            "late": 0,
        }
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


def test_a_gap_is_the_mean_of_differences_on_the_same_arrivals_with_their_spread():
    runs = [
        a_run({"adaptive": 0.70, "other": 0.69}),
        a_run({"adaptive": 0.80, "other": 0.76}),
        a_run({"adaptive": 0.60, "other": 0.62}),
    ]

    found = row(a_cell(), runs, ["other"])

    assert found.gap == pytest.approx(1.0)
    assert found.gap_spreads["other"] == pytest.approx(3.0)
    assert found.ours["awg"] == pytest.approx(0.70)
    assert found.spread == pytest.approx(0.10)


def test_ours_run_anew_beside_earlier_references_has_the_same_means():
    before = [a_run({"adaptive": 0.6, "other": 0.69}), a_run({"adaptive": 0.7, "other": 0.76})]
    after = [a_run({"adaptive": 0.7, "other": 0.69}), a_run({"adaptive": 0.8, "other": 0.76})]
    earlier = policies_table.read(json.loads(json.dumps(told(row(a_cell(), before, ["other"])))))

    found = anew(earlier, [a_run({"adaptive": 0.7}), a_run({"adaptive": 0.8})])

    whole = row(a_cell(), after, ["other"])
    assert (found.cell, found.ours, found.references) == (whole.cell, whole.ours, whole.references)
    assert found.gap == pytest.approx(whole.gap)
    assert found.percent_of_bound == pytest.approx(whole.percent_of_bound)
    assert found.spread == pytest.approx(whole.spread)
    assert not found.gap_spreads


def test_a_reference_that_breaks_the_promise_is_no_rival_of_ours_that_keeps_it():
    run = a_run({"adaptive": 0.7, "loose": 0.75, "strict": 0.69}, in_time={"loose": 0.98})

    found = row(a_cell(), [run], ["loose", "strict"])

    assert found.keepers == ("adaptive", "strict")
    assert (found.best, found.gap) == ("strict", pytest.approx(1.0))
    assert not found.behind


def test_where_nobody_keeps_the_promise_all_are_compared_by_awg():
    run = a_run({"adaptive": 0.7, "a": 0.75}, in_time={"adaptive": 0.9, "a": 0.8})

    found = row(a_cell(), [run], ["a"])

    assert (found.verdict, found.keepers) == ("none can", ())
    assert (found.best, found.gap, found.behind) == ("a", pytest.approx(-5.0), True)


def test_a_broken_promise_is_told_and_its_awg_counts_for_nothing():
    run = a_run({"adaptive": 0.79, "a": 0.70}, in_time={"adaptive": 0.98})
    rows = [row(a_cell(), [run], ["a"])]

    found = summary(rows, [Screened(("a",), {})])

    assert rows[0].behind
    assert found["verdicts"] == dict.fromkeys(promise.VERDICTS, 0) | {"broken": 1}
    assert found["mean_gap_points"] is None
    assert found["broken"] == {
        "gpu azure_conv 1x W1": {
            "ours": rows[0].ours,
            "reference": "a",
            "its": rows[0].references["a"],
        }
    }


def test_where_ours_alone_keeps_the_promise_there_is_no_rival():
    found = row(a_cell(), [a_run({"adaptive": 0.7, "a": 0.8}, in_time={"a": 0.9})], ["a"])

    assert (found.verdict, found.best, found.gap, found.behind) == ("alone", None, None, False)


def test_who_may_keep_the_promise_runs_in_full_however_little_awg_it_has():
    run = a_run(
        {"adaptive": 0.80, "loose": 0.80, "strict": 0.60}, in_time={"loose": 0.90, "strict": 0.995}
    )

    assert screened(run).contenders == ("loose", "strict")


def test_the_most_accurate_fixed_variants_that_may_keep_it_run_in_full():
    awg = {f"r{i}": 0.79 - i * 1e-4 for i in range(MOST_CONTENDERS + 1)}
    run = a_run({"adaptive": 0.8, **awg, "static:small": 0.60, "static:large": 0.55})
    run["policies"]["static:small"]["accuracy"] = 0.7
    run["policies"]["static:large"]["accuracy"] = 0.9

    assert {"static:small", "static:large"} <= set(screened(run).contenders)


def test_a_fixed_variant_runs_in_full_as_the_policy_that_served_most_in_time():
    awg = {f"r{i}": 0.79 - i * 1e-4 for i in range(MOST_CONTENDERS)}
    run = a_run(
        {"adaptive": 0.8, **awg, "fixed:v": 0.60, "fixed:v+nexus": 0.61, "static:v": 0.605},
        in_time={"fixed:v": 0.985, "static:v": 0.99, "fixed:v+nexus": 0.988},
    )

    found = screened(run).contenders

    assert "static:v" in found
    assert not {"fixed:v", "fixed:v+nexus"} & set(found)


def test_a_fixed_variant_runs_in_full_though_another_policy_did_the_very_same():
    run = a_run({"adaptive": 0.8, "static:v": 0.7, "clipper:v": 0.7})

    assert set(screened(run).contenders) == {"static:v", "clipper:v"}


def test_of_those_that_missed_nothing_the_one_with_most_to_spare_runs_in_full():
    awg = {f"r{i}": 0.79 - i * 1e-4 for i in range(MOST_CONTENDERS)}
    run = a_run({"adaptive": 0.8, **awg, "clipper:cheap": 0.5})
    run["policies"]["clipper:cheap"]["accuracy"] = 0.5

    assert "clipper:cheap" in screened(run).contenders


def test_cells_of_a_condition_are_told_by_themselves():
    quiet = row(a_cell(), [a_run({"adaptive": 0.7, "a": 0.69})], ["a"])
    stalls = row(
        Cell("gpu", "azure_conv", 1.0, 1, "stalls"), [a_run({"adaptive": 0.5, "a": 0.6})], ["a"]
    )

    found = summary([quiet, stalls], [Screened(("a",), {})] * 2)

    assert found["by_condition"] == {
        "quiet": _figures(found, "quiet", gap=1.0),
        "stalls": _figures(found, "stalls", gap=-10.0),
    }
    assert found["worst_recorded_cell"] == "gpu azure_conv 1x W1"


def _figures(found: Mapping[str, Any], condition: str, gap: float) -> dict[str, Any]:
    own = found["by_condition"][condition]
    return {**own, "cells": 1, "mean_gap_points": pytest.approx(gap)}


def test_the_best_reference_is_the_one_with_the_least_gap():
    found = row(
        a_cell(), [a_run({"adaptive": 0.7, "a": 0.65, "b": 0.71, "c": 0.6})], ["a", "b", "c"]
    )

    assert (found.best, found.gap) == ("b", pytest.approx(-1.0))


def test_the_share_of_the_bound_is_taken_seed_by_seed():
    runs = [a_run({"adaptive": 0.4, "a": 0.4}, bound=b) for b in (0.8, 0.5, 0.4)]

    assert row(a_cell(), runs, ["a"]).percent_of_bound == pytest.approx((50 + 80 + 100) / 3)


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

    found: Any = summary(rows, screenings)["mean_gap_by_reference"]

    close, far = found["a"], found["b"]
    assert close == {"mean": pytest.approx(1.0), "worst": close["mean"], **_counts(2, 2, 2)}
    assert far == {"mean": pytest.approx(15.0), "worst": pytest.approx(10.0), **_counts(2, 0, 0)}


def _counts(cells: int, whole: int, kept: int) -> dict[str, int]:
    return {"cells": cells, "whole": whole, "kept": kept}


def a_report(rows: Sequence[Row]) -> str:
    """The Markdown of these cells."""
    told: dict[str, Any] = {
        "summary": summary(rows, [Screened(tuple(r.gaps), {}) for r in rows]),
        "profiles": {"gpu": {"arms": 6, "slo_ms": 36.0, "largest_rps": 286.0}},
        "machine": {"cpu": "some processor", "date": "today"},
        "duration_s": 120.0,
        "seeds": [11],
        "spent_s": 60.0,
        "processes": 2,
        "command": "python",
        "cells": [policies_table.told(row) for row in rows],
        "slow_down": {"rows": []},
        "oracle": [],
        "decision_time": [],
    }
    return policies_report.markdown(told)


def test_the_report_marks_a_cell_where_a_reference_is_ahead():
    text = a_report([row(a_cell(), [a_run({"adaptive": 0.70, "a": 0.71})], ["a"])])

    assert "- gpu azure_conv 1x W1: a (-1.00)" in text
    assert "| azure_conv | 1x | 1 | quiet | 80.00 | 70.00 +- 0.00 |" in text
    assert "| **-1.00 +- 0.00** |" in text


def test_the_report_says_of_a_cell_who_keeps_the_promise_and_the_best_of_them():
    run = a_run(
        {"adaptive": 0.70, "loose": 0.75, "static:v": 0.69},
        in_time={"adaptive": 0.97, "loose": 0.95},
    )

    text = a_report([row(a_cell(), [run], ["loose", "static:v"])])

    assert "| **broken** | static:v | static:v 80.00 | static:v | 69.00 (99.00) |" in text
    assert "| (+1.00 +- 0.00) |" in text
    assert "- gpu azure_conv 1x W1: 97.00 in time at 80.00; static:v 99.00 in time at 80.00" in text
