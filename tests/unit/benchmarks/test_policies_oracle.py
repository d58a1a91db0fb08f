"""Ours beside the policy told the truth: which arms are lost, and what the table says."""

from benchmarks.policies import policies_oracle
from benchmarks.policies.cells import Cell, Sources, default_sources
from benchmarks.policies.policies_oracle import Beside, OracleJob


def a_row(awg: float, told_awg: float, lost: list[str], table: str = "stalls") -> Beside:
    """One seed."""
    return {
        "table": table,
        "cell": "a cell",
        "arm": "v" if table == "spells" else "",
        "attainment": 0.95,
        "awg": awg,
        "told_awg": told_awg,
        "after": 0.80,
        "told_after": 0.81,
        "lost": lost,
    }


def test_an_arm_is_lost_that_the_oracle_uses_and_ours_never_does():
    told = {"much": 980, "some": 15, "hardly": 5}

    assert policies_oracle.lost({"much": 1000}, told) == ["some"]
    assert policies_oracle.lost({"much": 999, "some": 1}, told) == []


def test_a_cell_is_marked_that_is_more_than_half_a_point_below_the_oracle():
    rows = [a_row(0.70, 0.71, ["v"]), a_row(0.70, 0.71, []), a_row(0.70, 0.71, ["v"])]

    text = "\n".join(policies_oracle.markdown(rows))

    assert "| a cell |  | 95.00 | 70.00 | 71.00 | **-1.00 +- 0.00** | v (2 of 3) |" in text


def test_a_table_holds_its_cells_once_however_seeds_are_mixed():
    rows = [a_row(0.7, 0.7, []), a_row(0.8, 0.8, [], "spells")] * 2

    text = "\n".join(policies_oracle.markdown(rows))

    assert text.count("## ") == 2
    assert text.count("| a cell |") == 2


def test_a_spell_tells_what_comes_after_it_too():
    text = "\n".join(policies_oracle.markdown([a_row(0.80, 0.80, [], "spells")]))

    assert "| a cell | v | 95.00 | 80.00 | 80.00 | +0.00 +- 0.00 |  | 80.00 | 81.00 |" in text


def test_a_short_run_of_a_slow_arm_knows_ours_from_the_oracle():
    sources: Sources = default_sources()
    cell = Cell("cpu", "poisson", 0.8, 1, "slow arm")

    found = policies_oracle.beside(OracleJob("slow arm", cell, 11, 6.0, sources))

    assert 0.0 < found["attainment"] <= 1.0
    assert 0.0 < found["awg"] <= 0.776
    assert found["told_awg"] > 0.7
