"""`gearshift models`: build the embedded family, add one's own, list, edit, remove and verify families."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.adding import options
from models.artifacts import (
    ArtifactError,
    default_repository,
    load_family,
    look_through,
    odd_precision,
    uncovered,
    uncovered_text,
)
from models.backends import require
from models.backends.base import BackendError
from models.catalog import Family, Variant
from models.labels import odd_labels
from models.managing.action import Action
from models.managing.edit import EDIT
from models.managing.remove import REMOVE
from surroundings import console
from surroundings.folders import expanded

if TYPE_CHECKING:
    from models.stems import Package

_FAMILY_HELP = "imagenet (pictures; default) or sentences (text embeddings)"
_ORIGIN_SHOWN = ("data", "network", "selector", "units", "seed", "label_noise")
"""What `list` shows of a variant's origin."""


_FURTHER = (EDIT, REMOVE)


def main(argv: list[str], more: Sequence[Action] = ()) -> int:
    """Run one action, of these or of `more`; 0 when it did what was asked, 2 with a message when it could not.

    `quantize` did when it made at least one variant: what it left out, and what is doubtful, it says on stderr.
    """
    further = {one.name: one for one in (*_FURTHER, *more)}
    arguments = _parser(further.values()).parse_args(argv)
    root = Path()
    try:
        root = expanded(arguments.repository or default_repository()).absolute()
        if arguments.action in ("add", "build", "quantize"):
            require("onnxruntime")
        if arguments.action in further:
            print(further[arguments.action].run(root, arguments))
            return 0
        return _ACTIONS[arguments.action](root, arguments)
    except (ArtifactError, BackendError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(
            f"{error.filename or root}: {error.strerror or error}; free space or choose --repository"
        )
    except KeyboardInterrupt:
        return _fail("interrupted; what was begun is either done whole or not at all")


def _parser(further: Iterable[Action]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift models", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, what in (
        (
            "add",
            "make a family of an ONNX graph, a .pt2 or a TorchScript, or of each model of a Triton repository",
        ),
        ("build", "make an embedded family from published weights (once; cached)"),
        ("quantize", "make int8, bf16 and fp16 variants of a family that has fp32 ones"),
        ("list", "families, variants, their accuracy and how it is known"),
        ("verify", "check every artefact against its sha256"),
    ):
        action = _with_repository(actions.add_parser(name, help=what, description=what))
        if name == "add":
            options.of_add(action)
        if name == "build":
            action.add_argument("family", nargs="?", default="", help=_FAMILY_HELP)
            action.add_argument("--force", action="store_true", help="build even if up to date")
        if name == "quantize":
            options.of_quantize(action)
    for one in further:
        action = actions.add_parser(one.name, help=one.what, description=one.what)
        one.add_options(_with_repository(action))
    return parser


def _with_repository(action: argparse.ArgumentParser) -> argparse.ArgumentParser:
    action.add_argument(
        "--repository",
        type=Path,
        help="folder (default: $GEARSHIFT__MODELS__REPOSITORY, else ~/.cache/gearshift/models)",
    )
    return action


def _add(root: Path, arguments: argparse.Namespace) -> int:
    from models.adding import command
    from models.build.errors import BuildError

    try:
        found, made = command.run(root, arguments, print, _warn)
    except BuildError as error:
        return _fail(str(error))
    for family in made:
        print(_described(family))
    if made:
        print(f"serve with: gearshift serve --repository {root}")
    return 0 if len(made) == found else 2


def _quantize(root: Path, arguments: argparse.Namespace) -> int:
    from models.adding.rows.given import GivenRows
    from models.build.errors import BuildError
    from models.build.narrowing.narrower import Job, add_precisions
    from models.build.narrowing.precisions import PRECISIONS
    from models.build.recipe import sole_builder

    wanted = list(dict.fromkeys(p.strip() for p in arguments.precisions.split(",")))
    if unknown := [p for p in wanted if p not in PRECISIONS]:
        return _fail(f"unknown precision {unknown[0]!r}; known: {', '.join(PRECISIONS)}")
    family = load_family(root / arguments.family)
    rows = (arguments.calibration, arguments.labels, arguments.normalise, family.labels)
    try:
        calibration = GivenRows(*rows).read(family)
        for remark in calibration.remarks:
            print(remark)
        with sole_builder(root) as work:
            job = Job(root, arguments.family, wanted, work, print, _warn)
            made = add_precisions(job, calibration)
    except BuildError as error:
        return _fail(str(error))
    print(_described(made))
    return 0


def _build(root: Path, arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from models.build.embedded import DEFAULT, EMBEDDED, is_current
    from models.build.errors import BuildError
    from models.build.recipe import sole_builder

    name = arguments.family or DEFAULT
    if name not in EMBEDDED:
        return _fail(f"no embedded family is called {name!r}; there are: {', '.join(EMBEDDED)}")
    embedded = EMBEDDED[name]
    try:
        with sole_builder(root) as work:
            if not arguments.force and is_current(root, embedded):
                print(f"up to date: {root}")
                return 0
            print(f"building the family {name} into {root} ({embedded.cost})")
            with tqdm(total=embedded.steps, unit="step", file=sys.stdout) as bar:

                def report(what: str) -> None:
                    bar.set_description(what)
                    bar.update()

                embedded.build(root, work, report)
    except BuildError as error:
        return _fail(str(error))
    return _list(root, arguments)


def _list(root: Path, _: argparse.Namespace) -> int:
    from models.stems import look_through_packages

    found, packages = look_through(root, verify=False), look_through_packages(root, verify=False)
    rows = [
        *map(_described, found.families.values()),
        *map(_described_package, packages.packages.values()),
    ]
    if rows or not (found.bad or packages.bad):
        print("\n".join(rows) or _none(root))
    return _left_out({**found.bad, **packages.bad})


def _none(root: Path) -> str:
    return f"no families in {root}; add a model of yours with `gearshift models add FILE.onnx`"


def _left_out(bad: Mapping[str, str]) -> int:
    """The exit code: 2, after a line for each, where something is bad."""
    for reason in bad.values():
        _fail(reason)
    return 2 if bad else 0


def _described(family: Family) -> str:
    rows = [f"{family.name}: {family.description}"]
    for v in family.variants:
        known = v.accuracy
        margin = f" ± {100 * known.interval:.1f}" if known.interval else ""
        rows.append(
            f"  {v.name:<26} {v.precision:<6} {100 * known.value:5.1f} %{margin}  {known.source}"
        )
        if provenance := _provenance(v):
            rows.append(f"    {provenance}")
    return "\n".join(rows)


def _described_package(package: "Package") -> str:
    points = ", ".join(str(p.frozen) for p in package.base.points)
    rows = [f"{package.base.name}: tasks that share its layers; points {points}"]
    for task in package.tasks:
        branches = ", ".join(str(h.frozen) for h in task.heads)
        rows.append(f"  {task.name:<26} branches at {branches}  {task.meaning}".rstrip())
    return "\n".join(rows)


def _provenance(variant: Variant) -> str:
    """`candidate; data digits, selector stale, seed 3`: what a variant is and the most telling of its origin."""
    origin: dict[str, object] = json.loads(variant.origin or "{}")
    origins = ", ".join(f"{key} {origin[key]}" for key in _ORIGIN_SHOWN if key in origin)
    return "; ".join(part for part in ("candidate" * variant.candidate, origins) if part)


def _verify(root: Path, _: argparse.Namespace) -> int:
    from models.stems import look_through_packages

    found, packages = look_through(root, quiet=True), look_through_packages(root)
    code = max([0, *(_verified(root / name, f) for name, f in found.families.items())])
    for package in packages.packages.values():
        heads = sum(len(task.heads) for task in package.tasks)
        print(
            f"{package.base.name}: base and {heads} heads of {len(package.tasks)} tasks verified, stems as hashed"
        )
    return max(code, _left_out({**found.bad, **packages.bad}))


def _verified(folder: Path, family: Family) -> int:
    """2 where the manifest leaves weights out: then not all that is served was verified."""
    waiting = sum(v.candidate for v in family.variants)
    among = f", {waiting} of them candidates" if waiting else ""
    weights = len({d.file for v in family.variants for d in v.data})
    beside = f", and {weights} files of weights beside them" if weights else ""
    print(f"{family.name}: {len(family.variants)} artefacts verified{among}{beside}")
    code = 0
    for variant in family.variants:
        if bare := uncovered(folder, variant):
            code = _fail(f"{folder}: {uncovered_text(variant, bare)}")
        if odd := odd_precision(variant):
            _warn(f"{folder}: {odd}")
    if odd := odd_labels(family):
        _warn(f"{folder}: {odd}")
    return code


_ACTIONS = {
    "add": _add,
    "build": _build,
    "quantize": _quantize,
    "list": _list,
    "verify": _verify,
}


def _warn(message: str) -> None:
    print(f"gearshift models: {message}", file=sys.stderr)


def _fail(message: str) -> int:
    _warn(message)
    return 2


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
