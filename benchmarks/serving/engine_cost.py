"""What a request costs in the engine's own Python, by stage: between a front that has decoded it and
one that will encode its answer.

One thread does what front and worker do, one after the other, so that nothing is counted twice and
no wake-up is counted at all. The model does nothing, and a stub in place of the policy takes all that
waits. CPU is that of the thread; each figure is the median over rounds. What a request costs in all is
measured without the clocks of the stages, which cost some microseconds themselves. `plain` is the shorter
way in (`server/engine/plain.py`), where the tree has it. With --against, another tree is measured in
turns.

.venv/bin/python benchmarks/serving/engine_cost.py --against ../base
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np
from prometheus_client import CollectorRegistry

from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from server.engine.checking.checks import Checks
from server.engine.checking.row_bounds import RowBounds
from server.engine.contents import Buffer
from server.engine.intake import Intake
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Request, Tensor
from server.metrics import Metrics
from server.policy.decision import Arm, ArmProfile, Idle, Run
from server.runtime.dispatch.dispatcher import Dispatcher, Limits
from server.runtime.dispatch.jobs import Listeners
from server.runtime.dispatch.offers import Offers
from server.runtime.workers.cpu_waits import CpuWaits
from server.runtime.workers.executor import Worker, WorkerContext
from server.runtime.workers.failures import Failures
from server.runtime.workers.samples import Samples
from server.runtime.workers.watch import Watch

try:
    from server.engine.delivery import deliver
except ImportError:  # a tree from before
    from server.engine.intake import deliver  # type: ignore[attr-defined,no-redef]

WIDTH, MOST = 784, 32
ARM = Arm("v", "nothing")
FAMILY = Family(
    "mlp",
    (TensorSpec("x", "FP32", (-1, WIDTH)),),
    (TensorSpec("y", "FP32", (-1, 10)),),
    (Variant("v", "fp32", "", "", Accuracy(0.9, "none")),),
    Slo(2.0),
    max_batch=MOST,
)
_TABLE_S = (0.0, *(1e-4 + 1e-6 * rows for rows in range(1, MOST + 1)))
STAGES = ("check", "submit", "step", "gather", "run", "scatter", "finish", "rest")
"""`check`: request -> job; `submit`: admission; `step`: the queue's part of a decision; `finish`:
answers delivered and counted; `rest`: what a worker does besides."""


class Nothing:
    """A backend whose answer is there already."""

    def __init__(self) -> None:
        self._y = np.zeros((MOST, 10), np.float32)

    def run(self, inputs: Any) -> Any:
        """As many rows as came."""
        return {"y": self._y[: len(inputs["x"])]}


def take_all(arms: Sequence[ArmProfile]) -> Callable[..., Run | Idle]:
    """Runs all that waits, up to the largest batch."""

    def decide(queue: Sequence[Any], _outlook: object, _now_s: float) -> Run | Idle:
        tickets = tuple(queue[:MOST])
        return Run(arms[0], tickets, "all") if tickets else Idle()

    return decide


class Bench:
    """An engine's path with a clock at every stage."""

    def __init__(self) -> None:
        self.spent_ns = dict.fromkeys(STAGES, 0)
        self.answered = 0
        self.backend = Nothing()
        metrics = Metrics(CollectorRegistry(), [2.0]).family(FAMILY.name)
        self.dispatcher = Dispatcher(FAMILY.name, take_all, Limits(), metrics, Listeners(deliver))
        arms = [ArmProfile(ARM, 0.9, _TABLE_S, _TABLE_S)]
        self.dispatcher.apply(arms)
        bounds = RowBounds(FAMILY, Offers(FAMILY, self.dispatcher, lambda: arms))
        checks = Checks(FAMILY, {}, finite=True, bounds=bounds)
        served = ServedFamily(FAMILY, FAMILY, checks, self.dispatcher, metrics, None)  # type: ignore[arg-type]
        self.intake = Intake({FAMILY.name: served}, Unserved(), self._take)
        way = getattr(self.intake, "plain", None)
        self.plain = way(FAMILY.name, self._take) if way else None
        self.worker = self._worker()
        self.rows = np.random.default_rng(0).standard_normal((MOST, WIDTH)).astype(np.float32)
        self.raw = [row.tobytes() for row in self.rows]

    def _take(self, answers: Sequence[Any]) -> None:
        self.answered += len(answers)
        assert not any(answer.error for answer in answers)

    def _worker(self) -> Worker:
        context = WorkerContext(
            FAMILY,
            self.dispatcher,
            {ARM: self.backend},  # type: ignore[dict-item]
            {"v": "fp32"},
            Samples(0.0, None),
            lambda _batch, _busy_s: None,
            None,  # type: ignore[arg-type]
        )
        watch = Watch(self.dispatcher)
        watch.start()
        worker = Worker(context, threading.Lock(), watch, Failures("mlp"), lambda _: None)
        worker._waits = CpuWaits()  # noqa: SLF001 - a worker without its thread
        return worker

    def clock(self) -> None:
        """From now on note what each stage takes."""
        buffers, backend = self.worker._buffers, self.backend  # noqa: SLF001 - to be timed
        for where, name in (
            (buffers, "gather"),
            (backend, "run"),
            (buffers, "scatter"),
            (self.dispatcher, "finish"),
        ):
            setattr(where, name, self._timed(name, getattr(where, name)))
        for name, stage in (("_collect", "check"), ("_submit", "submit"), ("_step", "step")):
            setattr(self, name, self._timed(stage, getattr(self, name)))
        self._serve = self._timed("rest", self._serve)  # type: ignore[method-assign]

    def _timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            begun = time.thread_time_ns()
            found = call(*given, **named)
            self.spent_ns[stage] += time.thread_time_ns() - begun
            return found

        return timed

    def once(self, size: int, *, plain: bool) -> None:
        """So many requests of one row come together and are answered by one batch."""
        self._submit(self._collect(size, plain=plain))
        self._serve(self._step())

    def _collect(self, size: int, *, plain: bool) -> list[Any] | None:
        if plain:
            now_s, job, rows = time.monotonic(), self.plain.job, self.rows  # type: ignore[union-attr]
            return [job({"x": rows[i : i + 1]}, 1, now_s, token=i) for i in range(size)]
        for raw in self.raw[:size]:
            x = Tensor("x", "FP32", (1, WIDTH), Buffer(raw))
            request = Request("mlp", (x,), "", "", (), {}, time.monotonic(), None)
            self.intake.collect(self.intake.check(request))
        return None

    def _submit(self, jobs: list[Any] | None) -> None:
        if jobs is None:
            self.intake.flush()
        else:
            self.plain.submit(jobs)  # type: ignore[union-attr]

    def _step(self) -> Any:
        return self.dispatcher.next_step(ARM)

    def _serve(self, step: Any) -> None:
        self.worker._serve(step)  # noqa: SLF001 - what its thread does
        step.let_go()


def measure(size: int, requests: int, *, plain: bool) -> dict[str, float]:
    """Stage -> CPU (us) a request, at so many requests together."""
    bench = Bench()
    if plain and bench.plain is None:
        return {}
    turns = requests // size
    for _ in range(200):
        bench.once(size, plain=plain)
    begun = time.thread_time_ns()
    for _ in range(turns):
        bench.once(size, plain=plain)
    spent = {"in all": time.thread_time_ns() - begun}
    bench.clock()
    for _ in range(turns):
        bench.once(size, plain=plain)
    spent |= bench.spent_ns
    spent["rest"] -= sum(spent[name] for name in ("gather", "run", "scatter", "finish"))
    assert bench.answered == size * (200 + 2 * turns)
    return {name: one / turns / size / 1e3 for name, one in spent.items()}


def cases(requests: int) -> dict[str, dict[str, float]]:
    """Every way in at every size."""
    return {
        f"{'plain' if plain else 'checked'} x{size}": measure(size, requests, plain=plain)
        for plain in (False, True)
        for size in (1, 32)
    }


def elsewhere(tree: Path, requests: int) -> dict[str, dict[str, float]]:
    """The same of another tree, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve())}
    command = [sys.executable, __file__, "--once", "--requests", str(requests)]
    said = subprocess.run(
        command, env=environment, cwd=tree, check=True, capture_output=True, text=True
    )
    found: dict[str, dict[str, float]] = json.loads(said.stdout)
    return found


def middle(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The medians over rounds."""
    return {
        case: {stage: statistics.median(r[case][stage] for r in rounds) for stage in stages}
        for case, stages in rounds[0].items()
        if stages
    }


def render(trees: dict[str, dict[str, dict[str, float]]]) -> str:
    """The Markdown table: a line for each case and tree."""
    lines = [
        "| requests together | tree | in all (us) | " + " | ".join(STAGES) + " |",
        "|---|---|---|" + "---|" * len(STAGES),
    ]
    for case in next(iter(trees.values())):
        totals = {name: found[case]["in all"] for name, found in trees.items() if case in found}
        for name, total in totals.items():
            base = totals.get("against")
            ratio = f" ({total / base:.2f}x)" if base and name != "against" else ""
            stages = " | ".join(f"{trees[name][case][stage]:.1f}" for stage in STAGES)
            lines.append(f"| {case} | {name} | {total:.1f}{ratio} | {stages} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, in turns where there is another tree, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another tree of this repository")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=6400)
    parser.add_argument("--once", action="store_true", help="one round of this tree, as JSON")
    given = parser.parse_args()
    if given.once:
        print(json.dumps(cases(given.requests)))
        return 0
    trees = {"this": Path(__file__).parents[2]}
    if given.against:
        trees["against"] = given.against
    rounds: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in trees}
    for _ in range(given.rounds):
        for name, tree in trees.items():
            rounds[name].append(elsewhere(tree, given.requests))
    print(render({name: middle(found) for name, found in rounds.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
