"""An action of `gearshift models`: a word, what it does, its options, and what runs it."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Action:
    """`run` gets the repository and the options and returns what is printed. It may raise ArtifactError or OSError."""

    name: str
    what: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Path, argparse.Namespace], str]
