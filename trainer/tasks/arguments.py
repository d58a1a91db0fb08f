"""The command line of `gearshift train-tasks`: every setting has a flag."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from models.artifacts import default_repository
from trainer.run.settings import AUGMENTATIONS
from trainer.tasks.asked import Asked, Base, Heads, Held, Scenes

_FLAGS = {
    "name": "package",
    "classes": "base-classes",
    "budget": "base-budget",
    "lr": "base-lr",
}
"""Where a setting's flag is not its name."""
_HELP = {
    "name": "name of the base in the repository, whose package is replaced",
    "network": "such as resnet-w16-d2 or cnn-w64-d3",
    "classes": "classes that the base learns, by number or name",
    "budget": "units to train the base with; 1 unit is one evaluation forward of one example, a step three",
    "augment": "of the base's pictures",
    "views": "how pictures are shown: some of plain,mirrored,turned",
    "stream_fps": "frames a second of the streams that events are measured on",
    "event_length_s": "length of an event, and of the windows that a stream falls into",
    "same": "probability that a frame shows the picture of the frame before",
    "tasks": 'NAME=CLASS,CLASS:VIEW;NAME=..., such as "coat=4;shirt=6;tops=0,2,6"',
    "points": "layers to freeze, such as 4,6,8; default: all that are worth it",
    "head_budget": "units that each head may be trained with; a step costs its share of the network",
    "frames": "frames that heads learn from",
    "held_out": "share of the training split to choose thresholds on and measure on, half each",
    "choosing_frames": "frames that thresholds are chosen on",
    "measuring_windows": "windows of the stream that rates are measured on",
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """What `asked` reads from comes of this."""
    made = argparse.ArgumentParser(prog="gearshift train-tasks", description=description)
    add = made.add_argument
    add("--data", default="digits", help="as for gearshift train: digits, fashion-mnist, a path")
    add("--seed", type=int, default=0)
    for part in (Base, Scenes, Heads, Held):
        for entry in fields(part):
            add(
                f"--{_flag(entry.name)}",
                type=entry.type,  # pyright: ignore[reportArgumentType] - str, int or float, as they are written
                default=entry.default,
                choices=AUGMENTATIONS if entry.name == "augment" else None,
                dest=entry.name,
                help=_HELP.get(entry.name),
            )
    add(
        "--publish",
        nargs="?",
        type=Path,
        const=default_repository(),
        metavar="REPOSITORY",
        help="publish into this model repository; without a name into the user's",
    )
    add("--json", action="store_true", help="print the outcome as one JSON object")
    add("--quiet", action="store_true", help="no progress bars")
    add("--threads", type=int, default=0, help="CPU threads; 0: torch's choice")
    add("--nice", type=int, default=0, help="lower this process's priority by so much")
    return made


def asked(options: argparse.Namespace) -> Asked:
    """The settings that the command line says."""
    parts: dict[str, Any] = {
        key: part(**{f.name: getattr(options, f.name) for f in fields(part)})
        for key, part in (("base", Base), ("scenes", Scenes), ("heads", Heads), ("held", Held))
    }
    return Asked(options.data, options.seed, **parts)


def _flag(name: str) -> str:
    return _FLAGS.get(name, name).replace("_", "-")
