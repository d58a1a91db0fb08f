"""`gearshift plan-tasks`: which of a network's layers tasks share and how often each runs, for a workload in a file."""

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from gearshift.libraries import libraries_silenced
from gearshift.plan_tasks_text import text_of
from server.sharing.planner.explain import explained
from server.sharing.planner.options import mean_f1
from server.sharing.planner.plan import Infeasible, Plan
from server.sharing.planner.reading import BadWorkload, read_workload
from server.sharing.planner.search.rivals import compared
from server.sharing.planner.search.search import plan as planned
from server.sharing.planner.workload import Workload


class NoPlan(Exception):
    """There is nothing to plan or no plan; the message says what to do."""


def main(argv: list[str]) -> int:
    """Exit code 0 when planned, 2 with one message on stderr where that cannot be."""
    options = _parser().parse_args(argv)
    try:
        with libraries_silenced():
            answer = _answer(options.input, json_asked=options.json)
    except NoPlan as error:
        print(f"gearshift plan-tasks: {error}", file=sys.stderr)
        return 2
    print(answer)
    return 0


def _answer(source: str, *, json_asked: bool) -> str:
    workload = _read(source)
    began_s = perf_counter()
    plan = _planned(workload)
    seconds = perf_counter() - began_s
    if json_asked:
        return json.dumps(as_json(plan, workload, seconds), indent=2)
    return text_of(explained(plan, workload), compared(workload), seconds, workload)


def as_json(plan: Plan, workload: Workload, seconds: float) -> dict[str, Any]:
    """The stable form: `mean_f1` is the weighted mean, whatever the objective; costs are in the input's unit."""
    tasks = [
        {
            "name": choice.task,
            "frozen": choice.frozen,
            "fps": choice.rate_fps,
            "x_vote": choice.x_vote,
            "f1": choice.scores.f1,
            "recall": choice.scores.recall,
            "precision": choice.scores.precision,
        }
        for choice in plan.choices
    ]
    mean = mean_f1(plan.choices, workload)
    return {"mean_f1": mean, "cost": plan.cost, "seconds": seconds, "tasks": tasks}


def _read(source: str) -> Workload:
    """From a file or, for -, from standard input."""
    name = "standard input" if source == "-" else source
    try:
        text = (
            sys.stdin.read().removeprefix("\ufeff")
            if source == "-"
            else Path(source).read_text(encoding="utf-8-sig")
        )
    except (OSError, UnicodeDecodeError) as error:
        raise NoPlan(f"{name} cannot be read: {error}") from error
    try:
        return read_workload(text)
    except BadWorkload as error:
        lines = "\n".join(f"  {mistake}" for mistake in error.mistakes)
        raise NoPlan(f"{name} is no workload:\n{lines}") from error


def _planned(workload: Workload) -> Plan:
    try:
        return planned(workload)
    except Infeasible as error:
        raise NoPlan(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gearshift plan-tasks", description="Plan how tasks share one network's first layers."
    )
    parser.add_argument("input", metavar="INPUT.json", help="the workload; - for standard input")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    return parser
