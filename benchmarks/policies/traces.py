"""The arrivals the benchmarks use: recordings and streams of our own, at any mean rate, by name and seed.

Recorded: `azure_conv` and `mooncake_conversation` (arrival times of requests to a language model), squeezed to the
duration and brought to the rate by `server.simulator.arrivals.rescaled`: below the recording's own rate the times are
real ones, above it they are drawn on its clock. `mooncake_spread` is the latter, each arrival up to SPREAD_S late.
`twitter` has one count a second over 22 days: a window of SQUEEZE times the duration is drawn, the counts shape the
rate, all times within a second are drawn. Its last HELD_DAYS days are kept out of `twitter`: they are `twitter_held`,
the trace that no constant and no rule of a policy was ever chosen on.

Made: `poisson`; `gamma` and `cameras`, which clump; `surges` of seconds; `bursts` of tenths of a second, no clumps.

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
from server.simulator.arrivals import LoadState, Redraws, Times

ROOT = Path(__file__).resolve().parents[2]

RECORDED = ("azure_conv", "twitter", "mooncake_conversation", "twitter_held")
MADE = ("gamma", "surges", "bursts", "cameras", "poisson")
_DRAWN_AS = (
    *("azure_conv", "twitter", "mooncake_conversation", "gamma", "surges"),
    *("bursts", "cameras", "mooncake_spread", "twitter_held", "poisson"),
)
"""A trace's place here is part of its seed: new ones come last."""
TRACES = (*RECORDED, "mooncake_spread", *MADE)

TUNING_TRACES = ("azure_conv", "twitter", *MADE)
"""Constants of a policy may be chosen on these, with TUNING_SEEDS only."""
TUNING_SEEDS = (1, 2, 3)
REPORTING_TRACES = ("mooncake_conversation", "mooncake_spread", "twitter_held")
"""Never looked at while tuning, whatever the seed. Of mooncake's clumps figures were reported between changes of the
policy; `twitter_held` had never been run before its figures were reported."""
REPORTING_SEEDS = tuple(range(11, 21))
"""Every figure that is reported, on every trace, is of these."""

SQUEEZE = 10.0
"""Seconds of Twitter's counts in one of ours: two minutes show the ups and downs of twenty."""
HELD_DAYS = 4
"""The last days of Twitter's counts. No window that a tuning seed had drawn before lay there."""
SPREAD_S = 1e-3
FRAMES_PER_S, JITTER_S = 30.0, 2e-4
"""`cameras`: what each sends, and how far from in step they are."""
CLUMPS_CV2, BASE_SHARE = 8.0, 0.25
"""`gamma`: squared coefficient of variation of the clumps' gaps, and the Poisson base's share of the rate."""
LEVELS = (LoadState(weight=0.6, stay_s=3.0), LoadState(weight=2.5, stay_s=0.8))
"""`surges`: calm and surge, which follow each other."""
BURSTS = Redraws(every_s=0.2, sigma=1.3, correlation=0.5)

_FILES = {
    "azure_conv": "azure_conv.csv.gz",
    "twitter": "twitter_per_second_counts.txt.gz",
    "twitter_held": "twitter_per_second_counts.txt.gz",
    "mooncake_conversation": "mooncake_conversation.csv.gz",
    "mooncake_spread": "mooncake_conversation.csv.gz",
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
    draw = _DRAWN_AS.index(name) if name in TRACES else -1
    own_seed = int(np.random.SeedSequence([seed, draw + 1]).generate_state(1)[0])
    if name in MADE:
        return _made(name, rate_rps, duration_s, own_seed)
    match name:
        case "twitter" | "twitter_held":
            window = _window(_share_of(name, folder), duration_s, own_seed)
            return arrivals.from_counts(window, rate_rps, duration_s, own_seed)
        case "azure_conv":
            return arrivals.rescaled(azure_times(folder), rate_rps, duration_s, own_seed)
        case "mooncake_conversation":
            return arrivals.rescaled(mooncake_times(folder), rate_rps, duration_s, own_seed)
        case "mooncake_spread":
            clumps = arrivals.rescaled(mooncake_times(folder), rate_rps, duration_s, own_seed)
            return arrivals.spread(clumps, SPREAD_S, own_seed)
        case _:
            raise ValueError(f"unknown trace {name!r}; known: {', '.join(TRACES)}")


def _made(name: str, rate_rps: float, duration_s: float, seed: int) -> Times:
    match name:
        case "gamma":
            return arrivals.clumped(rate_rps, duration_s, CLUMPS_CV2, BASE_SHARE, seed)
        case "surges":
            return arrivals.modulated(rate_rps, duration_s, LEVELS, seed)
        case "bursts":
            return arrivals.redrawn(rate_rps, duration_s, BURSTS, seed)
        case "cameras":
            return arrivals.in_step(rate_rps, duration_s, FRAMES_PER_S, JITTER_S, seed)
        case _:
            return arrivals.poisson(rate_rps, duration_s, seed)


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


def _share_of(name: str, folder: Path) -> Times:
    """The counts that `twitter` or `twitter_held` is drawn from; tiny recordings are shared by fifths."""
    counts = twitter_counts(folder)
    held = min(HELD_DAYS * 86400, len(counts) // 5)
    return counts[-held:] if name == "twitter_held" else counts[:-held]


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
