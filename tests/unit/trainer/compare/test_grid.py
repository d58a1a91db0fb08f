"""A comparison's runs as real processes: order, results kept, resumption, failures and interrupts."""

import io
import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from trainer.compare.grid import Lanes, order, run_all
from trainer.compare.outcomes import Cell
from trainer.compare.runs import Runs
from trainer.errors import TrainError

CELLS = [Cell(s, b, n) for s in ("uniform", "stale:n=2") for b in (100.0, 200.0) for n in (1, 2)]
ONE, OTHER = CELLS[0], CELLS[1]
OUTCOME = {
    "test_error": 0.1,
    "units": 100,
    "forwards": 10,
    "backprops": 30,
    "cpu_seconds": 2.5,
    "keep_rate": 0.3,
    "f": 0.25,
}
LANES = Lanes(at_once=2, threads=1)


def _prints(cell: Cell) -> list[str]:
    result = json.dumps({**OUTCOME, "test_error": cell.seed / 10, "units": cell.budget})
    return [sys.executable, "-c", f"print('starting'); print('''{result}''')"]


def printing(**changes: float) -> str:
    """A program that prints the usual outcome with these changes."""
    return f"print('''{json.dumps({**OUTCOME, **changes})}''')"


def _does(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def _never(cell: Cell) -> list[str]:
    """As `_prints`, but a program that is not there: running it fails."""
    return ["/nonexistent/python", *_prints(cell)[1:]]


def test_every_point_is_run_and_its_outcome_kept(tmp_path: Path):
    results, shown = Runs(tmp_path / "runs.jsonl"), io.StringIO()

    failures = run_all(CELLS, _prints, LANES, results, shown)

    assert failures == ()
    for cell in CELLS:
        found = results.find(cell, LANES.fingerprint(_prints(cell)))
        assert found is not None
        assert (found.outcome.test_error, found.outcome.units) == (cell.seed / 10, cell.budget)
    assert "8/8" in shown.getvalue()


def test_a_second_comparison_runs_only_what_the_first_did_not(tmp_path: Path):
    run_all(CELLS[:5], _prints, LANES, Runs(tmp_path / "runs.jsonl"), io.StringIO())

    again = Runs(tmp_path / "runs.jsonl")
    failures = run_all(CELLS, _never, LANES, again, io.StringIO())

    assert {f.cell for f in failures} == set(CELLS[5:])
    assert all("could not be started" in f.reason for f in failures)


def test_a_run_under_other_settings_does_not_count_as_finished(tmp_path: Path):
    run_all([ONE], _prints, LANES, Runs(tmp_path / "runs.jsonl"), io.StringIO())
    results = Runs(tmp_path / "runs.jsonl")

    assert len(run_all([ONE], _never, LANES, results, io.StringIO())) == 0
    assert len(run_all([ONE], _never, Lanes(2, threads=2), results, io.StringIO())) == 1
    assert len(run_all([ONE], _never, Lanes(2, 1, "torch 9"), results, io.StringIO())) == 1


def test_a_torn_last_line_is_dropped_with_a_warning_and_run_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "runs.jsonl"
    run_all(CELLS[:2], _prints, Lanes(1, 1), Runs(path), io.StringIO())
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])

    results = Runs(path)
    run_all(CELLS[:2], _prints, Lanes(1, 1), results, io.StringIO())

    assert "torn" in caplog.text
    assert path.read_bytes() == whole


def test_a_damaged_line_elsewhere_is_told_by_its_number(tmp_path: Path):
    path = tmp_path / "runs.jsonl"
    run_all([ONE], _prints, LANES, Runs(path), io.StringIO())
    path.write_bytes(path.read_bytes() + b'{"selector": "uniform"}\n')

    with pytest.raises(TrainError, match=r"runs\.jsonl, line 2"):
        Runs(path)


def test_a_results_file_that_cannot_be_is_a_clear_error(tmp_path: Path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(TrainError, match="--out"):
        Runs(tmp_path / "taken" / "runs.jsonl")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import sys; print('no folder', file=sys.stderr); sys.exit(2)", "exit 2: no folder"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("print('hello')", "no result"),
        ("pass", "no result"),
        ("print('[1]')", "no result"),
        ("print('{\"test_error\": 0.5}')", "no result"),
        (printing(test_error=float("nan")), "test_error is nan"),
        (printing(test_error=9.3), "9.3 is no share"),
    ],
)
def test_a_failed_run_is_told_and_does_not_stop_the_others(tmp_path: Path, source: str, told: str):
    results, shown = Runs(tmp_path / "runs.jsonl"), io.StringIO()

    failures = run_all(
        [ONE, OTHER],
        lambda p: _does(source) if p == ONE else _prints(p),
        LANES,
        results,
        shown,
    )

    assert [f.cell for f in failures] == [ONE]
    assert told in failures[0].reason
    assert told in shown.getvalue()
    assert results.find(OTHER, LANES.fingerprint(_prints(OTHER))) is not None


def test_of_a_failed_runs_progress_only_the_last_lines_are_told(tmp_path: Path):
    noisy = "import sys; sys.stderr.write('10%\\r20%\\r30%\\n' + 'a\\n' * 50 + 'the cause\\n'); sys.exit(1)"

    (failure,) = run_all([ONE], lambda _: _does(noisy), LANES, Runs(tmp_path / "r"), io.StringIO())

    assert failure.reason.endswith("the cause")
    assert len(failure.reason.splitlines()) == 5


def test_runs_are_given_their_number_of_threads(tmp_path: Path):
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    source = f"import json, os; print(json.dumps({{**{OUTCOME}, 'units': sum(int(os.environ[n]) for n in {names})}}))"
    results = Runs(tmp_path / "runs.jsonl")

    run_all([ONE], lambda _: _does(source), Lanes(1, 3), results, io.StringIO())

    found = results.find(ONE, Lanes(1, 3).fingerprint(_does(source)))
    assert found is not None
    assert found.outcome.units == 9


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_an_interrupt_ends_the_running_and_keeps_the_finished(tmp_path: Path, number: str):
    path, pid = tmp_path / "runs.jsonl", tmp_path / "pid"
    blocks = f"""
import os, pathlib, signal
pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))
while not (pathlib.Path({str(path)!r}).exists() and b"\\n" in pathlib.Path({str(path)!r}).read_bytes()): pass
os.kill(os.getppid(), signal.{number})
signal.pause()
"""
    first, second = order([ONE, OTHER])

    def command(cell: Cell) -> list[str]:
        return _prints(cell) if cell == first else _does(blocks)

    with pytest.raises(KeyboardInterrupt):
        run_all([first, second], command, LANES, Runs(path), io.StringIO())

    assert Runs(path).find(first, LANES.fingerprint(command(first))) is not None
    assert Runs(path).find(second, LANES.fingerprint(command(second))) is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_run_that_will_not_end_when_asked_to_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("trainer.compare.grid._PATIENCE_S", 0.0)
    pid = tmp_path / "pid"
    stubborn = f"""
import os, pathlib, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))
os.kill(os.getppid(), signal.SIGINT)
while True: signal.pause()
"""

    with pytest.raises(KeyboardInterrupt):
        run_all([ONE], lambda _: _does(stubborn), LANES, Runs(tmp_path / "runs"), io.StringIO())

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_results_that_the_disk_does_not_take_stop_the_comparison(tmp_path: Path):
    results = Runs(tmp_path / "gone" / "runs.jsonl")
    (tmp_path / "gone").rmdir()

    with pytest.raises(TrainError, match="cannot write"):
        run_all(CELLS, _prints, LANES, results, io.StringIO())


def test_selectors_take_turns_within_a_seed_and_budget():
    cells = [Cell(s, b, n) for s in "abc" for b in (1.0, 2.0) for n in (7, 8)]

    ordered = order(cells)

    assert Counter(ordered) == Counter(cells)
    blocks = [ordered[i : i + 3] for i in range(0, 12, 3)]
    assert all(len({(p.budget, p.seed) for p in block}) == 1 for block in blocks)
    assert [block[0].selector for block in blocks] == ["a", "b", "c", "a"]
