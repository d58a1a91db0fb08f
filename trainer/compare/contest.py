"""`gearshift train --compare`: what the command line asks for, as a comparison at prices measured once for all runs."""

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path

from trainer.compare.comparison import Comparison, compare
from trainer.compare.outcomes import Cell
from trainer.compare.pricelist import PRICES, in_words, listed, parted
from trainer.compare.report import About
from trainer.run.cost import Prices
from trainer.run.settings import HELD_OUT, Recipe, Selection, Settings

_PROTOCOL = """\
Every run has the same budget of units (1 unit: one evaluation forward of one example, float32) and a learning rate
that is 0 when it is spent. Charged are all training steps, selection forwards, bookkeeping and evaluations that steer
a run, at prices measured side by side before the first run: {prices}.
The learning rate and all else of the recipe are the same for all: {recipe}.
The test split is answered once, at the end."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that only a comparison has."""
    group = parser.add_argument_group("comparison of selectors at equal cost")
    group.add_argument(
        "--compare",
        metavar="A;B;C",
        help="selectors, separated by ; (or by , where none has options); NAME@bf16 looks in that way",
    )
    group.add_argument(
        "--budgets",
        type=_numbers,
        metavar="U,V,...",
        help="units, one run of each selector for each",
    )
    group.add_argument("--seeds", type=_wholes, default=[1, 2, 3], metavar="1,2,3")
    group.add_argument(
        "--controls",
        default="",
        metavar="A;B",
        help="selectors to compare with beside the baseline",
    )
    group.add_argument("--baseline", default="uniform")
    group.add_argument(
        "--at-once", type=int, default=1, help="runs at a time, on --threads threads each"
    )
    group.add_argument(
        "--out",
        type=Path,
        default=Path("comparison"),
        help="folder for results, table, plot, report",
    )
    group.add_argument("--title", default="Selectors at equal cost")


def run(
    options: argparse.Namespace, settings: Settings, measured: Callable[[Settings], Prices]
) -> int:
    """Compare as `options` say, all else by `settings`. Returns the exit code; raises TrainError.

    `measured` gives the prices of a run with such settings; it is asked once for each selector, and not at all where an
    earlier call left them in the folder of results.
    """
    selectors = named(options.compare)
    comparison = Comparison(
        selectors,
        tuple(options.budgets or [settings.budget]),
        tuple(options.seeds),
        options.out,
        options.at_once,
        options.threads or 1,
        options.baseline,
        named(options.controls),
    )
    comparison.check()
    prices = listed(options.out / PRICES, selectors, settings, measured)
    about = About(
        options.title,
        _PROTOCOL.format(prices=in_words(prices), recipe=_recipe(settings)),
        _command_line(),
        _machine(),
    )
    return compare(
        comparison,
        lambda cell: command(cell, settings, prices[cell.selector]),
        about,
        _machine(),
    )


def named(text: str) -> tuple[str, ...]:
    """Selector specs; "," separates them too where none of them has options, which may hold commas themselves."""
    separator = ";" if ";" in text or ":" in text else ","
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def command(cell: Cell, settings: Settings, prices: Prices) -> list[str]:
    """The run of one cell as an argument list; the same for the same comparison, whenever it is made."""
    spec, way = parted(cell.selector, settings.selection.way)
    steered = spec.startswith("adaptive")
    selection = replace(
        settings.selection,
        selector=spec,
        way=way,
        held_out=settings.selection.held_out or HELD_OUT if steered else 0.0,
    )
    asked = replace(settings, budget=cell.budget, seed=cell.seed, selection=selection)
    argv = [sys.executable, "-m", "trainer", "--json", "--quiet", "--device", "cpu"]
    for part in (asked, asked.recipe, asked.selection):
        for entry in fields(part):
            value = getattr(part, entry.name)
            if isinstance(value, str | int | float) and value != "":
                argv.append(f"--{entry.name.replace('_', '-')}={value}")
    charged = ",".join(f"{value:.6g}" for value in asdict(prices).values())
    return [*argv, f"--prices={charged}"]


def _recipe(settings: Settings) -> str:
    parts = [
        settings.network,
        *(f"{f.name} {getattr(settings.recipe, f.name)}" for f in fields(Recipe)),
    ]
    parts += [
        f"{f.name} {getattr(settings.selection, f.name)}"
        for f in fields(Selection)
        if f.name == "way"
    ]
    if settings.label_noise:
        parts.append(f"{settings.label_noise:.0%} of the training labels drawn anew")
    return ", ".join(parts)


def _command_line() -> str:
    """What to type for the same comparison; as `gearshift`, the process has the word `train` among its arguments."""
    given = sys.argv[1:]
    return "gearshift train " + shlex.join(given[given[:1] == ["train"] :])


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = next((name for name in names if name), platform.machine())
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores, torch {version('torch')}"


def _wholes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"whole numbers separated by commas, not {text!r}"
        ) from None


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"numbers separated by commas, not {text!r}") from None
