"""The sidecar without a server: what it begins a family with, and what it does not try twice."""

import logging
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="a sidecar trains")

import torch

from tests.support.training.runs import SMALL, write_stripes
from trainer.sidecar.assignment import Assignment, Pace
from trainer.sidecar.loop import Sidecar
from trainer.stopping import Signals


def a_sidecar(folder: Path, lr: float) -> Sidecar:
    """May train two networks, three rounds of it."""
    work = Assignment(
        "stripes",
        folder / "models",
        ("cnn-w2-d1", "cnn-w3-d1"),
        (8000.0,),
        server="127.0.0.1:1",
        work=folder / "work",
        pace=Pace(rounds=3),
    )
    stripes = folder / "stripes.npz"
    if not stripes.exists():
        write_stripes(stripes)
    torch.set_num_threads(1)
    return Sidecar(work, {**SMALL, "data": str(stripes), "lr": lr}, torch.device("cpu"))


def run(sidecar: Sidecar) -> None:
    with Signals() as signals:
        sidecar.run(signals)


def test_what_diverged_is_not_trained_again_by_this_sidecar_or_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)

    run(a_sidecar(tmp_path, lr=1e6))
    first = caplog.text.count("; not tried again")
    run(a_sidecar(tmp_path, lr=1e6))

    assert (first, caplog.text.count("; not tried again")) == (2, 2)
    assert a_sidecar(tmp_path, lr=1e6).next() is None
    assert a_sidecar(tmp_path, lr=0.05).next() is not None
    assert sorted(p.suffix for p in (tmp_path / "work").iterdir()) == [".diverged", ".diverged"]
