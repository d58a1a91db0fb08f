"""`gearshift simulate`: run a policy against a profile and arrivals, and report what it would have delivered."""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from server.policy.decision import ArmProfile, Ticket
from server.policy.registry import names, policy
from server.simulator import arrivals
from server.simulator.classes import SloClass, read_classes, tickets_of
from server.simulator.engine import simulate
from server.simulator.figures import Report
from server.simulator.noise import Noise, Spell, Stall
from server.simulator.options import complete, parser
from server.simulator.profile_file import read_arms
from server.simulator.report import as_markdown, as_text, draw
from server.simulator.setup import Setup, Switching
from surroundings import console


@dataclass(frozen=True, slots=True)
class _Case:
    """What the options describe: who could serve, who asks, on what terms."""

    arms: list[ArmProfile]
    classes: tuple[SloClass, ...]
    tickets: list[Ticket]
    setup: Setup


def main(argv: list[str]) -> int:
    """Run one simulation; 0, or 2 and one message on stderr when the input is no good."""
    try:
        options = parser(__doc__).parse_args(argv)
        if options.policy == "list":
            print("\n".join(names()))
            return 0
        if assumed := complete(options):
            print(f"gearshift simulate: {assumed}", file=sys.stderr)
        found = _run(options)
        _write(options, found)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after what it cannot read
        return int(stop.code or 0)
    except (ValueError, OSError) as error:
        print(f"gearshift simulate: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1) if options.json else as_text(options.policy, found))
    return 0


def _run(options: argparse.Namespace) -> Report:
    if options.out is not None and not Path(options.out).parent.is_dir():
        raise ValueError(f"--out {options.out}: there is no such folder; make it first")
    case = _case(options)
    outcomes = simulate(case.arms, policy(options.policy), case.tickets, case.setup)
    found = outcomes.report()
    if options.bound:
        found["bound_awg"] = _bound(case)
    return found


def _case(options: argparse.Namespace) -> _Case:
    if options.slo_ms is None:
        raise ValueError("--slo-ms is missing, and --profile says none; give it too")
    slo_s = options.slo_ms / 1e3
    classes = (SloClass("default", 1.0, slo_s, options.min_accuracy, rows=options.rows),)
    if options.classes is not None:
        classes = read_classes(options.classes, slo_s)
    arms = read_arms(options.profile, options.repository, options.threads)
    stalls = (Stall(options.stall_share, options.stall_factor),) if options.stall_share else ()
    slow_arm = _slow_arm(options, arms)
    setup = Setup(
        slo_s=slo_s,
        workers=options.workers,
        capacity_rows=options.capacity_rows,
        noise=Noise(cv=options.cv, stalls=stalls),
        spell=Spell(options.slow_from, options.slow_until, options.slow_factor, slow_arm),
        seed=options.seed,
        follow=options.follow,
        switching=Switching(options.switch_ms / 1e3, options.load_ms / 1e3),
        percentile=options.percentile,
        weights={c.name: c.weight for c in classes} if len(classes) > 1 else {},
    )
    tickets = tickets_of(classes, _times(options).tolist(), options.seed)
    return _Case(arms, classes, tickets, setup)


def _slow_arm(options: argparse.Namespace, arms: list[ArmProfile]) -> str:
    name: str = options.slow_arm
    if name and (options.slow_until <= options.slow_from or options.slow_factor == 1.0):
        raise ValueError("--slow-arm says which, not when: add --slow-until and --slow-factor")
    known = sorted({arm.arm.variant for arm in arms})
    if name and name not in known:
        raise ValueError(f"--slow-arm {name}: no such variant; known: {', '.join(known)}")
    return name


def _bound(case: _Case) -> float:
    """The clairvoyant bound for these very requests."""
    from server.simulator.bound import bound_awg

    if any(c.rows > 1 for c in case.classes):
        raise ValueError("--bound knows requests of one row only; leave it out or set rows = 1")
    return bound_awg(
        case.arms,
        [t.arrival_s for t in case.tickets],
        np.array([t.deadline_s - t.arrival_s for t in case.tickets]),
        case.setup.workers,
        np.array([t.min_accuracy for t in case.tickets]),
    )


def _write(options: argparse.Namespace, found: Report) -> None:
    if options.out is None:
        return
    title = f"{options.policy} on {options.profile.name}"
    for suffix, text in (
        (".json", json.dumps(found, indent=1)),
        (".md", as_markdown(title, found)),
    ):
        Path(f"{options.out}{suffix}").write_text(text)
    draw(title, found, Path(f"{options.out}.png"))


def _times(options: argparse.Namespace) -> arrivals.Times:
    if options.arrivals is None:
        return arrivals.poisson(options.rate_rps, options.duration_s, options.seed)
    return arrivals.from_file(options.arrivals)


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
