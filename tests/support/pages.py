"""Documents whose commands are run: their fenced blocks, in order, and what those print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCED = re.compile(r"^```(\w+)(?: ([\w./-]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One block: `kind` is its language, `name` the file that it is to be kept in, if any."""

    kind: str
    name: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Its lines, without empty ones."""
        return [line for line in self.text.splitlines() if line.strip()]


def blocks(page: Path) -> Iterator[Block]:
    """The page's fenced blocks."""
    for found in _FENCED.finditer(page.read_text()):
        yield Block(found[1], found[2] or "", found[3])
