"""`gearshift profile`: measure every arm of a family here, or show what is stored; table and plot."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from models.artifacts import ArtifactError, default_repository, load_family
from models.backends import backend_name
from models.backends.base import BackendError
from models.catalog import Family, Variant
from profiler import measure, plot, store, table
from profiler.hardware import Hardware, detect
from profiler.profiles import MachineProfile, Profile

BOUND_SLOS = 2.0
"""No batch is grown beyond this many SLOs of latency: it could never be answered in time."""

BUSY_SHARE = 0.85
"""A lone measuring thread that got less than this of a core shared it."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure and where it lies."""

    folder: Path
    family: Family
    threads: int
    effort: measure.Effort


def main(argv: Sequence[str]) -> int:
    """Run the subcommand; 0, or 2 after one message on standard error."""
    options = _parser().parse_args(argv)
    try:
        return _profile(options)
    except (ArtifactError, BackendError, OSError) as error:
        print(f"gearshift profile: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift profile", description=__doc__)
    add = parser.add_argument
    add("--fresh", action="store_true", help="measure again even what is stored")
    add("--budget-s", type=_positive, default=16.0, help="time for a whole family (s; default 16)")
    add("--json", action="store_true", help="print JSON instead of the table")
    add("--family", default="imagenet", help="which family (default imagenet)")
    add("--repository", type=Path, default=None, help="folder of the model families")
    add("--profiles", type=Path, default=None, help="folder of the stored profiles")
    add("--plot", type=Path, metavar="FILE.png", help="draw accuracy against latency")
    add("--threads", "--cores", type=_count, default=1, help="intra-op threads (default 1)")
    return parser


def _profile(options: argparse.Namespace) -> int:
    folder = (options.repository or default_repository()) / options.family
    family, hardware = load_family(folder), detect()
    budget_s = options.budget_s / len(family.variants)
    bound_s = BOUND_SLOS * family.slo.latency_s
    job = Job(folder, family, options.threads, measure.Effort(budget_s, bound_s))
    profiles = options.profiles or store.default_folder()
    machine = None if options.fresh else store.load(profiles, family, hardware.fingerprint())
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    machine = complete(job, machine, hardware, profiles)
    spent_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    _warn_if_busy(spent_s, cpu_s)
    shown = tuple(p for p in machine.profiles if p.threads == options.threads)
    machine = replace(machine, profiles=shown)
    if options.json:
        print(json.dumps(table.as_values(family, machine, hardware, spent_s), indent=1))
    else:
        print(table.rendered(family, machine, hardware), f"\n\nmeasured for {spent_s:.1f} s")
    if options.plot:
        plot.draw(family, machine, options.plot)
        print(f"wrote {options.plot}", file=sys.stderr)
    return 0


def _warn_if_busy(spent_s: float, cpu_s: float) -> None:
    if spent_s > 1.0 and cpu_s < BUSY_SHARE * spent_s:
        print(
            f"gearshift profile: the machine was busy, measuring got {cpu_s / spent_s:.0%} of a core; "
            "run it again with --fresh when it is quiet",
            file=sys.stderr,
        )


def complete(
    job: Job, machine: MachineProfile | None, hardware: Hardware, profiles: Path
) -> MachineProfile:
    """`machine` with every arm it lacked measured and stored at once. Raises BackendError."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    machine = machine or MachineProfile(hardware.fingerprint(), job.family.name, created)
    missing = [v for v in job.family.variants if _stored(job, machine, v) is None]
    steps = len(missing) * _turns(job)
    with ExitStack() as loaded, tqdm(total=steps, unit="turn", disable=not missing) as progress:
        for variant in missing:
            machine = machine.merged(_measured(job, variant, progress, loaded))
            store.save(profiles, job.family, machine, hardware)
    return machine


def _stored(job: Job, machine: MachineProfile, variant: Variant) -> Profile | None:
    return machine.find(variant.name, backend_name(variant), "cpu", job.threads)


def _measured(job: Job, variant: Variant, progress: "tqdm[NoReturn]", opened: ExitStack) -> Profile:
    """The arm stays open: memory that an earlier one gave back would hide what this one needs."""
    progress.set_postfix_str(variant.name)
    end = progress.n + _turns(job)
    loaded = measure.load(job.folder, job.family, variant, job.threads)
    opened.callback(loaded.backend.close)
    instruments = measure.Instruments()
    visits: list[measure.Visit] = []
    for visit in measure.visits(loaded.backend, job.family, job.effort, instruments):
        visits.append(visit)
        progress.update()
    progress.update(end - progress.n)
    return measure.profile_of(loaded, variant, visits)


def _turns(job: Job) -> int:
    """The most turns that measuring one arm takes."""
    return job.effort.rounds * len(measure.batches(job.effort.grid, job.family.max_batch))


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
