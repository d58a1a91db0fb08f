"""A run: what it trains on, what it pays, when it ends, and how it stops when it diverges."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.training.fakes import Nothing, Weighing, a_run  # noqa: E402 - wants torch
from trainer.errors import TrainError  # noqa: E402
from trainer.run.cost import Prices  # noqa: E402
from trainer.run.loop import JUDGED_SHARE, MOST_JUDGING  # noqa: E402
from trainer.selectors import SELECTORS  # noqa: E402
from trainer.selectors.selective import Looks, Selective  # noqa: E402
from trainer.selectors.shapes import HARDEST, MIDDLE, Shape  # noqa: E402

BATCH, EXAMPLES = 16, 700


@pytest.mark.parametrize("selector", SELECTORS)
def test_every_example_trained_on_comes_from_the_split_in_full_batches(selector: str):
    run, recorder, _ = a_run(selector)

    steps = list(run.steps())

    assert len(steps) == len(recorder.steps) > 20
    for ids, weights, _ in recorder.steps:
        assert ids.shape == weights.shape == (BATCH,)
        assert ids.min() >= 0
        assert ids.max() < EXAMPLES


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_ledger_counts_what_was_done(selector: str):
    run, recorder, forwards = a_run(selector)

    list(run.steps())

    assert run.ledger.backprops == BATCH * len(recorder.steps)
    assert run.ledger.selections == sum(map(len, forwards.asked))
    assert forwards.stepped_times == len(recorder.steps)
    assert run.ledger.looks >= run.ledger.backprops


def test_uniform_trains_on_every_example_once_an_epoch():
    run, recorder, forwards = a_run("uniform", budget=700 * 3.1)

    list(run.steps())

    seen = np.concatenate([ids for ids, _, _ in recorder.steps])
    assert len(set(seen)) == len(seen) > EXAMPLES - BATCH
    assert forwards.asked == []


def test_one_seed_gives_one_run_and_another_another():
    seen = []
    for seed in (1, 1, 2):
        run, recorder, _ = a_run("selective_backprop", seed=seed)
        list(run.steps())
        seen.append(np.concatenate([ids for ids, _, _ in recorder.steps]).tolist())

    assert seen[0] == seen[1] != seen[2]


def test_weights_reach_the_step_with_their_examples():
    run, recorder, _ = a_run(Weighing(EXAMPLES))

    list(run.steps())

    for ids, weights, _ in recorder.steps:
        assert weights.tolist() == ids.tolist()


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_rate_warms_up_peaks_and_ends_near_zero(selector: str):
    run, recorder, _ = a_run(selector, budget=20_000.0, lr=0.2, warmup=0.1)

    steps = list(run.steps())

    rates = [rate for _, _, rate in recorder.steps]
    assert rates == [step.rate for step in steps]
    top = int(np.argmax(rates))
    assert rates[0] < 0.2 * 0.05
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[top] == pytest.approx(0.2, rel=0.02)
    assert steps[top].share == pytest.approx(0.1, abs=0.01)
    assert rates[-1] < 0.2 * 1e-3
    assert steps[-1].share > 0.99


@pytest.mark.parametrize("selector", SELECTORS)
def test_less_than_a_batch_and_one_look_stays_unspent(selector: str):
    run, _, _ = a_run(selector, held_out=50)

    list(run.steps())

    assert 0 <= 10_000 - run.units < BATCH * 3.0 + 1.1


def test_a_look_that_would_exceed_the_budget_is_shortened():
    dear = Prices(step=3.0, selection=10.0, bookkeeping=1.0, unit_s=1e-5)
    run, _, forwards = a_run("selective_backprop:primed_epochs=0", dear, budget=20_000.0)

    list(run.steps())

    assert run.units <= 20_000
    assert {len(asked) for asked in forwards.asked} > {512, 700 - 512}


def test_a_budget_below_one_step_is_refused_with_what_a_step_costs():
    run, _, _ = a_run(budget=47.0)

    with pytest.raises(TrainError, match=r"budget of 47 units .* 16 examples at 3\.0 units each"):
        list(run.steps())


def test_a_selector_that_keeps_nothing_still_ends_and_says_so():
    run, recorder, _ = a_run(Nothing(EXAMPLES))

    with pytest.raises(TrainError, match=r"\d{5} were looked at"):
        list(run.steps())
    assert recorder.steps == []
    assert run.units <= 10_000


def test_looks_that_cost_nothing_are_allowed():
    run, _, _ = a_run("random", Prices(3.0, 0.0, 0.0, 1e-5))

    list(run.steps())

    assert run.units == run.ledger.backprops * 3.0


def test_held_out_examples_are_judged_at_every_such_share_of_the_budget_and_paid_for():
    run, recorder, _ = a_run("adaptive", held_out=5)

    list(run.steps())

    times = len(recorder.judged_after)
    assert 0.5 / JUDGED_SHARE < times <= 1 / JUDGED_SHARE
    assert run.ledger.evaluations == 5 * times
    assert recorder.judged_after[-1] < len(recorder.steps)


def test_many_held_out_examples_are_judged_less_often():
    run, recorder, _ = a_run("adaptive", held_out=50)

    list(run.steps())

    assert len(recorder.judged_after) > 1
    assert run.ledger.evaluations <= MOST_JUDGING * run.settings.budget


@pytest.mark.parametrize(("contradicted", "shape"), [(0.0, HARDEST), (0.5, MIDDLE)])
def test_labels_that_held_out_examples_contradict_are_told(contradicted: float, shape: Shape):
    run, recorder, _ = a_run("adaptive", held_out=100)  # judged once: no shape is tried yet
    recorder.contradicted = contradicted

    list(run.steps())

    assert run.keep_rate == Selective(700, shape, Looks(primed_epochs=0)).keep_rate


def test_without_held_out_examples_nothing_is_judged():
    run, recorder, _ = a_run("adaptive")

    list(run.steps())

    assert (recorder.judged_after, run.ledger.evaluations) == ([], 0)


@pytest.mark.parametrize("selector", sorted(set(SELECTORS) - {"adaptive"}))
def test_a_selector_that_does_not_adapt_pays_for_no_judgement(selector: str):
    run, recorder, _ = a_run(selector, held_out=50)

    list(run.steps())

    assert (recorder.judged_after, run.ledger.evaluations) == ([], 0)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 1e6, 12.0])
@pytest.mark.parametrize("selector", ["uniform", "selective_backprop"])
def test_a_loss_that_is_no_number_or_stays_huge_stops_the_run_early(selector: str, loss: float):
    run, recorder, _ = a_run(selector, loss=loss, lr=7.5, budget=1e6)

    with pytest.raises(TrainError, match=r"diverged after \d+ units: .*lower lr \(now 7\.5\)"):
        list(run.steps())
    assert len(recorder.steps) < 100


def test_a_single_bad_batch_does_not_stop_a_run():
    run, recorder, _ = a_run("uniform", budget=1e4)
    steps = run.steps()
    next(steps)

    recorder.loss = 100.0
    next(steps)
    recorder.loss = 0.0

    assert sum(1 for _ in steps) > 50
