"""One command, lazy subcommands: `gearshift serve` must not pay for importing the load generator's plots."""

import importlib
import importlib.metadata
import sys

from surroundings import console

_COMMANDS = {
    "serve": ("server.__main__", "serve model families over gRPC"),
    "profile": ("profiler.__main__", "measure every arm on this hardware; table and frontier plot"),
    "loadtest": ("loadtest.__main__", "drive a running server and report what it delivered"),
    "simulate": ("server.simulator.__main__", "run the policy against a profile and a trace"),
    "status": ("gearshift.status", "ask a running server how it fares and why it decided so"),
    "tasks": ("gearshift.tasks", "list, plan, add and remove a running server's shared tasks"),
    "plan-tasks": (
        "gearshift.plan_tasks",
        "plan which layers tasks share and how often each runs, for a workload in a file",
    ),
    "train": (
        "trainer.__main__",
        "train networks and publish them; beside a server, what it lacks most",
    ),
    "train-tasks": (
        "trainer.tasks.__main__",
        "fine-tune tasks that share a network's first layers; publish them as a package",
    ),
    "models": (
        "gearshift.models",
        "add a model of yours; list, show, edit, remove, verify families",
    ),
}


def _usage() -> str:
    rows = "\n".join(f"  {name:<12} {what}" for name, (_, what) in _COMMANDS.items())
    more = "`gearshift COMMAND --help` tells each command's options, `gearshift --version` the version."
    return f"usage: gearshift COMMAND [options]\n\n{rows}\n\n{more}"


def main() -> int:
    """Run one subcommand with the rest of the command line; its exit code is ours."""
    return console.run(_run, sys.argv[1:])


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(_usage())
        return 0 if arguments else 2
    if arguments == ["--version"]:
        print(f"gearshift {importlib.metadata.version('gearshift')}")
        return 0
    entry = _COMMANDS.get(arguments[0])
    if entry is None:
        print(f"gearshift: unknown command {arguments[0]!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    return int(importlib.import_module(entry[0]).main(arguments[1:]) or 0)
