"""Tables in Markdown, for what benchmarks write. Pure."""

from collections.abc import Sequence


def lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; every row has as many cells as `head`."""
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]
