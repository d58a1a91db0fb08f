"""Prices are measured on the run's own code and leave no trace in it."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.training.runs import a_prepared, frozen, some_settings, write_stripes  # noqa: E402 - wants torch
from trainer.__main__ import main  # noqa: E402
from trainer.run.pricing import measure  # noqa: E402
from trainer.selectors import SELECTORS  # noqa: E402


@pytest.mark.parametrize("selector", SELECTORS)
def test_all_work_has_a_price_and_a_step_is_dearer_than_a_forward(tmp_path: Path, selector: str):
    stripes = write_stripes(tmp_path / "stripes.npz")
    learner = a_prepared(stripes, network="cnn-w4-d1", selector=selector).learner

    prices = measure(learner, some_settings(stripes, selector=selector))

    assert min(prices.step, prices.selection, prices.bookkeeping, prices.unit_s) > 0
    assert 0 < prices.f < 1


@pytest.mark.parametrize("way", ["plain", "bf16"])
def test_measuring_leaves_the_learner_and_the_generators_as_they_were(tmp_path: Path, way: str):
    stripes = write_stripes(tmp_path / "stripes.npz")
    learner = a_prepared(stripes, way=way).learner

    def seen() -> object:
        return frozen(
            [
                learner.module.state_dict(),
                learner.optimiser.state_dict(),
                torch.get_rng_state(),
                np.random.get_state(),
            ]
        )

    before = seen()
    measure(learner, some_settings(stripes, way=way, augment="crop"))

    assert seen() == before
    assert all(parameter.grad is None for parameter in learner.module.parameters())


@pytest.mark.parametrize("selector", ["selective_backprop", "adaptive"])
def test_a_run_at_given_prices_goes_as_the_run_that_measured_them(
    tmp_path: Path, selector: str, capsys: pytest.CaptureFixture[str]
):
    stripes = write_stripes(tmp_path / "stripes.npz")
    flags = ["--data", str(stripes), "--budget", "6000", "--network", "cnn-w2-d1", "--json"]
    flags += ["--selector", selector, "--way", "bf16", "--quiet", "--batch", "16", "--threads", "1"]

    assert main(flags) == 0
    measured = json.loads(capsys.readouterr().out)
    prices = ",".join(map(repr, measured["prices"].values()))
    assert main([*flags, "--prices", prices]) == 0
    given = json.loads(capsys.readouterr().out)

    del measured["cpu_seconds"], given["cpu_seconds"]
    assert given == measured
