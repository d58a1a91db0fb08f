"""`gearshift models`: the repository's own actions, and `show`, which knows this machine's profiles too."""

from gearshift.show import SHOW
from models.__main__ import main as manage


def main(argv: list[str]) -> int:
    """Run one action; its exit code."""
    return manage(argv, (SHOW,))
