"""Where clients of ours find a server: as they are asked to, else where its own configuration says that it listens."""

import argparse
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from surroundings.addresses import USUAL_PORT, bare, joined, target
from surroundings.documents import text_at, toml_in
from surroundings.variables import PREFIX, injected

_SECTION = "server"
_HOST, _PORT = "host", "port"
_LOOPBACK = "localhost"
_MOST_PORT = 65535

HELP = (
    "the server's gRPC address (default: its host and port by --config and GEARSHIFT__SERVER__..., "
    "else localhost:8001)"
)


class BadAddress(Exception):
    """What the configuration says of host or port is none; the message says where, and what to do."""


def add_options(parser: argparse.ArgumentParser, *names: str, default: Any = None) -> None:
    """The options that say where the server is: --url, by further names too, and --config."""
    parser.add_argument("--url", *names, default=default, metavar="HOST:PORT", help=HELP)
    parser.add_argument(
        "--config",
        type=Path,
        default=default,
        metavar="CONFIG.toml",
        help="the file that the server was started with",
    )


def resolved(url: str | None, config: Path | None, environment: Mapping[str, str]) -> str:
    """`url` where one is given, else the address by the file `config` and the environment, which counts more.

    Who listens on all addresses is asked on the loopback. Raises BadAddress.
    """
    if url is not None:
        return target(url)
    found = {_HOST: ("", _LOOPBACK), _PORT: ("", str(USUAL_PORT))}
    found |= {} if config is None else _in_file(config)
    found |= _in_environment(environment)
    return joined(_reachable(found[_HOST][1]), _port(*found[_PORT]))


def _in_file(path: Path) -> dict[str, tuple[str, str]]:
    """Key -> (where it stands, its value); by their old names, outside of the section, too."""
    try:
        table = toml_in(text_at(path))
    except (OSError, ValueError) as error:
        raise BadAddress(f"{path} cannot be read: {error}; correct it, or give --url") from error
    section = table.get(_SECTION)
    inner = cast("dict[str, object]", section) if isinstance(section, dict) else {}
    given = {key: table[key] for key in (_HOST, _PORT) if key in table} | inner
    return {key: (f"{path}: ", str(given[key])) for key in (_HOST, _PORT) if key in given}


def _in_environment(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The same of variables, those by their new names counting more; what an orchestrator makes is passed over."""
    foreign = set(injected(environment, (_HOST.upper(), _PORT.upper())))
    found: dict[str, tuple[str, str]] = {}
    for key in (_HOST, _PORT):
        for name in (f"{PREFIX}{key}".upper(), f"{PREFIX}_{_SECTION}__{key}".upper()):
            if name in environment and name not in foreign:
                found[key] = (f"environment: {name}: ", environment[name])
    return found


def _reachable(host: str) -> str:
    try:
        return _LOOPBACK if ip_address(bare(host)).is_unspecified else host
    except ValueError:
        return host or _LOOPBACK


def _port(where: str, text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= _MOST_PORT:
        raise BadAddress(f"{where}port {text!r} is none; correct it, or give --url HOST:PORT")
    if port == 0:
        raise BadAddress(
            f"{where}port 0 is any that was free; the server's log says which: give --url HOST:PORT"
        )
    return port
