"""The command line of `gearshift loadtest`, checked and turned into values."""

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path

from loadtest.arrivals import parse_steps
from loadtest.errors import BadOption
from loadtest.inputs import Demand
from loadtest.load import Closed, Load, Replay, Steady, Stepped, Trace
from loadtest.target import Target
from surroundings.server_address import BadAddress, add_options, resolved

SAFETY_TIMEOUT_S = 30.0  # for calls without --deadline: every wait ends


@dataclass(frozen=True, slots=True)
class Sink:
    """Where the report goes: into a folder if one is named, and to stdout (JSON or Markdown)."""

    folder: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class Options:
    """A run: what to drive and ask for, with which load, pictures or rows, and where the report
    goes."""

    target: Target
    demand: Demand
    load: Load
    warmup_s: float
    images: Path | None
    samples: Path | None
    processes: int
    seed: int
    sink: Sink


def parse(argv: list[str]) -> Options:
    """Options from the command line. Raises BadOption; argparse exits by itself on what it
    cannot read."""
    given = _parser().parse_args(argv)
    _check(given)
    slo_s = None if given.slo_ms is None else given.slo_ms / 1e3
    margin_s = None if given.deadline is None else given.deadline / 1e3
    timeout_s = SAFETY_TIMEOUT_S if margin_s is None else (slo_s or 0.0) + margin_s
    return Options(
        target=Target(_url(given), given.model, timeout_s),
        demand=Demand(slo_s, given.min_accuracy, given.slo_class, given.variant, given.rows),
        load=_load(given),
        warmup_s=given.warmup_s,
        images=given.images,
        samples=given.samples,
        processes=given.processes,
        seed=given.seed,
        sink=Sink(given.out, given.json),
    )


def _url(given: argparse.Namespace) -> str:
    try:
        return resolved(given.url, given.config, os.environ)
    except BadAddress as error:
        raise BadOption(str(error)) from error


def _load(given: argparse.Namespace) -> Load:
    if given.schedule is not None:
        return Stepped(tuple(parse_steps(given.schedule)))
    if given.mode == "closed" or (
        given.mode is None and given.rate_rps is None and given.arrivals is None
    ):
        return Closed(given.concurrency, given.duration_s)
    if given.as_recorded:
        return Replay(Path(given.arrivals), given.duration_s)
    if _names_file(given):
        return Trace(Path(given.arrivals), given.counts, given.duration_s, given.rate_rps)
    if given.rate_rps is None:
        raise BadOption(
            "an open loop needs --rate-rps (or --schedule, or a trace file as --arrivals)"
        )
    return Steady(given.rate_rps, given.duration_s, given.arrivals != "constant")


def _check(given: argparse.Namespace) -> None:
    above_zero = ("duration_s", "rate_rps", "slo_ms", "concurrency", "rows", "processes")
    problems = [
        f"--{name.replace('_', '-')} {value} must be above 0 and finite"
        for name in above_zero
        if (value := getattr(given, name)) is not None and not (math.isfinite(value) and value > 0)
    ]
    if not (math.isfinite(given.warmup_s) and given.warmup_s >= 0.0):
        problems.append(f"--warmup-s {given.warmup_s} must be 0 or more and finite")
    if given.min_accuracy is not None and not 0.0 <= given.min_accuracy <= 1.0:
        problems.append(f"--min-accuracy {given.min_accuracy} must lie between 0 and 1")
    if given.deadline is not None and given.slo_ms is None:
        problems.append("--deadline counts from the SLO: give --slo-ms too")
    if given.deadline is not None and not (math.isfinite(given.deadline) and given.deadline >= 0.0):
        problems.append(f"--deadline {given.deadline} must be 0 or more and finite")
    opened = given.schedule is not None or given.arrivals is not None or given.rate_rps is not None
    if given.mode == "closed" and opened:
        problems.append("--mode closed goes with --concurrency, not with a rate or arrivals")
    problems += _trace_problems(given)
    if problems:
        raise BadOption("; ".join(problems))


def _trace_problems(given: argparse.Namespace) -> list[str]:
    problems: list[str] = []
    if (given.counts or given.as_recorded) and not _names_file(given):
        problems.append(
            "--counts and --as-recorded are about a trace: name it with --arrivals FILE"
        )
    if given.as_recorded and (given.counts or given.rate_rps is not None):
        problems.append("--as-recorded keeps the file's own times: leave out --counts, --rate-rps")
    return problems


def _names_file(given: argparse.Namespace) -> bool:
    return given.arrivals not in {None, "poisson", "constant"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gearshift loadtest",
        description="Drive a running server over gRPC and report what it delivered.",
        epilog="Bare: 4 requests always open, for 10 s. A rate, trace or schedule opens the loop.",
    )
    add = parser.add_argument
    add_options(parser)
    add("--model", default="imagenet", help="the family to ask for (imagenet)")
    add(
        "--mode",
        choices=("open", "closed"),
        help="open: follow a schedule; closed: wait for answers",
    )
    add(
        "--duration-s",
        type=float,
        default=10.0,
        help="how long to report on, after the warm-up (10)",
    )
    add("--warmup-s", type=float, default=0.0, help="drive this long before the report begins (0)")
    add("--rate-rps", type=float, help="requests per second of an open loop")
    add(
        "--arrivals",
        metavar="poisson|constant|FILE",
        help="how they are spaced (poisson); a FILE holds one "
        "arrival time (s) per line, plain or .gz; it is squeezed to --duration-s and rescaled to "
        "--rate-rps",
    )
    add("--counts", action="store_true", help="FILE holds one count per second instead")
    add(
        "--as-recorded",
        action="store_true",
        help="FILE's own times up to --duration-s, neither squeezed nor rescaled",
    )
    add(
        "--schedule",
        metavar="S:RPS,...",
        help="Poisson steps, such as 20:50,10:200; recovery is reported",
    )
    add("--concurrency", type=int, default=4, help="clients of a closed loop (4)")
    add(
        "--slo-ms",
        type=float,
        help="latency bound of each request; without it the family's default holds "
        "and every answer counts as in time",
    )
    add("--min-accuracy", type=float, help="least accuracy each request accepts, 0 to 1")
    add("--slo-class", metavar="NAME", help="the class the requests are counted in")
    add("--variant", help="pin one variant")
    add("--rows", type=int, default=1, help="samples per request (1)")
    add(
        "--deadline",
        type=float,
        nargs="?",
        const=0.0,
        metavar="MARGIN_MS",
        help="give each call a gRPC deadline of the SLO plus this margin (0)",
    )
    add("--images", type=Path, metavar="DIR", help="photographs to send crops of")
    add(
        "--samples",
        type=Path,
        metavar="FILE.npz",
        help="rows to send: an array for each input, under its name (texts: an array of str)",
    )
    add("--processes", type=int, default=1, help="client processes to share the load (1)")
    add("--seed", type=int, default=0, help="of arrivals and inputs (0)")
    add("--out", type=Path, metavar="DIR", help="write report.json, report.md and report.png there")
    add("--json", action="store_true", help="print the JSON report alone on stdout")
    return parser
