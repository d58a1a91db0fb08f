"""Schedule and cost, for any budget: no jumps, no way up again; costs add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.run.cost import Ledger, Prices
from trainer.run.schedule import DECAYS, learning_rate

shares = st.floats(0.0, 1.0)
warmups = st.floats(0.0, 0.9)
decays = st.sampled_from(DECAYS)
counts = st.integers(0, 10**6)
prices = st.builds(Prices, *[st.floats(0.01, 10.0)] * 4)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    return Ledger(draw(counts), draw(counts), draw(counts), draw(counts))


@given(one=shares, other=shares, warmup=warmups, decay=decays)
def test_after_warm_up_the_rate_only_falls(one: float, other: float, warmup: float, decay: str):
    early, late = sorted((max(one, warmup), max(other, warmup)))

    rates = [learning_rate(s, 1.0, warmup=warmup, decay=decay) for s in (early, late)]

    assert 0.0 <= rates[1] <= rates[0] <= 1.0


@given(share=shares, warmup=st.floats(0.01, 0.9), decay=decays)
def test_the_rate_never_jumps(share: float, warmup: float, decay: str):
    near = min(1.0, share + 1e-6)

    jump = learning_rate(near, 1.0, warmup=warmup, decay=decay) - learning_rate(
        share, 1.0, warmup=warmup, decay=decay
    )

    assert abs(jump) <= 1e-6 * max(1 / warmup, 2 / (1 - warmup)) + 1e-12


@given(warmup=warmups, decay=decays)
def test_whatever_the_warm_up_the_end_is_exactly_zero(warmup: float, decay: str):
    assert learning_rate(1.0, 0.1, warmup=warmup, decay=decay) == 0.0


@given(first=ledgers(), then=ledgers(), prices=prices)
def test_costs_of_two_stretches_add_up(first: Ledger, then: Ledger, prices: Prices):
    whole = (
        first.looked(then.looks, then.selections)
        .trained(then.backprops)
        .evaluated(then.evaluations)
    )

    assert whole.units(prices) == pytest.approx(first.units(prices) + then.units(prices))
    assert whole.forwards == first.forwards + then.forwards
