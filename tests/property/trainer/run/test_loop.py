"""Whatever the selector, the prices and the sizes: a run ends, within its budget and with next to nothing left."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from tests.support.training.fakes import a_run
from trainer.errors import TrainError
from trainer.run.cost import Prices
from trainer.selectors import SELECTORS


@settings(deadline=None, max_examples=60)  # some run for many epochs
@given(
    selector=st.sampled_from(list(SELECTORS)),
    prices=st.builds(
        Prices, st.floats(1.0, 8.0), st.floats(0.0, 3.0), st.floats(0.1, 1.0), st.just(1e-5)
    ),
    sizes=st.fixed_dictionaries(
        {
            "examples": st.integers(30, 1500),
            "held_out": st.integers(0, 300),
            "batch": st.integers(2, 200),
            "budget": st.floats(300.0, 4000.0),
        }
    ),
)
def test_a_run_spends_its_budget_but_for_less_than_a_batch_and_a_look(
    selector: str, prices: Prices, sizes: dict[str, Any]
):
    run, recorder, _ = a_run(selector, prices, **sizes)

    with suppress(TrainError):  # where the budget ends before the first step
        list(run.steps())

    left, a_look = sizes["budget"] - run.units, prices.selection + prices.bookkeeping
    assert -1e-9 * sizes["budget"] <= left < sizes["batch"] * prices.step + a_look
    assert all(0.0 <= rate <= 0.1 for _, _, rate in recorder.steps)
