"""A training process that is killed at any moment, or whose disk is full, loses nothing but time."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import trainer
from tests.support.training.runs import PRICES_FLAG, write_stripes

_CODE = Path(trainer.__file__).parents[1]
_DEADLINE_S = 120

_COMMON = """
import os, random, resource, signal, sys, time
from pathlib import Path
import torch
from tests.support.killing import die_at
from trainer.run import checkpoints
import trainer.run.outcome, trainer.run.prepare
from trainer.__main__ import main

flags, checkpoint = sys.argv[2:], Path(sys.argv[1])
saving = [*flags, "--checkpoint", str(checkpoint), "--checkpoint-every-s", "0"]

def forked(run):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = run()
        sys.stdout.flush()
        os._exit(code)
    return child
"""

_KILLED_AT_RANDOM = (
    _COMMON
    + """
# One unbroken run, then the same with kills soon after some save, at any moment of a step; prints both outcomes.
def saves():
    try:
        return checkpoint.stat().st_mtime_ns
    except FileNotFoundError:
        return 0

main(flags)  # in this process: children need not import the rest of torch
chance = random.Random(0)
for _ in range(KILLS):
    child = forked(lambda: main(saving))
    for _ in range(chance.randint(1, 12)):
        before = saves()
        while saves() == before:
            time.sleep(0.0005)
    time.sleep(chance.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
sys.exit(os.waitpid(forked(lambda: main(saving)), 0)[1])
"""
).replace("KILLS", "6")

_KILLED_IN_EVERY_STEP_OF_A_SAVE = (
    _COMMON
    + """
# For each operation on files of a save over a former checkpoint: kill before it, then resume.
from trainer.arguments import given, parser, prices
from trainer.run.settings import made
options = parser(None).parse_args(flags)

def prepared():
    return trainer.run.prepare.prepare(made(given(options)), torch.device("cpu"), prices(options.prices)).run

run = prepared()
steps = run.steps()
next(steps)
checkpoints.save(checkpoint, run)
former, before = checkpoint.read_bytes(), run.ledger.backprops
next(steps)
after = run.ledger.backprops
found = set()
for step in range(200):
    checkpoint.write_bytes(former)
    child = forked(lambda: die_at(step) or checkpoints.save(checkpoint, run) or 0)
    status = os.waitpid(child, 0)[1]
    resumed = prepared()
    assert checkpoints.resume(checkpoint, resumed)
    assert os.listdir(checkpoint.parent) == [checkpoint.name], os.listdir(checkpoint.parent)
    assert resumed.ledger.backprops in (before, after)
    found.add(resumed.ledger.backprops)
    if status == 0:
        break
assert found == {before, after}
print(step)
"""
)

_ON_A_FULL_DISK = (
    _COMMON
    + """
# The first run may write whole checkpoints; the second only half of one.
main(saving)
former = checkpoint.read_bytes()
def half():
    size = checkpoint.stat().st_size // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return main(saving)
status = os.waitpid(forked(half), 0)[1]
assert checkpoint.read_bytes() == former
print(os.waitstatus_to_exitcode(status))
"""
)


def flags(folder: Path, *more: str) -> list[str]:
    stripes = write_stripes(folder / "stripes.npz")
    small = ["--network", "cnn-w2-d1", "--batch", "16", "--lr", "0.05", "--threads", "1"]
    return ["--data", str(stripes), *small, "--prices", PRICES_FLAG, "--json", "--quiet", *more]


def ran(script: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "kept").mkdir()
    checkpoint = folder / "kept" / "run.ckpt"
    command = [sys.executable, "-c", script, str(checkpoint), *flags(folder, *more)]
    return subprocess.run(
        command, cwd=_CODE, capture_output=True, text=True, timeout=_DEADLINE_S, check=False
    )


def outcome(line: str) -> dict[str, Any]:
    told = json.loads(line)
    del told["cpu_seconds"]  # of the last process alone
    return told


@pytest.mark.parametrize(
    ("selector", "way"), [("uniform", "plain"), ("stale", "bf16"), ("adaptive", "bf16")]
)
def test_a_run_killed_again_and_again_comes_to_the_same_outcome(
    tmp_path: Path, selector: str, way: str
):
    done = ran(
        _KILLED_AT_RANDOM, tmp_path, "--budget", "8000", "--selector", selector, "--way", way
    )

    assert (done.returncode, done.stderr) == (0, "")
    unbroken, killed = done.stdout.splitlines()
    assert outcome(killed) == outcome(unbroken)


def test_a_kill_within_a_save_leaves_the_former_checkpoint_or_the_new_one(tmp_path: Path):
    done = ran(
        _KILLED_IN_EVERY_STEP_OF_A_SAVE, tmp_path, "--budget", "8000", "--selector", "adaptive"
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 5


def test_a_full_disk_ends_the_run_with_2_and_keeps_the_former_checkpoint(tmp_path: Path):
    done = ran(_ON_A_FULL_DISK, tmp_path, "--budget", "8000")

    assert done.stdout.splitlines()[-1] == "2"
    assert done.stderr.startswith("gearshift train: checkpoint ")
    assert "cannot be written" in done.stderr
    assert "free the disk" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["run.ckpt"]


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path):
    checkpoint = tmp_path / "run.ckpt"
    arguments = flags(tmp_path, "--budget", "1e9", "--checkpoint", str(checkpoint))
    command = [sys.executable, "-m", "trainer", *arguments, "--checkpoint-every-s", "0"]
    with subprocess.Popen(
        command, cwd=_CODE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        while not checkpoint.exists():
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        out, told = run.communicate(timeout=_DEADLINE_S)

    assert (run.returncode, out) == (130, "")
    assert told.startswith("gearshift train: interrupted; with --checkpoint")
    assert checkpoint.exists()
