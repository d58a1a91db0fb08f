"""`gearshift profile`: measure every arm of a family here, or show what is stored; table, JSON, reasons, plot, diff."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.artifacts import MANIFEST, ArtifactError, default_repository, load_family
from models.backends import RUNTIMES, is_installed
from models.backends.base import BackendError
from models.catalog import Family
from profiler import store
from profiler.hardware.fingerprint import Hardware, detect
from profiler.measuring.complete import Job, Outcome, complete
from profiler.measuring.room import MESSAGE_MIB
from profiler.reporting import diff, plot, table
from profiler.reporting.explain import explained, missing_runtimes
from surroundings import console

BUSY_SHARE = 0.85
"""A lone measuring thread that got less than this of a core shared it."""


def main(argv: Sequence[str]) -> int:
    """Run the subcommand; 0, or 2 after one message on standard error."""
    options = _parser().parse_args(argv)
    try:
        return _profile(options)
    except (ArtifactError, BackendError, OSError, ValueError) as error:
        print(f"gearshift profile: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift profile", description=__doc__)
    add = parser.add_argument
    add("--fresh", action="store_true", help="measure again even what is stored")
    add(
        "--budget-s",
        type=_positive,
        default=20.0,
        help="time for a whole family (s; default %(default)g)",
    )
    add("--json", action="store_true", help="print JSON instead of the table")
    add(
        "--explain",
        action="store_true",
        help="say which arms pay here, when, and why others do not",
    )
    add("--plot", type=Path, metavar="FILE.png", help="draw accuracy against latency")
    add(
        "--diff",
        type=Path,
        nargs="+",
        metavar="OTHER.json",
        help="compare a stored profile with this machine's present one, or with a second file",
    )
    add("--family", default="imagenet", help="which family (default imagenet)")
    add(
        "--backends", type=_names, default=(), help="runtimes to use, comma-separated (default all)"
    )
    add("--threads", "--cores", type=_count, default=1, help="intra-op threads (default 1)")
    add(
        "--max-message-mib",
        type=_count,
        default=MESSAGE_MIB,
        help="the server's max_message_mib: larger batches cannot be asked for (default 64)",
    )
    add("--repository", type=Path, default=None, help="folder of the model families")
    add("--profiles", type=Path, default=None, help="folder of the stored profiles")
    return parser


def _profile(options: argparse.Namespace) -> int:
    others: list[diff.Side] = [diff.read(path) for path in options.diff or ()]
    if len(others) > 2:
        raise ValueError("--diff takes one file (compared with the present profile) or two")
    if len(others) == 2:
        return _print_diff(others[0], others[1], options.json)
    _check_backends(options.backends)
    family, folder = _family(options.repository or default_repository(), options.family)
    hardware = detect()
    job = Job(
        folder, family, options.threads, options.budget_s, options.backends, options.max_message_mib
    )
    outcome = _measured(job, hardware, options)
    if options.plot:
        plot.draw(family, outcome.machine, options.plot)
        print(f"wrote {options.plot}", file=sys.stderr)
    if others:
        present = diff.Side.of(outcome.machine, hardware)
        return _print_diff(others[0], present, options.json)
    _print(family, outcome, hardware, options)
    return 0


def _measured(job: Job, hardware: Hardware, options: argparse.Namespace) -> Outcome:
    """The profiles of the arms that were asked for; says on standard error what could not run."""
    profiles = options.profiles or store.default_folder()
    known = None if options.fresh else store.load(profiles, job.family, hardware.fingerprint())
    start_cpu_s = time.process_time()
    outcome = complete(job, known, hardware, profiles)
    _warn_if_busy(outcome.spent_s, time.process_time() - start_cpu_s)
    for name, reason in outcome.failed.items():
        print(f"gearshift profile: {name} is left out: {reason}", file=sys.stderr)
    asked = {(v.name, w.backend, w.device, job.threads) for v, w in job.arms()}
    shown = tuple(p for p in outcome.machine.profiles if p.key in asked)
    return replace(outcome, machine=replace(outcome.machine, profiles=shown))


def _print(
    family: Family, outcome: Outcome, hardware: Hardware, options: argparse.Namespace
) -> None:
    if options.json:
        found = table.as_values(family, outcome.machine, hardware, outcome.spent_s)
        found |= {"failed": dict(outcome.failed), "missing": missing_runtimes(family)}
        print(json.dumps(found, indent=1))
        return
    print(table.rendered(family, outcome.machine, hardware))
    print(f"\nmeasured for {outcome.spent_s:.1f} s")
    if options.explain:
        print("\n" + explained(family, outcome.machine.profiles, outcome.failed))


def _print_diff(old: diff.Side, new: diff.Side, as_json: bool) -> int:
    found = diff.compared(old, new)
    print(json.dumps(diff.as_values(found), indent=1) if as_json else diff.as_text(found))
    return 0


def _family(repository: Path, name: str) -> tuple[Family, Path]:
    """The family and its folder. Raises ArtifactError; an unknown name is told which there are."""
    known = sorted(path.parent.name for path in repository.glob(f"*/{MANIFEST}"))
    if known and name not in known:
        raise ArtifactError(f"no family {name!r} in {repository}; there are: {', '.join(known)}")
    if not known:
        raise ArtifactError(
            f"no family {name!r}: there is none in {repository}; make the default one with `gearshift models build`, "
            "or name another folder with --repository"
        )
    return load_family(repository / name), repository / name


def _check_backends(names: Sequence[str]) -> None:
    known = {runtime.name: runtime for runtime in RUNTIMES}
    for name in names:
        if name not in known:
            raise ValueError(f"unknown backend {name!r}; known: {', '.join(known)}")
        if not is_installed(known[name]):
            extra = known[name].extra or known[name].package
            raise ValueError(
                f"{name} is not installed; install it with `pip install 'gearshift[{extra}]'`"
            )


def _warn_if_busy(spent_s: float, cpu_s: float) -> None:
    if spent_s > 1.0 and cpu_s < BUSY_SHARE * spent_s:
        print(
            f"gearshift profile: the machine was busy, measuring got {cpu_s / spent_s:.0%} of a core; "
            "run it again with --fresh when it is quiet",
            file=sys.stderr,
        )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, not {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
