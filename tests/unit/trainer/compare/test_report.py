"""A comparison's report, plot and command: what they must say, and what they must not claim."""

import csv
import io
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.compare import comparison as command
from trainer.compare import plot
from trainer.compare.comparison import Comparison, compare
from trainer.compare.findings import Findings, findings
from trainer.compare.outcomes import Cell, Finished, Outcome
from trainer.compare.report import About, markdown
from trainer.compare.sentences import in_short
from trainer.errors import TrainError

BUDGETS = (1e5, 2e5, 4e5, 8e5)
ABOUT = About(
    title="Selectors on a power law",
    protocol="Equal budgets, the learning rate down to zero at the end.",
    command_line="gearshift train --compare uniform,fast",
    machine="some CPU, 2 cores, torch 2.13.0",
)


def _finished(cell: Cell, speed: float, noise: float) -> Finished:
    scatter = np.random.default_rng([cell.seed, int(cell.budget)]).normal(0.0, noise)
    error = 0.05 + 0.6 * (speed * cell.budget) ** -0.3 + scatter
    backprops = cell.budget / (3.0 * speed)
    return Finished(
        cell, "", Outcome(error, cell.budget, 9.0, backprops, cell.budget / 1e4, 0.5, 0.25)
    )


def _found(
    speeds: Mapping[str, float],
    seeds: Sequence[int] = (1, 2, 3),
    noise: float = 1e-4,
    controls: Sequence[str] = (),
) -> Findings:
    """Runs of power laws, `speeds` times as fast as uniform, with noise of their own for each selector."""
    cells = [Cell(s, b, n) for s in speeds for b in BUDGETS for n in seeds]
    names = list(speeds)
    runs = [
        replace(
            _finished(
                replace(p, seed=p.seed + 100 * names.index(p.selector)), speeds[p.selector], noise
            ),
            cell=p,
        )
        for p in cells
    ]
    return findings(cells, runs, {}, ("uniform", *controls), np.random.default_rng(3))


def test_the_report_has_everything_that_a_reader_needs_to_repeat_and_check_it():
    found = _found({"uniform": 1.0, "fast:beta=2": 1.8}, controls=("fast:beta=2",))

    text = markdown(ABOUT, found, "comparison.png")

    for part in (ABOUT.title, ABOUT.protocol, ABOUT.command_line, ABOUT.machine, "![", "seeds"):
        assert part in text
    for heading in (
        "In short",
        "Error at equal cost",
        "Speed-up at equal test error",
        "Level by level",
    ):
        assert f"## {heading}" in text
    assert "| `fast:beta=2` | `uniform` | **1.8" in text
    assert "| `uniform` | `fast:beta=2` | **0.5" in text
    assert text.count("| 800,000 | `") == 2
    assert " ± 0.0" in text


def test_every_table_has_as_many_cells_as_its_head():
    text = markdown(ABOUT, _found({"uniform": 1.0, "fast": 1.8, "slow": 0.3}), "comparison.png")

    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("| --- |")]
    assert len(heads) == 4
    for i in heads:
        row = i - 1
        while lines[row].startswith("|"):
            assert lines[row].count("|") == lines[i].count("|"), lines[row]
            row += 1
            if row == len(lines):
                break


def test_the_winner_is_named_with_whom_it_is_significantly_ahead_of():
    found = _found({"uniform": 1.0, "fast": 1.8, "twin": 1.79, "slow": 0.7}, noise=2e-4)

    first, *others = in_short(found)

    assert found.best in {"fast", "twin"}
    ahead, level = first.split("; not significantly ahead of ")
    assert "`uniform`" in ahead
    assert "`slow`" in ahead
    assert level.strip(".`") in {"fast", "twin"}
    slow = [line for line in others if line.startswith("`slow` against `uniform`: 1.4")]
    assert any("dearer" in line for line in slow)


def test_where_nothing_is_significant_the_report_says_so():
    found = _found({"uniform": 1.0, "same": 1.0}, noise=1e-3)

    (line,) = [line for line in in_short(found) if line.startswith("`same`")]

    assert "no significant difference of cost at equal error" in line


def test_if_nobody_beats_the_baseline_nobody_is_called_cheapest():
    found = _found({"uniform": 1.0, "slow": 0.6})

    assert found.best is None
    assert in_short(found)[0] == "No selector is cheaper than `uniform` at equal error."


def test_of_a_single_seed_no_significance_is_claimed():
    found = _found({"uniform": 1.0, "fast": 1.8}, seeds=(1,))

    lines = in_short(found)

    assert "not significantly ahead of `uniform`" in lines[0]
    assert "whether that is significant is unknown" in lines[1]
    assert any("too few" in line for line in lines)
    assert (
        "±" not in markdown(ABOUT, found, "p.png").split("## Difference")[0].split("| 100,000")[1]
    )


def test_curves_without_a_common_error_are_told_as_a_bound():
    found = _found({"uniform": 1.0, "fast": 30.0})

    lines = in_short(found)

    assert "more than 8.00 times cheaper" in lines[1]
    assert "significantly ahead of `uniform`" in lines[0]
    assert "not significantly" not in lines[0]
    assert "| no common error |" in markdown(ABOUT, found, "p.png")


def test_units_that_cost_more_cpu_seconds_than_the_baselines_are_told():
    found = _found({"uniform": 1.0, "fast": 1.8})

    def dearer(run: Finished) -> Finished:
        by = 1.2 if run.cell.selector == "fast" else 1.0
        return replace(run, outcome=replace(run.outcome, cpu_seconds=by * run.outcome.cpu_seconds))

    lines = in_short(replace(found, runs=tuple(map(dearer, found.runs))))

    assert not any("CPU seconds" in line for line in in_short(found))
    assert any("`fast` took 1.20 times the CPU seconds" in line for line in lines)


def test_runs_that_overspend_their_budget_are_told():
    found = _found({"uniform": 1.0, "fast": 1.8})
    runs = [
        replace(r, outcome=replace(r.outcome, units=1.05 * r.outcome.units)) for r in found.runs
    ]

    lines = in_short(replace(found, runs=tuple(runs)))

    assert any("`fast` spent 1.050 of a budget" in line for line in lines)


def test_a_comparison_without_any_result_still_has_a_report():
    cells = [Cell(s, b, 1) for s in ("uniform", "fast") for b in BUDGETS]
    absent = dict.fromkeys(cells, "exit 2: no |data|\nhere")
    found = findings(cells, [], absent, ("uniform",), np.random.default_rng(3))

    text = markdown(ABOUT, found, "p.png")

    assert "no runs to compare" in text
    assert text.count("no run |") == 8
    assert text.count("exit 2: no /data/ here") == 8


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_the_plot_is_a_picture_of_every_curve(tmp_path: Path, seeds: tuple[int, ...]):
    found = _found({"uniform": 1.0, "fast": 1.8, "slow": 0.5}, seeds=seeds)

    plot.draw(list(found.curves.values()), "a title", tmp_path / "plot.png")

    with Image.open(tmp_path / "plot.png") as image:
        assert image.width >= 800
        assert image.height >= 500
        colors = {c for _, c in image.convert("RGB").getcolors(image.width * image.height) or []}
    assert {(0, 0, 0), (0, 114, 178), (213, 94, 0)} <= colors


def test_a_plot_without_runs_is_an_empty_one(tmp_path: Path):
    cells = [Cell("uniform", b, 1) for b in BUDGETS]
    found = findings(cells, [], {}, ("uniform",), np.random.default_rng(3))

    plot.draw(list(found.curves.values()), "nothing", tmp_path / "plot.png")

    assert (tmp_path / "plot.png").stat().st_size > 1000


def _options(out: Path) -> Comparison:
    return Comparison(("uniform", "fast"), BUDGETS[:2], (1, 2), out, at_once=2)


def _argv(cell: Cell) -> list[str]:
    outcome = _finished(cell, 1.8 if cell.selector == "fast" else 1.0, 1e-4).outcome
    printed = {name: getattr(outcome, name) for name in Outcome.__slots__}
    return [sys.executable, "-c", f"print('''{json.dumps(printed)}''')"]


def test_a_comparison_writes_runs_table_plot_and_report(tmp_path: Path):
    shown = io.StringIO()

    code = compare(_options(tmp_path / "out"), _argv, ABOUT, show=shown)

    assert code == 0
    written = [command.PLOT, command.REPORT, command.RUNS, command.TABLE]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == written
    with (tmp_path / "out" / command.TABLE).open() as file:
        rows = list(csv.DictReader(file))
    assert {(r["selector"], float(r["budget"]), int(r["seed"])) for r in rows} == {
        (p.selector, p.budget, p.seed) for p in _options(tmp_path).cells()
    }
    assert "Cheapest at equal error: `fast`" in shown.getvalue()


def test_the_same_runs_give_the_same_report(tmp_path: Path):
    compare(_options(tmp_path), _argv, ABOUT, show=io.StringIO())
    first = (tmp_path / command.REPORT).read_bytes()

    compare(_options(tmp_path), _argv, ABOUT, show=io.StringIO())

    assert (tmp_path / command.REPORT).read_bytes() == first


def test_a_failed_run_is_in_the_report_and_the_exit_code(tmp_path: Path):
    failing = Cell("fast", BUDGETS[0], 2)
    fails = [sys.executable, "-c", "raise SystemExit('diverged at step 7')"]

    code = compare(
        _options(tmp_path),
        lambda p: fails if p == failing else _argv(p),
        ABOUT,
        show=io.StringIO(),
    )

    assert code == 1
    text = (tmp_path / command.REPORT).read_text()
    assert "| `fast` | 100,000 | 2 | exit 1: diverged at step 7 |" in text


def test_an_interrupted_comparison_says_how_it_goes_on(tmp_path: Path):
    interrupts = f"import os, signal; os.kill(os.getppid(), {int(signal.SIGINT)}); signal.pause()"
    shown = io.StringIO()

    one = replace(_options(tmp_path), at_once=1)
    code = compare(one, lambda _: [sys.executable, "-c", interrupts], ABOUT, show=shown)

    assert code == 130
    assert "the same command goes on" in shown.getvalue()
    assert not (tmp_path / command.REPORT).exists()


def test_all_that_is_wrong_with_the_options_is_told_at_once(tmp_path: Path):
    wrong = Comparison(
        ("fast", "fast"), (0.0, float("nan")), (), tmp_path, at_once=0, controls=("none",)
    )

    with pytest.raises(TrainError) as told:
        compare(wrong, _argv, ABOUT)

    for part in (
        "selectors has something twice",
        "budget 0.0",
        "budget nan",
        "seeds is empty",
        "at_once is 0",
        "uniform is not among",
        "none is not among",
    ):
        assert part in str(told.value)
