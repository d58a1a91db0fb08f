"""The command: what it prints where, and how it refuses."""

import json
import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.support.training.runs import PRICES_FLAG, write_stripes  # noqa: E402 - wants torch
from trainer.__main__ import main  # noqa: E402

Out = pytest.CaptureFixture[str]


def flags(folder: Path, *more: str) -> list[str]:
    """A whole run of a fraction of a second; what comes later wins."""
    stripes = folder / "stripes.npz"
    if not stripes.exists():
        write_stripes(stripes)
    small = ["--network", "cnn-w2-d1", "--budget", "8000", "--batch", "16", "--lr", "0.05"]
    return ["--data", str(stripes), *small, "--prices", PRICES_FLAG, "--threads", "1", *more]


def refused(arguments: list[str], out: Out) -> str:
    assert main(arguments) == 2
    printed = out.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if "unit/s" not in line and line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("gearshift train: ")
    return lines[0]


def test_json_alone_is_on_stdout_and_progress_on_stderr(tmp_path: Path, capsys: Out):
    assert main(flags(tmp_path, "--json", "--selector", "selective_backprop")) == 0

    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert isinstance(json.loads(printed.out), dict)
    assert "selective_backprop" in printed.err


def test_quiet_leaves_stderr_empty(tmp_path: Path, capsys: Out):
    assert main(flags(tmp_path, "--json", "--quiet")) == 0

    assert capsys.readouterr().err == ""


def test_the_outcome_adds_up(tmp_path: Path, capsys: Out):
    main(flags(tmp_path, "--json", "--quiet", "--selector", "adaptive"))

    outcome = json.loads(capsys.readouterr().out)
    evaluations = outcome["forwards"] - outcome["selections"] - outcome["backprops"]
    assert 0 <= outcome["test_error"] < 0.3
    assert outcome["units"] == round(
        3.0 * outcome["backprops"] + outcome["selections"] + 0.1 * outcome["looks"] + evaluations
    )
    assert 7900 < outcome["units"] <= 8000
    assert evaluations > 0
    assert outcome["keep_rate"] == pytest.approx(outcome["backprops"] / outcome["looks"], abs=1e-4)
    assert outcome["f"] == pytest.approx(1 / 3, abs=1e-4)
    assert 0 < outcome["cpu_seconds"] < 60
    assert outcome["settings"]["selection"]["selector"] == "adaptive"


def test_people_get_one_line(tmp_path: Path, capsys: Out):
    main(flags(tmp_path, "--quiet"))

    told = capsys.readouterr().out
    assert len(told.splitlines()) == 1
    for part in ("test error ", "% ", " units: ", " s of CPU", "f = 0.33"):
        assert part in told


def test_the_same_seed_prints_the_same_and_another_seed_does_not(tmp_path: Path, capsys: Out):
    errors = []
    for seed in ("1", "1", "2"):
        main(flags(tmp_path, "--json", "--quiet", "--seed", seed, "--selector", "stale"))
        outcome = json.loads(capsys.readouterr().out)
        errors.append((outcome["test_error"], outcome["backprops"], outcome["selections"]))

    assert errors[0] == errors[1] != errors[2]


def test_a_file_gives_the_settings_and_flags_replace_them(tmp_path: Path, capsys: Out):
    write_stripes(tmp_path / "stripes.npz")
    config = tmp_path / "run.toml"
    config.write_text(
        f'data = "{tmp_path / "stripes.npz"}"\nbudget = 9000.0\nnetwork = "cnn-w2-d1"\n[recipe]\nbatch = 32\n'
    )

    main([str(config), "--budget", "5000", "--prices", PRICES_FLAG, "--json", "--quiet"])

    settings = json.loads(capsys.readouterr().out)["settings"]
    assert (settings["budget"], settings["recipe"]["batch"]) == (5000.0, 32)


def test_a_run_that_diverges_names_units_and_rate_and_keeps_the_former_checkpoint(
    tmp_path: Path, capsys: Out
):
    checkpoint = tmp_path / "run.ckpt"
    run = flags(
        tmp_path, "--quiet", "--lr", "1e6", "--checkpoint", str(checkpoint), "--budget", "20000"
    )

    every_step = refused([*run, "--checkpoint-every-s", "0"], capsys)
    kept = checkpoint.read_bytes()

    assert "diverged after " in every_step
    assert "lower lr (now 1000000.0)" in every_step
    assert refused([*run, "--checkpoint-every-s", "0"], capsys).startswith(
        "gearshift train: training diverged"
    )
    assert checkpoint.read_bytes() == kept


def test_a_resumed_command_prints_what_an_unbroken_one_does(tmp_path: Path, capsys: Out):
    saving = flags(tmp_path, "--json", "--quiet", "--checkpoint", str(tmp_path / "run.ckpt"))
    outcomes = []
    for arguments in (flags(tmp_path, "--json", "--quiet"), saving, saving):
        assert main(arguments) == 0
        outcomes.append(json.loads(capsys.readouterr().out))
        del outcomes[-1]["cpu_seconds"]

    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_scalars_are_written_where_asked(tmp_path: Path):
    pytest.importorskip("tensorboard")

    assert main(flags(tmp_path, "--quiet", "--logs", str(tmp_path / "logs"))) == 0

    assert len(list((tmp_path / "logs").glob("events.*"))) == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--data", "/nowhere/at/all"], "/nowhere/at/all does not exist"),
        (["--selector", "best"], "unknown selector 'best'; known: uniform"),
        (["--selector", "stale:n=0"], "n must be a whole number from 1"),
        (["--network", "vgg16"], "network 'vgg16' is unknown"),
        (["--network", "cnn-w2-d9"], "depth can be 3 at most"),
        (["--budget", "nan"], "budget must be above 0"),
        (["--budget", "40"], "ends before the first step"),
        (["--labels", "/nowhere.npz:y"], "/nowhere.npz"),
        (["--prices", "1,2,3"], "four numbers"),
        (["--prices", "0,1,1,1"], "not 0"),
        (["--prices", "nan,1,1,1"], "not 0"),
        (["--threads", "-1"], "--threads must not be negative"),
        (["--nice", "-1"], "--nice must not be negative"),
        (["--checkpoint-every-s", "nan"], "--checkpoint-every-s must not be negative"),
        (["--checkpoint", "/dev/null/x"], "/dev/null/x cannot be"),
    ],
)
def test_what_cannot_be_trained_ends_with_2_and_one_line(
    tmp_path: Path, capsys: Out, more: list[str], told: str
):
    assert told in refused(flags(tmp_path, "--quiet", *more), capsys)


def test_all_mistakes_of_the_command_line_are_told_at_once(tmp_path: Path, capsys: Out):
    told = refused(flags(tmp_path, "--lr", "-1", "--seed", "-1", "--momentum", "2"), capsys)

    assert all(part in told for part in ("command line: ", "lr must", "seed must", "momentum must"))


def test_missing_settings_are_told_together(capsys: Out):
    told = refused([], capsys)

    assert "data is missing" in told
    assert "budget is missing" in told


def test_a_gpu_that_is_not_there_is_told(tmp_path: Path, capsys: Out):
    if torch.cuda.is_available():
        pytest.skip("there is one")

    assert "torch finds no GPU here" in refused(flags(tmp_path, "--device", "cuda"), capsys)


@pytest.mark.parametrize("more", [["--seed", "x"], ["--way", "fp4"], ["--colour", "red"]])
def test_flags_that_are_none_end_with_2(tmp_path: Path, more: list[str]):
    with pytest.raises(SystemExit) as ended:
        main(flags(tmp_path, *more))

    assert ended.value.code == 2


def test_a_budget_is_finite(tmp_path: Path, capsys: Out):
    assert "finite" in refused(flags(tmp_path, "--budget", str(math.inf)), capsys)
