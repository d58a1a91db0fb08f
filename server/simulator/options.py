"""The options of `gearshift simulate`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.artifacts import default_repository
from server.simulator.classes import KEYS
from server.simulator.noise import Noise

COLUMNS = "variant,accuracy,batch,latency_ms_p50[,latency_ms_p95]"

_POLICY = "a name, list for all names, or MODULE:ATTRIBUTE of your own (default %(default)s)"

Add = Callable[..., Any]
"""A group's `add_argument`."""


def parser(about: str | None) -> argparse.ArgumentParser:
    """The command's options; `about` is what --help says it does."""
    found = argparse.ArgumentParser(prog="gearshift simulate", description=about)
    _add_load(found.add_argument_group("who asks").add_argument)
    _add_machine(found.add_argument_group("what serves").add_argument)
    _add_noise(found.add_argument_group("how it strays from its profile").add_argument)
    add = found.add_argument_group("what is told").add_argument
    add("--bound", action="store_true", help="add bound_awg, what no schedule can exceed")
    add("--out", help="write PREFIX.json, PREFIX.md and PREFIX.png", metavar="PREFIX")
    add("--json", action="store_true", help="print everything, with a timeline by second, as JSON")
    return found


def _add_load(add: Add) -> None:
    add("--arrivals", type=Path, help="text file, one time (s) per line; without it Poisson")
    add("--rate-rps", type=_positive, default=100.0, help="Poisson rate (default %(default)s)")
    add("--duration-s", type=_positive, default=60.0, help="Poisson duration (default %(default)s)")
    add("--slo-ms", type=_positive, help="every request's latency bound, where its class has none")
    add(
        "--percentile",
        type=_share,
        default=0.99,
        help="share of requests promised to be in time; 0: none (default %(default)s)",
    )
    add("--classes", type=Path, help=f"TOML of [[class]] tables: {', '.join(KEYS)}")
    add("--seed", type=int, default=0, help="of arrivals and scatter (default %(default)s)")


def _add_machine(add: Add) -> None:
    home = default_repository()
    add("--profile", type=Path, help=f"CSV {COLUMNS}, or a stored .json")
    add("--repository", type=Path, default=home, help="where a stored profile's family lies")
    add("--threads", type=_count, help="which of a stored profile's counts (default the smallest)")
    add("--workers", type=_count, default=1, help="batches that run at a time (%(default)s)")
    add("--policy", default="adaptive", help=_POLICY)
    add("--capacity-rows", type=_count, default=4096, help="rows that may wait (%(default)s)")
    ways = ("profile", "measured", "told")
    add(
        "--follow",
        choices=ways,
        default="measured",
        help="whose speed it decides with (%(default)s)",
    )


def _add_noise(add: Add) -> None:
    add("--cv", type=_share, default=Noise().cv, help="scatter of latencies (default %(default)s)")
    add("--slow-from", type=float, default=0.0, help="start of a spell (s) when all takes longer")
    add("--slow-until", type=float, default=0.0, help="its end (s)")
    add("--slow-factor", type=_positive, default=1.0, help="how many times as long")
    add("--slow-arm", default="", help="the variant that is slow then (all)", metavar="VARIANT")
    add("--stall-share", type=_share, default=0.0, help="share of batches that stall")
    add("--stall-factor", type=_positive, default=5.0, help="how many times as long (%(default)s)")
    add("--switch-ms", type=_time, default=0.0, help="cost of another arm than a worker's last")
    add("--load-ms", type=_time, default=0.0, help="cost of an arm's first use")


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _time(text: str) -> float:
    value = float(text)
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time of at least 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
