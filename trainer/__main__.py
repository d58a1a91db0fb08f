"""`gearshift train`: one training run, or a comparison of selectors at equal cost."""

import argparse
import json
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from trainer.errors import TrainError
from trainer.schedule import DECAYS
from trainer.settings import (
    AUGMENTATIONS,
    PRECISIONS,
    WAYS,
    Recipe,
    Selection,
    Settings,
    made,
    read,
)

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


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0; 2 with one line on stderr for what cannot be trained; 130 when interrupted."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except TrainError as error:
        print(f"gearshift train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "gearshift train: interrupted; with --checkpoint the same command goes on from there",
            file=sys.stderr,
        )
        return 130


def _run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    for flag in ("threads", "nice", "checkpoint_every_s"):
        if not getattr(options, flag) >= 0:
            raise TrainError(f"--{flag.replace('_', '-')} must not be negative")
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if options.nice:
        os.nice(options.nice)
    try:
        import torch
    except ImportError as error:
        raise TrainError(
            "training needs torch; install the extra: pip install -e '.[train]'"
        ) from error
    from trainer.outcome import Shown, finish
    from trainer.prepare import prepare

    if options.threads:
        torch.set_num_threads(options.threads)
    prepared = prepare(settings, _device(options.device), _prices(options.prices))
    shown = Shown(options.quiet, options.logs, options.checkpoint, options.checkpoint_every_s)
    outcome = finish(prepared, shown)
    print(json.dumps(outcome) if options.json else _told(outcome))
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    names = [f.name for part in (Settings, Recipe, Selection) for f in fields(part)]
    given = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    return read(options.config, given) if options.config else made(given)


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainError("device cuda: torch finds no GPU here; give --device cpu")
    return torch.device(name)


def _prices(text: str | None) -> Any:
    from trainer.cost import Prices

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


def _told(outcome: dict[str, Any]) -> str:
    return (
        f"test error {outcome['test_error']:.2%}; {outcome['units']:,} units: {outcome['backprops']:,} examples "
        f"trained on ({outcome['keep_rate']:.0%} of those looked at), {outcome['selections']:,} selection forwards; "
        f"{outcome['cpu_seconds']:.1f} s of CPU; f = {outcome['f']:.2f}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift train", description=__doc__)
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        help="TOML file with the settings; options replace its values",
    )
    for part in (Settings, Recipe, Selection):
        for entry in fields(part):
            if entry.type not in {str, int, float}:
                continue
            flag = f"--{entry.name.replace('_', '-')}"
            parser.add_argument(
                flag,
                type=entry.type,
                choices=_CHOICES.get(entry.name),
                help=_HELP.get(entry.name),
                default=None,
            )
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--logs", type=Path, help="folder for TensorBoard scalars")
    parser.add_argument(
        "--checkpoint", type=Path, help="file to save to, and to go on from where it exists"
    )
    parser.add_argument(
        "--checkpoint-every-s", type=float, default=30.0, help="seconds between checkpoints"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: torch's choice")
    parser.add_argument(
        "--nice", type=int, default=0, help="lower this process's priority by so much"
    )
    parser.add_argument(
        "--prices", help="STEP,SELECTION,BOOKKEEPING,UNIT_S in place of measuring them"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
