"""`gearshift simulate`: run a policy against a profile and arrivals, and report what it would have delivered."""

import argparse
import json
import sys
from pathlib import Path

from models.artifacts import default_repository
from server.policy.registry import policy
from server.simulator import arrivals
from server.simulator.engine import Setup, simulate, tickets_at
from server.simulator.noise import Noise, Spell
from server.simulator.outcomes import Outcomes
from server.simulator.profile_file import read_arms


def main(argv: list[str]) -> int:
    """Run one simulation; 0, or 2 and one message on stderr when the input is no good."""
    try:
        options = _parser().parse_args(argv)
        outcomes = _run(options)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after what it cannot read
        return int(stop.code or 0)
    except ValueError as error:
        print(f"gearshift simulate: {error}", file=sys.stderr)
        return 2
    print(json.dumps(outcomes.report(), indent=1) if options.json else _told(options, outcomes))
    return 0


def _run(options: argparse.Namespace) -> Outcomes:
    setup = Setup(
        slo_s=options.slo_ms / 1e3,
        workers=options.workers,
        capacity_rows=options.capacity_rows,
        noise=Noise(cv=options.cv),
        spell=Spell(options.slow_from, options.slow_until, options.slow_factor),
        seed=options.seed,
    )
    arms = read_arms(options.profile, options.repository)
    tickets = tickets_at(_times(options).tolist(), setup.slo_s)
    return simulate(arms, policy(options.policy), tickets, setup)


def _times(options: argparse.Namespace) -> arrivals.Times:
    if options.arrivals is None:
        return arrivals.poisson(options.rate_rps, options.duration_s, options.seed)
    return arrivals.from_file(options.arrivals)


def _told(options: argparse.Namespace, outcomes: Outcomes) -> str:
    report = outcomes.report()
    return (
        f"{options.policy}: {report['offered']} offered, attainment {outcomes.attainment():.2%}, "
        f"effective accuracy {outcomes.effective_accuracy():.2%}, awg {outcomes.awg():.2%}\n"
        f"not run: {report['dropped'] or 'none'}; answered late: {report['late']}\n"
        f"answers in time by variant: {report['variants']}\n"
        f"decision time: p50 {report['decision_us_p50']:.0f} us, p99 {report['decision_us_p99']:.0f} us"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift simulate", description=__doc__)
    add = parser.add_argument
    columns = "variant,accuracy,batch,latency_ms_p50[,latency_ms_p95]"
    add("--profile", type=Path, required=True, help=f"CSV {columns}, or a stored .json")
    add(
        "--repository",
        type=Path,
        default=default_repository(),
        help="where a stored profile's family lies",
    )
    add(
        "--arrivals", type=Path, help="text file, one arrival time (s) per line; without it Poisson"
    )
    add("--rate-rps", type=_positive, default=100.0, help="Poisson rate (default %(default)s)")
    add("--duration-s", type=_positive, default=60.0, help="Poisson duration (default %(default)s)")
    add(
        "--workers", type=_count, default=1, help="batches that run at a time (default %(default)s)"
    )
    add("--slo-ms", type=_positive, required=True, help="every request's latency bound")
    add(
        "--policy",
        default="adaptive",
        help="adaptive, largest or static:VARIANT (default %(default)s)",
    )
    add(
        "--capacity-rows",
        type=_count,
        default=4096,
        help="rows that may wait (default %(default)s)",
    )
    add("--cv", type=_share, default=Noise().cv, help="scatter of latencies (default %(default)s)")
    add("--slow-from", type=float, default=0.0, help="start of a spell (s) when all takes longer")
    add("--slow-until", type=float, default=0.0, help="its end (s)")
    add("--slow-factor", type=_positive, default=1.0, help="how many times as long")
    add("--seed", type=int, default=0, help="of arrivals and scatter (default %(default)s)")
    add("--json", action="store_true", help="print everything, with a timeline by second, as JSON")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
