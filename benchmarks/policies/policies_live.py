"""Policies live: the same recorded arrivals against `gearshift serve --policy NAME`, beside the simulator's prediction.

    python benchmarks/policies/policies_live.py             # about 25 minutes
    python benchmarks/policies/policies_live.py --policies adaptive slackfit --duration-s 10 --rounds 1  # to try it

Every policy meets the same times on a server of its own, pinned to one core, the load generator to another; the order
turns round from round to round. Ours and the references that the simulator holds for the best replay the whole trace
in every round; all others, and ours again, an excerpt of it once. The prediction for a run is the simulator's on the
very same times, with the arms as the server knew them during that run: its control service is asked every few seconds,
so that the machine's speed of those minutes and what serving adds to a batch are in it.

Writes benchmarks/results/policies_live.{json,md}.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tqdm import tqdm

from benchmarks import rig
from benchmarks.policies import cells, policies_live_table, traces
from benchmarks.policies.policies_live_run import Arrivals, LiveRun, measured, predicted
from benchmarks.policies.policies_run import OURS
from server.policy import registry

UTILISATION = 1.5
"""Of what the most accurate variant alone carries by its profile."""
EXCERPT_S, EXCERPT_EVERY_S = 4.0, 60.0
"""Those who do not run in full meet so many seconds out of so many, joined."""


@dataclass(frozen=True, slots=True)
class Programme:
    """Who replays what: one run after the other."""

    whole: tuple[str, ...]
    brief: tuple[str, ...]
    rounds: int

    def runs(self) -> list[tuple[str, bool]]:
        """(policy, whether in full), every second round backwards."""
        found: list[tuple[str, bool]] = []
        for number in range(self.rounds):
            turn = self.whole if number % 2 == 0 else self.whole[::-1]
            found += [(name, True) for name in turn]
        return found + [(name, False) for name in self.brief]


def main() -> int:
    """0, or 2 with one message where the trace is missing."""
    given = _parser().parse_args()
    machine = cells.machine("cpu", cells.default_sources())
    slo_s = given.slo_ms / 1e3 if given.slo_ms else machine.slo_s
    rate_rps = given.rate_rps or UTILISATION * machine.largest_rps
    try:
        times = traces.make(given.trace, rate_rps, given.duration_s, given.seed, given.folder)
    except traces.MissingTrace as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        whole = Arrivals(times, given.duration_s, slo_s, Path(folder) / "whole.txt")
        programme = _programme(given, whole, machine)
        runs = _run(programme, whole, brief_of(whole))
    _write(given, runs, whole)
    return 0


def brief_of(whole: Arrivals) -> Arrivals:
    """EXCERPT_S of every EXCERPT_EVERY_S, one stretch after the other."""
    times_s = traces.excerpt(whole.times_s, EXCERPT_S, EXCERPT_EVERY_S)
    full, rest_s = divmod(whole.duration_s, EXCERPT_EVERY_S)
    duration_s = full * EXCERPT_S + min(rest_s, EXCERPT_S)
    return Arrivals(times_s, duration_s, whole.slo_s, whole.path.with_name("brief.txt"))


def _programme(given: argparse.Namespace, whole: Arrivals, machine: cells.Machine) -> Programme:
    """Ours, then references by what the simulator expects of them with the stored profile, best first."""
    names: Sequence[str] = given.policies or registry.names(machine.arms)
    references = [name for name in names if not name.startswith(OURS)]
    awg = {name: predicted(name, whole, machine.arms, 1)["awg"] for name in references}
    references.sort(key=lambda name: -awg[name])
    best, others = references[: given.in_full], references[given.in_full :]
    return Programme((OURS, *best), (OURS, *others) if others else (), given.rounds)


def _run(programme: Programme, whole: Arrivals, brief: Arrivals) -> list[LiveRun]:
    runs: list[LiveRun] = []
    for name, in_full in (bar := tqdm(programme.runs(), unit="run")):
        bar.set_postfix_str(name)
        run = measured(name, whole if in_full else brief, in_full)
        runs.append(run)
        tqdm.write(
            f"{name:32} awg {100 * run.live['awg']:6.2f}, predicted {100 * run.predicted['awg']:6.2f}"
        )
    return runs


def _write(given: argparse.Namespace, runs: Sequence[LiveRun], whole: Arrivals) -> None:
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": rig.machine(),
        "trace": given.trace,
        "seed": given.seed,
        "offered": len(whole.times_s),
        "duration_s": whole.duration_s,
        "slo_ms": 1e3 * whole.slo_s,
        "rounds": given.rounds,
        "runs": [asdict(run) for run in runs],
    }
    rig.write("policies_live", result, policies_live_table.markdown(result, runs))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--policies", nargs="+", help="only these (default: all)")
    add("--trace", choices=traces.TRACES, default="azure_conv")
    add("--folder", type=Path, default=traces.default_folder(), help="recordings")
    add("--seed", type=int, default=traces.REPORTING_SEEDS[0])
    add("--rate-rps", type=float, help=f"default: {UTILISATION}x the largest variant's capacity")
    add("--duration-s", type=float, default=120.0)
    add("--slo-ms", type=float, help="default: 4x the slowest variant's batch of one")
    add("--rounds", type=int, default=2)
    add("--in-full", type=int, default=2, metavar="N", help="references that replay it all (2)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
