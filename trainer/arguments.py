"""The command line of `gearshift train`: every setting has a flag, and what is read and made has too."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from trainer.compare import contest
from trainer.errors import TrainError
from trainer.run.cost import Prices
from trainer.run.schedule import DECAYS
from trainer.run.settings import AUGMENTATIONS, PRECISIONS, WAYS, Recipe, Selection, Settings

_CHOICES = {"decay": DECAYS, "augment": AUGMENTATIONS, "precision": PRECISIONS, "way": WAYS}
_HELP = {
    "data": "folder or file with a data set, `digits`, `fashion-mnist`, or an address with #sha256=...",
    "budget": "units to spend; 1 unit is one evaluation forward of one example",
    "network": "such as cnn-w16-d2 or resnet-w16-d1",
    "selector": "such as uniform, selective_backprop:beta=2, stale:n=3, adaptive, infobatch",
    "label_noise": "share of the training labels to draw anew at random",
    "labels": "FILE.npz:KEY, labels to train on instead of the data set's own",
    "way": "how selection forwards run",
    "held_out": "share of the training split that steers an adaptive selector",
    "lr": "peak learning rate",
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """What `given`, `precisions` and `prices` read from comes of this."""
    made = argparse.ArgumentParser(prog="gearshift train", description=description)
    made.add_argument(
        "config",
        nargs="?",
        type=Path,
        help="TOML file with the settings; options replace its values. With a table [sidecar]: train what a server "
        "lacks most, again and again",
    )
    for part in (Settings, Recipe, Selection):
        _add_settings(made, part)
    _add_run(made)
    contest.add_options(made)
    _add_publishing(made.add_argument_group("publishing the trained network"))
    sidecar = made.add_argument_group("with a table [sidecar] in the TOML file")
    sidecar.add_argument("--next", action="store_true", help="only tell what would be trained next")
    sidecar.add_argument(
        "--frontier",
        type=Path,
        help="with --next: JSON file to plan by, instead of asking the server",
    )
    return made


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by their plain keys."""
    names = [f.name for part in (Settings, Recipe, Selection) for f in fields(part)]
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


def prices(text: str | None) -> Prices | None:
    """What `--prices` says. Raises TrainError."""
    if text is None:
        return None
    try:
        step, selection, bookkeeping, unit_s = (float(part) for part in text.split(","))
    except ValueError:
        raise TrainError(
            f"--prices must be STEP,SELECTION,BOOKKEEPING,UNIT_S, four numbers, not {text!r}"
        ) from None
    if not (step > 0 and unit_s > 0 and selection >= 0 and bookkeeping >= 0):
        raise TrainError(f"--prices: none may be negative, step and unit_s not 0: {text!r}")
    return Prices(step, selection, bookkeeping, unit_s)


def _add_settings(made: argparse.ArgumentParser, part: type) -> None:
    for entry in fields(part):
        if entry.type in {str, int, float}:
            made.add_argument(
                f"--{entry.name.replace('_', '-')}",
                type=entry.type,
                choices=_CHOICES.get(entry.name),
                help=_HELP.get(entry.name),
                default=None,
            )


def _add_run(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    add("--json", action="store_true", help="print the outcome as one JSON object")
    add("--quiet", action="store_true", help="no progress bar")
    add("--logs", type=Path, help="folder for TensorBoard scalars")
    add("--checkpoint", type=Path, help="file to save to, and to go on from where it exists")
    add("--checkpoint-every-s", type=float, default=30.0, help="seconds between checkpoints")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--threads", type=int, default=0, help="CPU threads; 0: torch's choice")
    add("--nice", type=int, default=0, help="lower this process's priority by so much")
    add("--prices", help="STEP,SELECTION,BOOKKEEPING,UNIT_S in place of measuring them")


def _add_publishing(group: Any) -> None:
    add = group.add_argument
    add("--publish", type=Path, metavar="REPOSITORY", help="model repository to publish into")
    add("--family", help="the family that it is for; created where it is not there yet")
    add("--precisions", help="such as fp32,int8; default: all that the network can be had in")
    add(
        "--slo-ms", type=float, default=50.0, help="of a family that is created: latency bound (50)"
    )
    add("--min-accuracy", type=float, default=0.0, help="of a family that is created (0)")
