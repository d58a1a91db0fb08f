"""`gearshift models edit`: what a manifest promises and says is changed in place; the rest of its text stays."""

import argparse
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from models.artifacts import ArtifactError, change_family
from models.artifacts.manifest import render
from models.catalog import Accuracy, Family, Slo, Variant
from models.labels import odd_labels, read_labels
from models.managing.action import Action

_BOUNDS = {
    "slo_ms": (1e-3, 1e9),
    "percentile": (0.5, 1.0),
    "min_accuracy": (0.0, 1.0),
    "max_batch": (1, 1 << 31),
    "accuracy": (0.0, 1.0),
}
"""Option -> the least and the most that it may be."""
_WHAT = ("slo_ms", "percentile", "min_accuracy", "max_batch", "labels", "description", "accuracy")
"""Options of which there must be one."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("family", help="its name in the repository")
    option("--slo-ms", type=float, metavar="MS", help="latency bound")
    option("--percentile", type=float, help="share of requests promised within it, 0.5 to 1")
    option("--min-accuracy", type=float, help="least accuracy of variants that answer, 0 to 1")
    option("--max-batch", type=int, metavar="N", help="most rows that run at once")
    option("--labels", type=Path, metavar="FILE", help="class names, one a line, in order")
    option("--description", help="for `gearshift models list`")
    option("--variant", metavar="NAME", help="whose --accuracy and --source are given")
    option("--accuracy", type=float, help="what is known of that variant, 0 to 1")
    option("--source", help="how that is known, in words")


def _run(root: Path, given: argparse.Namespace) -> str:
    _check(given)
    labels = None if given.labels is None else read_labels(given.labels)

    def changed(family: Family) -> Family:
        made = replace(
            family,
            slo=_slo(family.slo, given),
            max_batch=given.max_batch or family.max_batch,
            labels=family.labels if labels is None else labels,
            description=family.description if given.description is None else given.description,
            variants=_variants(family, given),
        )
        _check_whole(made, given)
        return made

    before, after = change_family(root, given.family, changed)
    lines = list(_changes(before, after))
    if not lines:
        return f"nothing to change: {given.family} says so already"
    lines.append("a running server takes it up within seconds")
    return "\n".join(lines)


def _check(given: argparse.Namespace) -> None:
    """Raises ArtifactError where the options cannot be meant."""
    if all(getattr(given, name) is None for name in _WHAT):
        known = ", ".join(f"--{name.replace('_', '-')}" for name in _WHAT)
        raise ArtifactError(f"nothing to change was given; give one of {known}")
    for name, (least, most) in _BOUNDS.items():
        value = getattr(given, name)
        if value is not None and not (math.isfinite(value) and least <= value <= most):
            flag = f"--{name.replace('_', '-')}"
            raise ArtifactError(f"{flag} must be within {least:g} and {most:g}, not {value:g}")
    parts = [getattr(given, name) is not None for name in ("variant", "accuracy", "source")]
    if any(parts) and not all(parts):
        raise ArtifactError(
            "--variant, --accuracy and --source go together: whose, how much, and in a few words how it is known"
        )
    for name in ("description", "source"):
        if not (getattr(given, name) or "").isprintable():
            raise ArtifactError(f"--{name} must be one line of printable text")


def _check_whole(family: Family, given: argparse.Namespace) -> None:
    """Raises ArtifactError where nobody could be served by it, or its labels fit no output."""
    best = max(v.accuracy.value for v in family.variants)
    if family.slo.min_accuracy > best:
        raise ArtifactError(
            f"family {family.name}: min_accuracy {family.slo.min_accuracy:g} is above {best:g}, the best that a "
            "variant has, and no request would be answered; lower it with --min-accuracy"
        )
    if given.labels is not None and (odd := odd_labels(family)):
        raise ArtifactError(f"{given.labels}: {odd}")


def _slo(slo: Slo, given: argparse.Namespace) -> Slo:
    return replace(
        slo,
        latency_s=slo.latency_s if given.slo_ms is None else given.slo_ms / 1e3,
        percentile=slo.percentile if given.percentile is None else given.percentile,
        min_accuracy=slo.min_accuracy if given.min_accuracy is None else given.min_accuracy,
    )


def _variants(family: Family, given: argparse.Namespace) -> tuple[Variant, ...]:
    """The variants, one perhaps with another accuracy. Raises ArtifactError where there is none of that name."""
    if given.variant is None:
        return family.variants
    if family.variant(given.variant) is None:
        known = ", ".join(v.name for v in family.variants)
        raise ArtifactError(
            f"family {family.name} has no variant {given.variant!r}; it has {known}"
        )
    accuracy = Accuracy(given.accuracy, given.source)
    return tuple(
        replace(v, accuracy=accuracy) if v.name == given.variant else v for v in family.variants
    )


def _changes(before: Family, after: Family) -> Iterator[str]:
    """`slo.latency_ms: 50.0 -> 20.0`, a line for each value that is another."""
    old, new = (dict(_flat(tomllib.loads(render(family)))) for family in (before, after))
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            yield f"{key}: {_shown(old.get(key))} -> {_shown(new.get(key))}"


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for key, one in value.items():
        if isinstance(one, dict):
            yield from _flat(cast("Mapping[str, Any]", one), f"{above}{key}.")
        elif key == "variants":
            for variant in one:
                yield from _flat(variant, f"{variant['name']}.")
        else:
            yield f"{above}{key}", one


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"{len(cast('list[object]', value))} of them"
    return "none" if value is None else str(value)


EDIT = Action(
    "edit", "change a family's promise, labels, description or accuracies", _add_options, _run
)
