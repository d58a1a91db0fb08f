"""A run that is cut off and resumed by another process ends in the very same bits, whatever selects."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.support.training.runs import a_prepared, frozen, scrambled, write_stripes  # noqa: E402 - wants torch
from trainer.run import checkpoints  # noqa: E402
from trainer.run.settings import WAYS  # noqa: E402
from trainer.selectors import SELECTORS  # noqa: E402

CUTS = (9, 60)
"""Steps after which runs are cut off: in the first epoch and in the midst of the second."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("selector", SELECTORS)
def test_a_resumed_run_ends_bit_for_bit_as_an_unbroken_one(tmp_path: Path, selector: str, way: str):
    stripes = write_stripes(tmp_path / "stripes.npz")
    values = {
        "selector": selector,
        "way": way,
        "augment": "crop",
        "refresh_steps": 5,
        "budget": 5500.0,
    }
    whole = a_prepared(stripes, **values).run
    for number, _ in enumerate(whole.steps(), 1):
        if number in CUTS:
            checkpoints.save(tmp_path / str(number), whole)
    expected = frozen(whole.state())

    for cut in CUTS:
        run = scrambled(a_prepared(stripes, **values)).run
        assert checkpoints.resume(tmp_path / str(cut), run)
        rest = sum(1 for _ in run.steps())
        assert rest == whole.ledger.backprops // 16 - cut
        assert frozen(run.state()) == expected


def test_every_single_cut_of_an_adaptive_run_resumes_into_the_same_judgements(tmp_path: Path):
    stripes = write_stripes(tmp_path / "stripes.npz")
    values = {"selector": "adaptive:primed_epochs=0", "budget": 6000.0, "held_out": 0.005}
    whole = a_prepared(stripes, **values).run
    for number, _ in enumerate(whole.steps()):
        checkpoints.save(tmp_path / str(number), whole)
    expected = frozen(whole.state())
    assert whole.ledger.evaluations > 7 * 7

    for cut in range(0, number, 3):
        run = a_prepared(stripes, **values).run
        checkpoints.resume(tmp_path / str(cut), run)
        list(run.steps())
        assert frozen(run.state()) == expected, cut


def test_saving_does_not_change_a_run(tmp_path: Path):
    stripes = write_stripes(tmp_path / "stripes.npz")
    quiet, saved = (a_prepared(stripes, selector="stale", way="bf16").run for _ in range(2))

    list(quiet.steps())
    for _ in saved.steps():
        checkpoints.save(tmp_path / "run", saved)

    assert frozen(saved.state()) == frozen(quiet.state())


def test_a_finished_run_resumes_as_finished(tmp_path: Path):
    stripes = write_stripes(tmp_path / "stripes.npz")
    whole = a_prepared(stripes).run
    list(whole.steps())
    checkpoints.save(tmp_path / "run", whole)

    run = a_prepared(stripes).run
    checkpoints.resume(tmp_path / "run", run)

    assert list(run.steps()) == []
    assert frozen(run.state()) == frozen(whole.state())
