"""Write docs/configuration.md and gearshift.example.toml from the typed configuration. `make docs`."""

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from server.config import KEYS, Config, Key
from server.config.keys import MOST

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = "docs/configuration.md"
EXAMPLE = "gearshift.example.toml"

_WIDTH = 120
_COLUMN = 32
"""Where remarks begin in the example."""
_KINDS: dict[object, str] = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
}

_HEAD = """\
# Configuration

Made from `server/config/sections.py` by `make docs`; every key with its default is in `gearshift.example.toml` too.

`gearshift serve [CONFIG.toml]` takes each key from, in this order, the last one that has it winning:

1. its default;
2. the file: `[server]`, below it `port = 8001`;
3. the environment: `GEARSHIFT__SERVER__PORT=8001`, two underscores around the section; lists are comma-separated;
4. a flag, where there is one: `--port 8001`.

All mistakes are told at once, each with the file and key, the variable, or the flag; then the exit code is 2. A bad
value that another overrides is told and not used.

Names without a section are older: `slo_ms = 15` at the beginning of a file, `GEARSHIFT_SLO_MS=15`. They still work, and
each that is used has a line in the log with its new name. Where the column is empty the older name is the key's own.
The same key by both names in one source must have one value. Flags are called after the older names: `--slo-ms`.
"""
_TABLE = """\
| key | default | takes | flag | older name | what it is |
| --- | --- | --- | --- | --- | --- |
"""


def reference() -> str:
    """The page that explains every key."""
    return "\n".join([_HEAD, *(_section(name, about) for name, about in _sections())])


def example() -> str:
    """A configuration file of all keys at their defaults."""
    head = textwrap.fill(
        "Every key with its default. The environment (GEARSHIFT__SERVER__PORT=...) overrides this file; "
        "flags override both. docs/configuration.md is the reference.",
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
    )
    parts = [head]
    for name, about in _sections():
        lines = (line for key in _keys(name) for line in _assignment(key))
        parts.append("\n".join([f"[{name}]", f"# {about}", *lines]))
    return "\n\n".join(parts) + "\n"


def _sections() -> Iterator[tuple[str, str]]:
    """Each section's name, and what its docstring says."""
    for section in fields(Config):
        yield section.name, str(section.type.__doc__)


def _keys(section: str) -> list[Key]:
    return [key for key in KEYS if key.section == section]


def _section(name: str, about: str) -> str:
    return f"## `[{name}]`\n\n{about}\n\n{_TABLE}" + "".join(_row(key) for key in _keys(name))


def _row(key: Key) -> str:
    flag = f"`--{key.flat.replace('_', '-')}`" if key.about.flag else ""
    older = f"`{key.flat}`" if key.flat != key.name else ""
    what = key.about.text.replace("|", "\\|")
    return (
        f"| `{key.name}` | `{_toml(key.default)}` | {_takes(key)} | {flag} | {older} | {what} |\n"
    )


def _takes(key: Key) -> str:
    about = key.about
    if about.one_of:
        return ", ".join(f"`{word}`" for word in about.one_of)
    kind = _KINDS.get(key.kind, "list of texts")
    if not key.is_number:
        return kind
    unit = f" ({key.unit})" if key.unit else ""
    bounds = f"at least {about.least}" if about.most == MOST else f"{about.least} to {about.most:,}"
    return f"{kind}{unit}, {bounds}"


def _assignment(key: Key) -> list[str]:
    """The key's line, its remark beside it, going on below where that is long."""
    given = f"{key.name} = {_toml(key.default)}"
    lines = textwrap.wrap(key.about.text, _WIDTH - _COLUMN - 2)
    if len(given) >= _COLUMN:
        lines = ["", *lines]
    first = f"{given:<{_COLUMN}}# {lines[0]}" if lines[0] else given
    return [first, *(f"{'':<{_COLUMN}}# {line}" for line in lines[1:])]


def _toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def main() -> int:
    """Write both files below --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT)
    out = parser.parse_args().out
    (out / REFERENCE).write_text(reference())
    (out / EXAMPLE).write_text(example())
    return 0


if __name__ == "__main__":
    sys.exit(main())
