"""Texts of unlike length: the highest load at which 99 % are answered in time, by how rows are put together.

A small transformer is added as a user would (`gearshift models add`), and timed here: by rows and length, what a run
takes, and by units of work, what the server's profile says. The adaptive policy then serves Poisson arrivals on one
worker in simulated time, where a step takes what its runs were timed at. Only how a step's rows share runs differs:
*ours*, by the profile; *best*, by what runs take in truth, which no server knows; *longest*, all in one run, padded to
the longest; *equal*, rows of one length together.

    python benchmarks/serving/lengths.py [--duration-s 20] [--seeds 11 12 13]
"""

import argparse
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np
import onnx
import onnxruntime as ort

from benchmarks import rig, tables
from models.adding.adding import Asked, add
from models.adding.found import FoundModel
from models.catalog import Family
from profiler.measuring.rows import SampleRows
from server.policy.decision import Arm, ArmProfile, Idle, Outlook, Run, Ticket, WaitUntil
from server.policy.dispatch.choose import adaptive
from server.policy.queueing.tickets import Queue
from server.runtime.workers.grouping import Sized, Sizes, by_size, padded_groups

WIDTH, LAYERS, VOCABULARY = 128, 4, 1000
LENGTHS = (5, 10, 20, 30, 50, 75, 100, 150, 200)
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
RUNS = 7
"""A run is timed so often; the median counts."""
SLO_RUNS = 6.0
"""The latency bound: so many times what the longest text takes alone."""
IN_TIME, STEPS = 0.99, 7
WAYS = ("ours", "best", "longest", "equal")

Groups = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Timed:
    """What runs take (s): by rows and length, and by units of work as a profile has it."""

    family: Family
    truth_s: np.ndarray
    arm: ArmProfile

    def run_s(self, rows: int, sizes: Sizes) -> float:
        """Of so many rows of this length, read between those timed."""
        by_length = [np.interp(rows, ROWS, column) for column in self.truth_s.T]
        beyond = max(1.0, rows / ROWS[-1])
        return float(np.interp(sizes[0], LENGTHS, by_length)) * beyond

    def foreseen_s(self, rows: int, sizes: Sizes) -> float:
        """The same as the server foresees it."""
        units = self.family.units(self.family.sizes_by_name(sizes), rows)
        return self.arm.mean_s[units] if units <= self.arm.max_batch else float("inf")


def main() -> int:
    """Time, simulate, write benchmarks/results/lengths.{json,md}."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--duration-s", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gearshift-lengths-") as folder:
        timed = measured(Path(folder))
    slo_s = SLO_RUNS * timed.run_s(1, (LENGTHS[-1],))
    found: dict[str, dict[str, list[float]]] = {}
    for name, lengths in (("log-normal", log_normal), ("uniform", uniform)):
        found[name] = {
            way: [_highest(timed, way, lengths, slo_s, given.duration_s, s) for s in given.seeds]
            for way in WAYS
        }
        print(name, {way: round(statistics.mean(r)) for way, r in found[name].items()}, flush=True)
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": rig.machine(),
        "slo_ms": 1e3 * slo_s,
        "seeds": given.seeds,
        "duration_s": given.duration_s,
        "highest_rps": found,
    }
    rig.write("lengths", result, markdown(result))
    return 0


def markdown(result: dict[str, Any]) -> str:
    """The highest loads, beside the best grouping."""
    rows = [
        (
            name,
            *(f"{statistics.mean(ways[w]):.0f} ± {statistics.pstdev(ways[w]):.0f}" for w in WAYS),
            *(f"{_share(ways, w):.1%}" for w in ("ours", "longest", "equal")),
        )
        for name, ways in result["highest_rps"].items()
    ]
    heads = (
        "lengths",
        *(f"{w}, rps" for w in WAYS),
        "ours of best",
        "longest of it",
        "equal of it",
    )
    return "\n".join(
        [
            "# Texts of unlike length: the highest load with 99 % in time\n",
            f"Bound {result['slo_ms']:.0f} ms, one worker, {result['machine']['cpu']}. `{result['command']}`\n",
            *tables.lines(heads, rows),
            "",
        ]
    )


def _share(ways: dict[str, list[float]], way: str) -> float:
    """Of the best grouping's load, on average over seeds."""
    return statistics.mean(a / b for a, b in zip(ways[way], ways["best"], strict=True))


def log_normal(rng: np.random.Generator, count: int) -> np.ndarray:
    """Median 25, clipped to 5 and 200."""
    return np.clip(rng.lognormal(np.log(25), 0.8, count), 5, 200).astype(int)


def uniform(rng: np.random.Generator, count: int) -> np.ndarray:
    """From 5 to 200."""
    return rng.integers(5, 201, count)


def measured(folder: Path) -> Timed:
    """Add the network to a repository, and time its runs."""
    source, work = folder / "text.onnx", folder / "work"
    work.mkdir()
    onnx.save(transformer(), source)
    found = FoundModel("text", source)
    family = add(found, Asked(folder / "models"), work, lambda _: None).family
    if not family.pads:
        raise SystemExit("the network was not found to be padded; see models/adding/filling.py")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    take = partial(_run_s, session)
    truth_s = np.array([[take(_texts(rows, length)) for length in LENGTHS] for rows in ROWS])
    made, units = SampleRows(family), sorted({1, 2, 3, 4, 6, *(4 * r for r in ROWS)})
    took_s = np.maximum.accumulate([take(_masked(made.work(u))) for u in units])
    table = (0.0, *np.interp(range(1, units[-1] + 1), units, took_s).tolist())
    arm = ArmProfile(Arm("text", "onnxruntime"), 1.0, table, tuple(1.1 * s for s in table))
    return Timed(family, truth_s, arm)


def _texts(rows: int, length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (rows, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def _masked(rows: Any) -> dict[str, np.ndarray]:
    return {"input_ids": rows["input_ids"], "attention_mask": np.ones_like(rows["input_ids"])}


def _run_s(session: Any, inputs: dict[str, np.ndarray]) -> float:
    session.run(None, inputs)
    took_s: list[float] = []
    for _ in range(RUNS):
        begun_s = time.perf_counter()
        session.run(None, inputs)
        took_s.append(time.perf_counter() - begun_s)
    return statistics.median(took_s)


def _highest(  # noqa: PLR0913, PLR0917 - what is served, and on what terms
    timed: Timed,
    way: str,
    lengths: Callable[[np.random.Generator, int], np.ndarray],
    slo_s: float,
    duration_s: float,
    seed: int,
) -> float:
    """The highest load (rows/s) of those tried by halving, with as many in time as promised."""
    rng = np.random.default_rng(seed)
    mean_s = float(np.mean([timed.run_s(1, (int(n),)) for n in lengths(rng, 500)]))
    low, high = 0.2 / mean_s, 3.0 / mean_s
    for _ in range(STEPS):
        rate_rps = (low * high) ** 0.5
        rng = np.random.default_rng(seed)
        times_s = rng.exponential(1.0, int(duration_s * rate_rps)).cumsum() / rate_rps
        drawn = lengths(rng, len(times_s))
        share = served(timed, way, list(zip(times_s.tolist(), drawn.tolist(), strict=True)), slo_s)
        low, high = (rate_rps, high) if share >= IN_TIME else (low, rate_rps)
    return low


def served(timed: Timed, way: str, texts: Sequence[tuple[float, int]], slo_s: float) -> float:
    """The share of texts, each with its arrival (s) and length, that is answered in time."""
    decide, queue, at, now_s, in_time = adaptive([timed.arm]), Queue(), 0, 0.0, 0
    rate_rps = sum(_units(timed, n) for _, n in texts) / texts[-1][0]
    while at < len(texts) or queue:
        if not queue:
            now_s = max(now_s, texts[at][0])
        while at < len(texts) and texts[at][0] <= now_s:
            arrival_s, length = texts[at]
            queue.push(Ticket(at, arrival_s, arrival_s + slo_s, _units(timed, length)))
            at += 1
        decision = decide(queue, Outlook(rate_rps, 1, at), now_s)
        queue.pop([drop.ticket for drop in decision.dropped])
        match decision:
            case Run() as run:
                queue.pop(run.tickets)
                now_s += step_s(timed, way, [texts[t.id][1] for t in run.tickets])
                in_time += sum(now_s <= t.deadline_s for t in run.tickets)
            case WaitUntil(at_s):
                now_s = max(at_s, now_s)
            case Idle():
                pass
    return in_time / len(texts)


def _units(timed: Timed, length: int) -> int:
    return timed.family.units(timed.family.sizes_by_name((length,)))


def step_s(timed: Timed, way: str, lengths: Sequence[int]) -> float:
    """How long a step with texts of these lengths takes, its runs put together this way."""
    ordered = sorted(lengths)
    sized = [Sized(1, (n,)) for n in ordered]
    groups: Groups
    match way:
        case "longest":
            groups = [range(len(ordered))]
        case "equal":
            groups = by_size([(i, (n,)) for i, n in enumerate(ordered)])
        case "ours":
            groups = padded_groups(sized, timed.foreseen_s)
        case _:
            groups = padded_groups(sized, timed.run_s)
    return sum(timed.run_s(len(g), (max(ordered[i] for i in g),)) for g in groups)


def transformer() -> onnx.ModelProto:
    """Four layers of attention and feed-forward, random weights; ids and mask in, states and their mean out."""
    layers = "\n".join(_layer(i) for i in range(LAYERS))
    text = f"""
    <ir_version: 8, opset_import: ["" : 17]>
    text (int64[N, S] input_ids, int64[N, S] attention_mask) => (float[N, S, {WIDTH}] states, float[N, {WIDTH}] mean)
    <int64[1] one = {{1}}, int64[1] two = {{2}}, float large = {{-10000.0}}, float unit = {{1.0}}>
    {{
        mask = Cast <to = 1> (attention_mask)
        hidden = Sub(unit, mask)
        penalty = Mul(hidden, large)
        bias = Unsqueeze(penalty, one)
        x0 = Gather(table, input_ids)
        {layers}
        states = Identity(x{LAYERS})
        column = Unsqueeze(mask, two)
        kept = Mul(states, column)
        sums = ReduceSum <keepdims = 0> (kept, one)
        counts = ReduceSum <keepdims = 0> (column, one)
        mean = Div(sums, counts)
    }}
    """
    rng = np.random.default_rng(0)
    shapes = {"table": (VOCABULARY, WIDTH)}
    for i in range(LAYERS):
        shapes |= {f"{name}{i}": (WIDTH, WIDTH) for name in ("q", "k", "v", "o")}
        shapes |= {f"up{i}": (WIDTH, 4 * WIDTH), f"down{i}": (4 * WIDTH, WIDTH)}
    model = onnx.parser.parse_model(text)
    for name, shape in shapes.items():
        values = rng.normal(0, shape[-1] ** -0.5, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    norm = onnx.numpy_helper.from_array(np.ones(WIDTH, np.float32), "norm")
    model.graph.initializer.append(norm)
    onnx.checker.check_model(model)
    return model


def _layer(i: int) -> str:
    return f"""
        qs{i} = MatMul(x{i}, q{i})
        ks{i} = MatMul(x{i}, k{i})
        vs{i} = MatMul(x{i}, v{i})
        kt{i} = Transpose <perm = [0, 2, 1]> (ks{i})
        raw{i} = MatMul(qs{i}, kt{i})
        masked{i} = Add(raw{i}, bias)
        soft{i} = Softmax <axis = 2> (masked{i})
        mixed{i} = MatMul(soft{i}, vs{i})
        out{i} = MatMul(mixed{i}, o{i})
        sum{i} = Add(x{i}, out{i})
        y{i} = LayerNormalization <axis = -1> (sum{i}, norm)
        wide{i} = MatMul(y{i}, up{i})
        relu{i} = Relu(wide{i})
        narrow{i} = MatMul(relu{i}, down{i})
        z{i} = Add(y{i}, narrow{i})
        x{i + 1} = LayerNormalization <axis = -1> (z{i}, norm)"""


if __name__ == "__main__":
    sys.exit(main())
