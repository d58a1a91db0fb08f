"""What a run has cost: every look, forward, step and evaluation at its price."""

import pytest

from trainer.run.cost import Ledger, Prices

PRICES = Prices(step=4.0, selection=0.5, bookkeeping=0.125, unit_s=1e-5)


def test_units_charge_each_kind_of_work_at_its_price():
    ledger = Ledger().looked(1000, 800).trained(300).evaluated(50)

    assert ledger.units(PRICES) == 1000 * 0.125 + 800 * 0.5 + 300 * 4.0 + 50


def test_looks_without_a_forward_cost_their_bookkeeping_alone():
    assert Ledger().looked(64, 0).units(PRICES) == 8.0


def test_f_is_a_selection_forward_over_a_step():
    assert PRICES.f == 0.125


def test_forwards_are_those_of_selection_steps_and_evaluations():
    assert Ledger().looked(1000, 800).trained(300).evaluated(50).forwards == 1150


def test_the_keep_rate_is_one_before_the_first_look():
    assert Ledger().keep_rate == 1.0
    assert Ledger().looked(300, 0).trained(100).keep_rate == pytest.approx(1 / 3)
