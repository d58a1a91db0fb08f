"""`gearshift loadtest`: find the model, make the requests ready, drive, report."""

import json
import sys
from pathlib import Path
from typing import Any

from loadtest import inputs, pictures, target
from loadtest.arguments import Options, parse
from loadtest.errors import BadOption, LoadtestError
from loadtest.fleet import drive_all
from loadtest.load import Closed, Load, Replay, Steady, Stepped, Trace, build_loop
from loadtest.records import Records
from loadtest.reporting.markdown import render
from loadtest.reporting.progress import watcher
from loadtest.reporting.report import recovery, summarise
from surroundings import console


def main(argv: list[str]) -> int:
    """Run the load test; 0 when it ran, 2 and one message on stderr when it could not start."""
    try:
        options = parse(argv)
        _check_out(options.sink.folder)
        summary = run(options)
        _publish(summary, options)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after what it cannot read
        return int(stop.code or 0)
    except LoadtestError as error:
        print(f"gearshift loadtest: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: Options) -> dict[str, Any]:
    """Drive the server as the options say and return the summary. Raises LoadtestError before
    the load begins."""
    loop = build_loop(options.load, options.warmup_s, options.seed)
    aim = options.target
    signature = target.discover(aim)
    pool, source = _requests(options, signature)
    target.try_one(aim, pool[0])
    total_s = options.load.duration_s + options.warmup_s
    print(
        f"{aim.model} at {aim.url}: {describe(options.load)}; inputs: {source}",
        file=sys.stderr,
    )
    watch = watcher(options.demand.slo_s, total_s)
    records = drive_all(aim, pool, loop, options.processes, watch).since(options.warmup_s)
    return _summary(records, options, source)


def _requests(options: Options, signature: tuple[target.Input, ...]) -> tuple[list[bytes], str]:
    if options.samples is not None:
        rows, album = inputs.read_samples(options.samples), pictures.Album("")
        asked = options.target.model, signature, options.demand
        return inputs.build_pool(*asked, album, options.seed, rows), f"rows of {options.samples}"
    pictured = any(inputs.is_picture(spec) for spec in signature)
    if options.images is not None:
        album = pictures.from_folder(options.images)
    else:
        album = pictures.from_cache() if pictured else pictures.Album("seeded random tensors")
    pool = inputs.build_pool(options.target.model, signature, options.demand, album, options.seed)
    return pool, album.source if pictured else "seeded random tensors"


def _summary(records: Records, options: Options, source: str) -> dict[str, Any]:
    slo_s = options.demand.slo_s
    settings = {
        "url": options.target.url,
        "model": options.target.model,
        "load": describe(options.load),
        "warmup_s": options.warmup_s,
        "seed": options.seed,
        "min_accuracy": options.demand.min_accuracy,
        "slo_class": options.demand.slo_class,
        "variant": options.demand.variant,
        "rows": options.demand.rows,
        "inputs": source,
    }
    summary = {"run": settings, **summarise(records, slo_s, options.load.duration_s)}
    if isinstance(options.load, Stepped):
        summary["recovery"] = recovery(records, slo_s, list(options.load.steps))
    return summary


def describe(load: Load) -> str:
    """The load in words."""
    match load:
        case Closed(concurrency, duration_s):
            return f"closed loop of {concurrency} for {duration_s:g} s"
        case Steady(rate_rps, duration_s, poisson):
            return f"{'Poisson' if poisson else 'constant'} {rate_rps:g} rps for {duration_s:g} s"
        case Trace(path, _, duration_s, rate_rps):
            rate = "its own rate" if rate_rps is None else f"{rate_rps:g} rps"
            return f"trace {path.name} squeezed to {duration_s:g} s at {rate}"
        case Replay(path, duration_s):
            return f"the first {duration_s:g} s of {path.name} as recorded"
        case Stepped(steps):
            return "Poisson steps " + ", ".join(f"{rate:g} rps for {s:g} s" for s, rate in steps)


def _check_out(out: Path | None) -> None:
    """Fail before the run, not after it."""
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOption(f"--out {out} cannot be made a folder: {error.strerror}") from None


def _publish(summary: dict[str, Any], options: Options) -> None:
    text, report = json.dumps(summary, indent=2, allow_nan=False), render(summary)
    print(text if options.sink.as_json else report)
    if options.sink.folder is not None:
        from loadtest.reporting.plot import draw

        (options.sink.folder / "report.json").write_text(text + "\n")
        (options.sink.folder / "report.md").write_text(report)
        draw(summary, options.sink.folder / "report.png")
        print(f"report written to {options.sink.folder}", file=sys.stderr)
    if summary["client"]["saturated"]:
        print(
            f"WARNING: the client was saturated ({summary['client']['saturated']}); these figures "
            "are about it, not the server. Lower the load, pin client and server to different "
            "cores, or add --processes.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
