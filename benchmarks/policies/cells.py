"""The cells of the policy benchmark: profile and SLO, trace, load, workers, condition. No policy runs here."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import StringIO
from itertools import product
from pathlib import Path

from benchmarks.policies import traces
from models.artifacts import default_repository, load_family
from profiler import store
from server.policy.decision import ArmProfile
from server.simulator.arrivals import Times
from server.simulator.noise import Noise, Spell, Stall
from server.simulator.profile_file import read_arms
from server.simulator.setup import Setup

CPU_PROFILE = Path(__file__).parents[1] / "profiles" / "cpu.csv"
"""What `gearshift profile` measured for the default family on one core; `--export-cpu-profile` writes it."""
GPU_SLO_S = 0.036
CPU_SLO_FACTOR = 4.0
"""The CPU's SLO over the median a batch of one takes on its slowest variant."""

UTILISATIONS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Of what all workers carry with the most accurate variant in its best batch inside the SLO."""
WORKERS = (1, 4)
GRID_TRACES = (
    *("azure_conv", "twitter", "twitter_held", "mooncake_conversation", "mooncake_spread"),
    *("cameras", "gamma", "surges", "bursts"),
)
ROUGH_TRACES, ROUGH_LOADS = (
    ("poisson", "azure_conv"),
    ((0.5, 1), (1.0, 1), (1.5, 1), (2.0, 1), (1.5, 4)),
)
"""(utilisation, workers) on machines that stall or scatter."""
SLOW_ARM_LOADS = (0.8, 1.2)

SQUEEZED_S = 120.0
"""Traces are squeezed to two minutes. A shorter run serves one stretch of them, the next one with the next seed."""

QUIET, STALLS, SLOW_ARM = "quiet", "stalls", "slow arm"
CONDITIONS: Mapping[str, Noise] = {
    QUIET: Noise(),
    STALLS: Noise(stalls=(Stall(0.01, 5.0), Stall(0.005, 4.0))),
    "scatter": Noise(cv=0.15, outlier_share=0.02, outlier_factor=2.5),
    "outliers": Noise(cv=0.1, outlier_share=0.01, outlier_factor=3.0),
    SLOW_ARM: Noise(),
}
"""How batches stray from the profile. With a slow arm what runs on the cheapest one takes SLOWER times as long."""
ROUGH = (STALLS, "scatter", "outliers")
SLOWER = 3.0


@dataclass(frozen=True, slots=True)
class Machine:
    """A profile table and the latency bound it is served under."""

    name: str
    arms: tuple[ArmProfile, ...]
    slo_s: float

    @property
    def largest_rps(self) -> float:
        """The most accurate arm's best throughput (rows/s) inside the SLO, on one worker."""
        arm = max(self.arms, key=lambda a: a.accuracy)
        fitting = [b for b in range(1, arm.max_batch + 1) if arm.upper_s[b] <= self.slo_s]
        return max(b / arm.mean_s[b] for b in fitting)


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the table: what is offered to what."""

    profile: str
    trace: str
    utilisation: float
    workers: int
    condition: str = QUIET

    def __str__(self) -> str:
        """As the tables name it."""
        name = f"{self.profile} {self.trace} {self.utilisation:g}x W{self.workers}"
        return name if self.condition == QUIET else f"{name} {self.condition}"

    @property
    def is_recorded(self) -> bool:
        """Whether the trace is a real one, on a machine that keeps to its profile."""
        return self.trace in traces.RECORDED and self.condition == QUIET

    def run_s(self, of_one_s: float) -> float:
        """How long (s) to run it, where cells of one worker run for `of_one_s`: more workers see more a second."""
        return of_one_s / self.workers**0.5


@dataclass(frozen=True, slots=True)
class Sources:
    """Where recordings and the shared GPU profile are read from."""

    traces: Path
    gpu_profile: Path

    def profiles(self) -> tuple[str, ...]:
        """The profiles that are there."""
        found = {"gpu": self.gpu_profile.is_file(), "cpu": CPU_PROFILE.is_file()}
        return tuple(name for name, there in found.items() if there)


def default_sources() -> Sources:
    """Beside the repository, or where GEARSHIFT_TRACES points; the profile lies beside the traces' folder."""
    folder = traces.default_folder()
    return Sources(folder, folder.parent / "profiles" / "effnet_gpu.csv")


def there(names: Sequence[str], sources: Sources) -> list[str]:
    """Of these traces, those that can be made."""
    made = traces.available(sources.traces)
    return [name for name in names if name in made]


@cache
def machine(name: str, sources: Sources) -> Machine:
    """`gpu` or `cpu`. Raises ValueError where its table cannot be read."""
    if name == "gpu":
        return Machine(name, tuple(read_arms(sources.gpu_profile, Path())), GPU_SLO_S)
    arms = tuple(read_arms(CPU_PROFILE, Path()))
    return Machine(name, arms, CPU_SLO_FACTOR * max(arm.mean_s[1] for arm in arms))


def cheapest(arms: Sequence[ArmProfile]) -> str:
    """The variant whose batch of one is the quickest."""
    return min(arms, key=lambda arm: arm.mean_s[1]).arm.variant


def setup(cell: Cell, seed: int, sources: Sources) -> Setup:
    """What it is simulated on, under its condition."""
    on = machine(cell.profile, sources)
    slow = cell.condition == SLOW_ARM
    spell = Spell(0.0, float("inf"), SLOWER, cheapest(on.arms)) if slow else Spell()
    return Setup(on.slo_s, cell.workers, noise=CONDITIONS[cell.condition], spell=spell, seed=seed)


def offered(cell: Cell, seed: int, duration_s: float, sources: Sources) -> Times:
    """The cell's arrival times (s): of a trace squeezed to SQUEEZED_S the stretch that is the seed's turn."""
    rate_rps = cell.utilisation * cell.workers * machine(cell.profile, sources).largest_rps
    whole_s = max(SQUEEZED_S, duration_s)
    from_s = seed % int(whole_s / duration_s) * duration_s
    times = traces.make(cell.trace, rate_rps, whole_s, seed, sources.traces)
    return times[(times >= from_s) & (times < from_s + duration_s)] - from_s


def grid(
    profiles: Sequence[str],
    trace_names: Sequence[str],
    utilisations: Sequence[float] = UTILISATIONS,
    workers: Sequence[int] = WORKERS,
) -> list[Cell]:
    """Every combination, the table's order."""
    return [Cell(*chosen) for chosen in product(profiles, trace_names, utilisations, workers)]


def rough(profiles: Sequence[str], trace_names: Sequence[str] = ROUGH_TRACES) -> list[Cell]:
    """Machines that stall or scatter, then those whose cheapest arm is slow."""
    stray = product(ROUGH, profiles, trace_names, ROUGH_LOADS)
    found = [Cell(p, trace, *load, condition) for condition, p, trace, load in stray]
    slow = product(profiles, SLOW_ARM_LOADS)
    return found + [Cell(p, "poisson", load, 1, SLOW_ARM) for p, load in slow]


def export_cpu_profile(path: Path = CPU_PROFILE) -> Path:
    """Write the newest stored profile of the default family on one core as a CSV; returns what it was made from.

    Raises ValueError where there is none.
    """
    stored = sorted(
        store.default_folder().glob("imagenet-*.json"), key=lambda p: -p.stat().st_mtime
    )
    for source in stored:
        content = json.loads(source.read_text())
        if content["hardware"]["cores"] == "1":
            path.parent.mkdir(exist_ok=True)
            path.write_text(_as_csv(content["profiles"]))
            return source
    raise ValueError(
        f"no profile for one core in {store.default_folder()}; run `taskset -c 0 gearshift profile`"
    )


def _as_csv(profiles: Sequence[dict[str, list[dict[str, float]]]]) -> str:
    family = load_family(default_repository() / "imagenet", verify=False)
    accuracies = {v.name: v.accuracy.value for v in family.variants}
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["variant", "accuracy", "batch", "latency_ms_p50", "latency_ms_p95"])
    for profile in profiles:
        name = str(profile["variant"])
        for point in profile["points"]:
            times = (f"{1e3 * point[key]:.5f}" for key in ("p50_s", "p95_s"))
            table.writerow([name, accuracies[name], int(point["batch"]), *times])
    return text.getvalue()
