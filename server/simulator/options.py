"""The options of `gearshift simulate`, and what is assumed where they are not given: a family, its profiles here."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.artifacts import ArtifactError, default_repository, family_names, load_family
from models.catalog import Family
from profiler import store
from profiler.hardware.fingerprint import detect
from profiler.profiles import MachineProfile
from server.simulator.classes import KEYS
from server.simulator.noise import Noise

COLUMNS = "variant,accuracy,batch,latency_ms_p50[,latency_ms_p95]"

USUAL_PERCENTILE = 0.99

_POLICY = "a name, list for all names, or MODULE:ATTRIBUTE of your own (default %(default)s)"

Add = Callable[..., Any]
"""A group's `add_argument`."""


def parser(about: str | None) -> argparse.ArgumentParser:
    """The command's options; `about` is what --help says it does."""
    found = argparse.ArgumentParser(prog="gearshift simulate", description=about)
    found.set_defaults(min_accuracy=0.0, rows=1)
    _add_load(found.add_argument_group("who asks").add_argument)
    _add_machine(found.add_argument_group("what serves").add_argument)
    _add_noise(found.add_argument_group("how it strays from its profile").add_argument)
    add = found.add_argument_group("what is told").add_argument
    add("--bound", action="store_true", help="add bound_awg, what no schedule can exceed")
    add("--out", help="write PREFIX.json, PREFIX.md and PREFIX.png", metavar="PREFIX")
    add("--json", action="store_true", help="print everything, with a timeline by second, as JSON")
    return found


def complete(options: argparse.Namespace) -> str:
    """Fill in what was not given, from a family and its profiles on this machine; one line says what, or is empty.

    Raises ValueError where that is not to be had.
    """
    if options.profile is not None:
        _fill(options, None)
        return ""
    try:
        family = _family(options)
    except ArtifactError as error:
        raise ValueError(str(error)) from error
    folder, fingerprint = options.profiles or store.default_folder(), detect().fingerprint()
    stored = store.load(folder, family, fingerprint)
    if stored is None or not stored.profiles:
        raise ValueError(
            f"no profiles of {family.name} on this machine ({fingerprint}) are stored; make them with `gearshift "
            f"profile --family {family.name} --repository {options.repository}`, or name a file with --profile"
        )
    options.profile = store.path_of(folder, family.name, fingerprint)
    options.threads = options.threads or _threads(stored)
    options.rows = family.row_units  # where sizes are free, profiles count work
    own = "" if options.slo_ms is not None else " and its SLO"
    _fill(options, family)
    promised = f"{options.slo_ms:g} ms for {options.percentile:.4g} of the requests"
    return f"assumed {family.name}{own} ({promised}), this machine's profiles of it, {options.workers} worker(s)"


def _family(options: argparse.Namespace) -> Family:
    """The family that is meant. Raises ValueError where it is not clear which, or ArtifactError."""
    names = family_names(options.repository)
    if not options.family and len(names) != 1:
        raise ValueError(
            f"{options.repository} has {len(names)} families; choose one with --family: {', '.join(names)}"
            if names
            else f"there is no family in {options.repository}; add one with `gearshift models add`, or give --profile"
        )
    name = options.family or names[0]
    if name not in names:
        raise ValueError(
            f"no family {name!r} in {options.repository}; there are: {', '.join(names)}"
        )
    return load_family(options.repository / name, verify=False)


def _threads(stored: MachineProfile) -> int | None:
    """The smallest count of threads that all arms were measured with; None where there is none."""
    arms = {(p.variant, p.backend, p.device) for p in stored.profiles}
    counts = {p.threads for p in stored.profiles}
    return min((n for n in counts if all(stored.find(*arm, n) for arm in arms)), default=None)


def _fill(options: argparse.Namespace, family: Family | None) -> None:
    if family is not None and options.slo_ms is None:
        options.slo_ms = 1e3 * family.slo.latency_s
        options.min_accuracy = family.slo.min_accuracy
        if options.percentile is None:
            options.percentile = family.slo.percentile
    if options.percentile is None:
        options.percentile = USUAL_PERCENTILE


def _add_load(add: Add) -> None:
    add("--arrivals", type=Path, help="text file, one time (s) per line; without it Poisson")
    add("--rate-rps", type=_positive, default=100.0, help="Poisson rate (default %(default)s)")
    add("--duration-s", type=_positive, default=60.0, help="Poisson duration (default %(default)s)")
    add(
        "--slo-ms",
        type=_positive,
        help="every request's latency bound, where its class has none (default: the family's)",
    )
    add(
        "--percentile",
        type=_share,
        help=f"share of requests promised to be in time; 0: none (default {USUAL_PERCENTILE}, or the family's)",
    )
    add("--classes", type=Path, help=f"TOML of [[class]] tables: {', '.join(KEYS)}")
    add("--seed", type=int, default=0, help="of arrivals and scatter (default %(default)s)")


def _add_machine(add: Add) -> None:
    home = default_repository()
    add(
        "--profile",
        type=Path,
        help=f"CSV {COLUMNS}, or a stored .json (default: this machine's, of --family)",
    )
    add("--family", default="", help="whose stored profiles (default: the only one there is)")
    add("--profiles", type=Path, help="folder of the stored profiles (default: the user's cache)")
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
