"""`gearshift train`: one training run, published if asked for; or the sidecar, which trains what a server lacks."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from surroundings import console
from trainer.arguments import given, parser, prices
from trainer.errors import Stopped, TrainError
from trainer.run.restrain import restrain
from trainer.run.settings import Settings, made, read, values
from trainer.sidecar import assignment
from trainer.sidecar.assignment import Assignment

_NOT_BESIDE = ("publish", "family", "checkpoint", "logs", "threads", "nice")
_GOES_ON = "with --checkpoint the same command goes on from there"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0; 2 with one line on stderr for what cannot be trained; 130 when interrupted."""
    options = parser(__doc__).parse_args(arguments)
    try:
        return _run(options)
    except TrainError as error:
        print(f"gearshift train: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"gearshift train: {error.filename or ''} {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"gearshift train: interrupted; {_GOES_ON}", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    for flag in ("threads", "nice", "checkpoint_every_s"):
        if not getattr(options, flag) >= 0:
            raise TrainError(f"--{flag.replace('_', '-')} must not be negative")
    work = assignment.read(options.config) if options.config else None
    if work is not None:
        return _beside(work, options)
    if options.next or options.frontier:
        raise TrainError("--next needs a TOML file with a table [sidecar]")
    if options.compare:
        return _compared(options)
    outcome = _once(_settings(options), options)
    print(json.dumps(outcome) if options.json else _in_words(outcome))
    return 0


def _settings(options: argparse.Namespace, **more: Any) -> Settings:
    asked = {**more, **given(options)}
    return read(options.config, asked) if options.config else made(asked)


def _compared(options: argparse.Namespace) -> int:
    """Many runs at equal cost, each a process of its own."""
    from trainer.compare.contest import run

    settings = _settings(options, budget=max(options.budgets or [0.0]))
    restrain(options.threads or 1, options.nice)
    from trainer.run.prepare import pricing

    return run(options, settings, pricing(settings.data))


def _once(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    """One run and, where asked for, what was published of it."""
    if bool(options.publish) != bool(options.family):
        raise TrainError("--publish REPOSITORY and --family NAME go together; give both or none")
    restrain(options.threads, options.nice)
    from trainer.publish.deliver import check, deliver
    from trainer.run.outcome import Reporting, finish
    from trainer.run.prepare import prepare

    place = _place(options) if options.publish else None
    prepared = prepare(settings, _device(options.device), prices(options.prices))
    if place is not None:
        check(place, prepared.dataset)
    reporting = Reporting(
        options.quiet, options.logs, options.checkpoint, options.checkpoint_every_s
    )
    outcome = finish(prepared, reporting)
    if place is not None:
        outcome["published"] = deliver(prepared, outcome, place)
    return outcome


def _beside(work: Assignment, options: argparse.Namespace) -> int:
    """The sidecar: 0 when its rounds are done or SIGTERM came, 130 after Ctrl-C."""
    if wrong := [f"--{name}" for name in _NOT_BESIDE if getattr(options, name)]:
        raise TrainError(f"{', '.join(wrong)}: the keys of [sidecar] say that; leave it out")
    common = {**values(options.config), **given(options)}
    if wrong := sorted({"network", "budget", "seed"} & common.keys()):
        raise TrainError(
            f"a sidecar chooses {', '.join(wrong)} by its networks and budgets; leave it out"
        )
    restrain(work.pace.threads, 0 if options.next else work.pace.nice)
    from trainer.sidecar import frontier
    from trainer.sidecar.loop import Sidecar, log_to_stderr
    from trainer.sidecar.planning import as_values
    from trainer.stopping import Signals

    log_to_stderr()
    sidecar = Sidecar(work, common, _device(options.device))
    if options.next:
        known = frontier.read(options.frontier) if options.frontier else None
        proposal = as_values(sidecar.next(known))
        print(json.dumps(proposal) if options.json else proposal["reason"])
        return 0
    with Signals() as signals:
        try:
            sidecar.run(signals)
        except Stopped as stopped:
            print(
                f"gearshift train: {stopped}; the same command goes on from there", file=sys.stderr
            )
    return 130 if signals.number == signal.SIGINT else 0


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainError("device cuda: torch finds no GPU here; give --device cpu")
    return torch.device(name)


def _place(options: argparse.Namespace) -> Any:
    from models.catalog import Slo
    from trainer.publish.deliver import EVERY, Place

    precisions = tuple(options.precisions.split(",")) if options.precisions else EVERY
    if not options.slo_ms > 0 or not 0 <= options.min_accuracy <= 1:
        raise TrainError("--slo-ms must be above 0 and --min-accuracy between 0 and 1")
    slo = Slo(options.slo_ms / 1e3, options.min_accuracy)
    return Place(Path(options.publish), options.family, precisions, slo)


def _in_words(outcome: dict[str, Any]) -> str:
    published = outcome.get("published", [])
    return (
        f"test error {outcome['test_error']:.2%}; {outcome['units']:,} units: {outcome['backprops']:,} examples "
        f"trained on ({outcome['keep_rate']:.0%} of those looked at), {outcome['selections']:,} selection forwards; "
        f"{outcome['cpu_seconds']:.1f} s of CPU; f = {outcome['f']:.2f}"
    ) + f"; published {', '.join(published)}" * bool(published)


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
