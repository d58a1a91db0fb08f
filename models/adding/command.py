"""What `gearshift models add` does with its arguments: one model or several, then their other precisions."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from models.adding.adding import Added, Asked, add
from models.adding.found import GRAPH, FoundModel, models_in
from models.adding.sizing import AskedSize
from models.artifacts import ArtifactError, is_plain_name
from models.build.errors import BuildError
from models.build.narrowing.narrower import Job, add_precisions
from models.build.narrowing.precisions import PRECISIONS
from models.build.recipe import sole_builder
from models.catalog import Family, Variant
from models.datatypes import DATATYPES

Say = Callable[[str], None]


def run(root: Path, given: argparse.Namespace, say: Say, warn: Say) -> tuple[int, list[Family]]:
    """Add what is asked for; what cannot be added is said, the rest goes on. (models found, families made).

    Raises BuildError where nothing can be tried, ArtifactError or OSError where there is but one model and it fails.
    """
    asked, precisions = _asked(root, given), _precisions(given)
    found = models_in(given.model)
    if len(found) == 1:
        return 1, [_added(found[0], asked, precisions, say, warn)]
    if asked.name or asked.samples or asked.accuracy is not None or asked.shapes or asked.sizes:
        raise BuildError(
            f"{given.model} holds {len(found)} models; --name, --samples, --accuracy, --shape and --size are for one: "
            "add them one by one"
        )
    made: list[Family] = []
    for one in found:
        named = partial(_said, f"{one.name}: ", say)
        try:
            made.append(_added(one, asked, precisions, named, warn))
        except (BuildError, ArtifactError) as error:
            warn(str(error))
    return len(found), made


def _said(prefix: str, say: Say, text: str) -> None:
    say(f"{prefix}{text}")


def _added(
    found: FoundModel, asked: Asked, precisions: Sequence[str], say: Say, warn: Say
) -> Family:
    asked.repository.mkdir(parents=True, exist_ok=True)
    with sole_builder(asked.repository) as work:
        added = add(found, asked, work, say)
    return _narrowed(added, asked, precisions, say, warn)


def _narrowed(added: Added, asked: Asked, precisions: Sequence[str], say: Say, warn: Say) -> Family:
    """The family with its other precisions, where they can be made; what cannot is said."""
    family, (full,) = added.family, added.family.variants
    if not precisions:
        return family
    calibration, why = added.calibration, _why_no_others(full)
    if why or calibration is None:
        say(f"no other precisions were made: {why or 'that takes --samples'}")
        return family
    try:
        with sole_builder(asked.repository) as work:
            job = Job(asked.repository, family.name, precisions, work, say, warn)
            return add_precisions(job, calibration)
    except (BuildError, ArtifactError) as error:
        warn(f"{family.name} is added; no other precisions were made: {error}")
        return family


def _why_no_others(full: Variant) -> str:
    if not full.artifact.endswith(GRAPH):
        return "they are made of ONNX graphs; for them export the network with torch.onnx.export"
    return "" if full.precision == "fp32" else f"it is {full.precision}"


def _asked(root: Path, given: argparse.Namespace) -> Asked:
    if given.accuracy is not None and not 0.0 <= given.accuracy <= 1.0:
        raise BuildError(f"--accuracy must be within 0 and 1, not {given.accuracy:g}")
    if given.accuracy is not None and not given.source:
        raise BuildError("--accuracy needs --source: in a few words, how it is known")
    if given.name and not is_plain_name(given.name):
        raise BuildError(f"--name {given.name!r} must be letters, digits and _.-, as a folder's")
    if given.slo_ms is not None and not 1e-3 <= given.slo_ms <= 1e9:
        raise BuildError(f"--slo-ms must be within 0.001 and 1e9, not {given.slo_ms:g}")
    shapes, datatypes = shapes_in(given.shape)
    slo_s = None if given.slo_ms is None else given.slo_ms / 1e3
    sizes = dict(map(_size, given.size))
    own = (given.accuracy, given.source, given.samples)
    if given.samples is None and (given.labels or given.normalise):
        raise BuildError("--labels and --normalise are about the rows of --samples; give it too")
    return Asked(
        root, given.name, slo_s, *own, shapes, datatypes, sizes, given.labels, given.normalise
    )


def shapes_in(given: Sequence[str]) -> tuple[dict[str, tuple[int | str, ...]], dict[str, str]]:
    """(the sizes behind each input's rows, the datatypes that were said). Raises BuildError."""
    shapes: dict[str, tuple[int | str, ...]] = {}
    datatypes: dict[str, str] = {}
    for text in given:
        name, _, said = text.rpartition("=")
        datatype, _, sizes = said.rpartition(":")
        words = [word.strip() for word in sizes.split(",") if word.strip()]
        known = not datatype or datatype in DATATYPES
        if not name or not known or not all(map(_is_size, words)):
            raise BuildError(
                f"--shape {text!r} must be INPUT=N,N or INPUT=DATATYPE:N,N with sizes of at least 1, or names of "
                f"free ones; datatypes are {', '.join(DATATYPES)}"
            )
        shapes[name] = tuple(int(word) if word.isdecimal() else word for word in words)
        datatypes |= {name: datatype} if datatype else {}
    return shapes, datatypes


def _is_size(word: str) -> bool:
    return int(word) > 0 if word.isdecimal() else is_plain_name(word)


def _size(text: str) -> tuple[str, AskedSize]:
    name, _, said = text.rpartition("=")
    typical, _, most = said.partition(":")
    numbers = [word.strip() for word in (typical, most) if word.strip()]
    whole = all(word.isdecimal() and int(word) for word in numbers)
    if not name or not numbers or not whole or (most and int(most) < int(typical)):
        raise BuildError(
            f"--size {text!r} must be NAME=USUAL or NAME=USUAL:MOST with sizes of at least 1, most not below usual"
        )
    return name, AskedSize(int(typical), int(most) if most else None)


def _precisions(given: argparse.Namespace) -> list[str]:
    wanted = list(dict.fromkeys(p.strip() for p in given.precisions.split(",") if p.strip()))
    if unknown := [p for p in wanted if p not in PRECISIONS]:
        raise BuildError(f"unknown precision {unknown[0]!r}; known: {', '.join(PRECISIONS)}")
    return wanted
