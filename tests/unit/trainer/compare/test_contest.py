"""Every run of a comparison is charged at the same prices, and its command says everything."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.arguments import parser
from trainer.compare.contest import command, named
from trainer.compare.outcomes import Cell
from trainer.compare.pricelist import PRICES, in_units, in_words, listed, parted
from trainer.errors import TrainError
from trainer.run.cost import Prices
from trainer.run.settings import HELD_OUT, Recipe, Selection, Settings

SETTINGS = Settings("digits", 1000.0, "cnn-w2-d1", selection=Selection(way="plain"))
FAST = Prices(step=4.0, selection=1.0, bookkeeping=0.02, unit_s=1e-5)


class Bench:
    """Measures one price after the other, and knows for what it was asked."""

    def __init__(self, *prices: Prices) -> None:
        self.asked: list[str] = []
        self._prices = list(prices)

    def __call__(self, settings: Settings) -> Prices:
        self.asked.append(f"{settings.selection.selector}@{settings.selection.way}")
        return self._prices.pop(0)


def test_selectors_are_told_apart_by_semicolons_where_options_have_commas():
    assert named("uniform, random ,infobatch") == ("uniform", "random", "infobatch")
    assert named("uniform;stale:n=3,beta=2@bf16") == ("uniform", "stale:n=3,beta=2@bf16")
    assert named("stale:n=3,beta=2") == ("stale:n=3,beta=2",)


def test_a_selector_may_name_its_way_of_looking():
    assert parted("stale:n=3@bf16", "plain") == ("stale:n=3", "bf16")
    assert parted("stale:n=3", "plain") == ("stale:n=3", "plain")


def test_steps_and_looks_are_charged_alike_however_often_they_were_measured(tmp_path: Path):
    slower = replace(FAST, step=4.4, selection=1.3, bookkeeping=0.03)
    bench = Bench(FAST, slower)

    prices = listed(tmp_path / PRICES, ["uniform", "random"], SETTINGS, bench)

    assert prices["uniform"] == FAST
    assert prices["random"] == replace(FAST, bookkeeping=0.03)


def test_prices_are_in_units_of_the_first_measurement():
    other = Prices(
        step=4.0, selection=0.5, bookkeeping=0.01, unit_s=2e-5
    )  # on a machine half as fast then

    assert in_units(other, FAST, []) == Prices(8.0, 1.0, 0.02, 1e-5)


def test_of_two_prices_of_the_same_step_the_dearer_is_charged():
    assert in_units(replace(FAST, step=3.9, selection=0.7), FAST, []).step == 4.0


def test_prices_are_measured_once_and_kept(tmp_path: Path):
    first = listed(tmp_path / PRICES, ["uniform", "stale@bf16"], SETTINGS, Bench(FAST, FAST))
    bench = Bench(replace(FAST, bookkeeping=0.5))

    again = listed(tmp_path / PRICES, ["stale@bf16", "random"], SETTINGS, bench)

    assert bench.asked == ["random@plain"]
    assert again["stale@bf16"] == first["stale@bf16"]
    assert again["random"].bookkeeping == 0.5


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (replace(SETTINGS, network="cnn-w4-d1"), "network"),
        (replace(SETTINGS, recipe=Recipe(batch=64)), "recipe"),
        (replace(SETTINGS, data="elsewhere"), "data"),
    ],
)
def test_prices_of_other_runs_are_refused(tmp_path: Path, other: Settings, word: str):
    listed(tmp_path / PRICES, ["uniform"], SETTINGS, Bench(FAST))

    with pytest.raises(TrainError, match=f"{word} was .*another --out"):
        listed(tmp_path / PRICES, ["uniform"], other, Bench(FAST))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"of": {}, "prices": {"uniform": {"step": 1}}}'])
def test_damaged_prices_are_not_taken(tmp_path: Path, text: str):
    (tmp_path / PRICES).write_text(text)

    with pytest.raises(TrainError, match="cannot be read"):
        listed(tmp_path / PRICES, ["uniform"], SETTINGS, Bench(FAST))


def test_prices_are_told_with_every_f():
    text = in_words({"uniform": FAST, "stale@bf16": replace(FAST, selection=0.6)})

    assert "4.00 units" in text
    assert "0.60 (f = 0.15) or 1.00 (f = 0.25)" in text


def test_a_point_is_a_command_that_says_everything():
    cell = Cell("stale:n=3@bf16", 5000.0, 7)

    argv = command(cell, SETTINGS, FAST)

    assert argv == command(cell, SETTINGS, FAST)
    for part in (
        "--json",
        "--data=digits",
        "--selector=stale:n=3",
        "--way=bf16",
        "--budget=5000.0",
        "--seed=7",
    ):
        assert part in argv
    assert argv[-1] == "--prices=4,1,0.02,1e-05"


def test_only_a_selector_that_adapts_has_examples_held_out():
    held_out = {
        s: next(
            a for a in command(Cell(s, 5000.0, 1), SETTINGS, FAST) if a.startswith("--held-out")
        )
        for s in ("adaptive", "uniform")
    }

    assert held_out == {"adaptive": f"--held-out={HELD_OUT}", "uniform": "--held-out=0.0"}


@pytest.mark.parametrize("text", ["1.5", "1,two", ""])
def test_seeds_are_whole_numbers(text: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parser(None).parse_args(["--seeds", text])

    assert "whole numbers separated by commas" in capsys.readouterr().err
