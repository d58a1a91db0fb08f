"""The arrivals the benchmarks use: three recordings and two streams of our own, at any mean rate, by name and seed.

Recorded: `azure_conv` and `mooncake_conversation` (arrival times of requests to a language model), squeezed to the
duration and brought to the rate by `server.simulator.arrivals.rescaled`: below the recording's own rate the times are
real ones, above it they are drawn on its clock. `twitter` has one count a second: a window of SQUEEZE times the
duration is drawn, the counts shape the rate, all times within a second are drawn. Made: `gamma` and `surges`.

    python benchmarks/policies/traces.py --trace surges --rate-rps 100 --duration-s 60 --seed 1 > arrivals.txt
"""

import argparse
import gzip
import os
import sys
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from server.simulator import arrivals
from server.simulator.arrivals import LoadState, Times

ROOT = Path(__file__).resolve().parents[2]

RECORDED = ("azure_conv", "twitter", "mooncake_conversation")
MADE = ("gamma", "surges")
TRACES = (*RECORDED, *MADE)

TUNING_TRACES = ("azure_conv", "twitter", "gamma", "surges")
"""Constants of a policy may be chosen on these, with TUNING_SEEDS only."""
TUNING_SEEDS = (1, 2, 3)
REPORTING_TRACES = ("mooncake_conversation",)
"""Never looked at while tuning, whatever the seed."""
REPORTING_SEEDS = (11, 12, 13)
"""Every figure that is reported, on every trace, is of these."""

SQUEEZE = 10.0
"""Seconds of Twitter's counts in one of ours: two minutes show the ups and downs of twenty."""
CLUMPS_CV2, BASE_SHARE = 8.0, 0.25
"""`gamma`: squared coefficient of variation of the clumps' gaps, and the Poisson base's share of the rate."""
LEVELS = (LoadState(weight=0.6, stay_s=3.0), LoadState(weight=2.5, stay_s=0.8))
"""`surges`: calm and surge, which follow each other."""

_FILES = {
    "azure_conv": "azure_conv.csv.gz",
    "twitter": "twitter_per_second_counts.txt.gz",
    "mooncake_conversation": "mooncake_conversation.csv.gz",
}


class MissingTrace(Exception):
    """A recording is not on this machine."""


def default_folder() -> Path:
    """$GEARSHIFT_TRACES, or shared/traces beside the repository."""
    return Path(os.environ.get("GEARSHIFT_TRACES") or ROOT.parent / "shared" / "traces")


def available(folder: Path) -> tuple[str, ...]:
    """The traces that can be made: recordings only where their file is there."""
    return tuple(n for n in TRACES if n in MADE or (folder / _FILES[n]).is_file())


def make(name: str, rate_rps: float, duration_s: float, seed: int, folder: Path) -> Times:
    """The arrival times (s) of one trace. Same arguments, same times.

    Raises MissingTrace where the recording is not in `folder`, ValueError for an unknown name.
    """
    draw = TRACES.index(name) if name in TRACES else -1
    own_seed = int(np.random.SeedSequence([seed, draw + 1]).generate_state(1)[0])
    match name:
        case "gamma":
            return arrivals.clumped(rate_rps, duration_s, CLUMPS_CV2, BASE_SHARE, own_seed)
        case "surges":
            return arrivals.modulated(rate_rps, duration_s, LEVELS, own_seed)
        case "twitter":
            window = _window(twitter_counts(folder), duration_s, own_seed)
            return arrivals.from_counts(window, rate_rps, duration_s, own_seed)
        case "azure_conv" | "mooncake_conversation":
            recorded = azure_times(folder) if name == "azure_conv" else mooncake_times(folder)
            return arrivals.rescaled(recorded, rate_rps, duration_s, own_seed)
        case _:
            raise ValueError(f"unknown trace {name!r}; known: {', '.join(TRACES)}")


def excerpt(times_s: Times, stretch_s: float, every_s: float) -> Times:
    """`stretch_s` of every `every_s` seconds, joined: a short load with a sample of the whole trace's ups and downs."""
    number, phase_s = np.divmod(times_s, every_s)
    kept = phase_s < stretch_s
    return number[kept] * stretch_s + phase_s[kept]


@cache
def azure_times(folder: Path) -> Times:
    """Seconds from the first of 19,366 conversation requests of one hour (Azure LLM inference 2023)."""
    stamps = np.array([line.split(",")[0] for line in _lines(folder, "azure_conv")[1:]])
    since = np.sort(stamps.astype("datetime64[ns]").astype(np.int64))
    return (since - since[0]) / 1e9


@cache
def mooncake_times(folder: Path) -> Times:
    """Seconds from the first of 12,031 conversation requests of one hour (Mooncake)."""
    lines = _lines(folder, "mooncake_conversation")[1:]
    since = np.sort(np.array([float(line.split(",")[0]) for line in lines]))
    return (since - since[0]) / 1e3


@cache
def twitter_counts(folder: Path) -> Times:
    """One count a second over 22 days."""
    return np.array([float(line) for line in _lines(folder, "twitter")])


def _window(counts: Times, duration_s: float, seed: int) -> Times:
    length = max(1, round(duration_s * SQUEEZE))
    start = int(np.random.default_rng(seed).integers(0, len(counts) - length))
    return counts[start : start + length]


def _lines(folder: Path, name: str) -> list[str]:
    path = folder / _FILES[name]
    if not path.is_file():
        raise MissingTrace(f"{name}: no {path}; GEARSHIFT_TRACES names the folder of recordings")
    with gzip.open(path, "rt") as file:
        return file.read().splitlines()


def main() -> int:
    """Print one trace, a time in seconds a line, as `gearshift simulate --arrivals` reads it."""
    parser = argparse.ArgumentParser(description="print the arrivals of one benchmark trace")
    add = parser.add_argument
    add("--trace", choices=TRACES, required=True)
    add("--rate-rps", type=float, required=True)
    add("--duration-s", type=float, default=120.0)
    add("--seed", type=int, default=TUNING_SEEDS[0])
    add("--folder", type=Path, default=default_folder())
    given = parser.parse_args()
    try:
        times = make(given.trace, given.rate_rps, given.duration_s, given.seed, given.folder)
    except (MissingTrace, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    np.savetxt(sys.stdout, times, fmt="%.9f")
    return 0


if __name__ == "__main__":
    sys.exit(main())
