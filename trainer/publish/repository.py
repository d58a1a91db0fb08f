"""Judged files -> variants in the model repository, all or none, each with its origin written beside it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from models.artifacts import (
    MANIFEST,
    ArtifactError,
    FamilyExists,
    add_variants,
    create_family,
    load_family,
)
from models.artifacts.external import content_of
from models.catalog import Accuracy, Family, Variant
from trainer.errors import TrainError
from trainer.publish.signature import differences

_log = logging.getLogger(__name__)

MAX_DROP = 0.01
"""Share of accuracy a precision may lose against fp32 of the same network; more is rounding gone wrong, not a trade."""


@dataclass(frozen=True, slots=True)
class CandidateFile:
    """A network at one precision: its ONNX file, its accuracy, and the share of answers that are fp32's too."""

    network: str
    precision: str
    path: Path
    accuracy: Accuracy
    agreement: float = 1.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What a training run cost: units as budgeted (forwards of one example), examples passed, processor time (s)."""

    units: float
    forwards: int
    backprops: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a network was trained: on `data`, read from `source` (with sha256s), by `selector` as the user wrote it.

    `budget`: units that it was given; 0 where that is not known.
    """

    data: str
    source: str
    selector: str
    seed: int
    label_noise: float
    spent: Spent
    budget: float = 0.0


def publish(
    root: Path,
    family: Family,
    candidates: Sequence[CandidateFile],
    provenance: Provenance,
    max_drop: float = MAX_DROP,
) -> Family:
    """Publish `candidates` under the name and signature of `family`, whose variants do not count; all of them or none.

    Into a family that is there they go as candidates; its own SLO and texts stay. Where there is none, `family` is
    created and they are its variants from the start: there is nothing yet that they could be compared with. What is
    published already, byte for byte, stays as it is. Returns the family as published. Raises TrainError.
    """
    kept = worth_publishing(candidates, max_drop)
    made = {name_of(c): c for c in kept}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    variants = tuple(
        _variant(n, c, origin(c, provenance, version("torch"), at)) for n, c in made.items()
    )
    offered = replace(family, variants=variants)
    try:
        return _placed(root, offered, {name: c.path for name, c in made.items()})
    except ArtifactError as error:
        raise TrainError(f"{error}; nothing was published") from error
    except OSError as error:
        raise TrainError(
            f"{error.filename or root / family.name}: {error.strerror or error}; free space or name another "
            "repository; nothing was published"
        ) from error


def worth_publishing(
    candidates: Sequence[CandidateFile], max_drop: float = MAX_DROP
) -> list[CandidateFile]:
    """Those that lose at most `max_drop` against fp32 of their network; the others are logged. Raises TrainError."""
    full = {c.network: c.accuracy.value for c in candidates if c.precision == "fp32"}
    if lacking := sorted({c.network for c in candidates} - full.keys()) or not candidates:
        raise TrainError(
            f"no fp32 file of {lacking or 'any network'} to compare the others with; give it too"
        )
    kept: list[CandidateFile] = []
    for candidate in candidates:
        drop = full[candidate.network] - candidate.accuracy.value
        if drop <= max_drop:
            kept.append(candidate)
        else:
            _log.warning(
                "%s in %s is left out: it loses %.1f points of accuracy against fp32, more than %.1f",
                *(candidate.network, candidate.precision, 100 * drop, 100 * max_drop),
            )
    return kept


def name_of(candidate: CandidateFile) -> str:
    """`cnn-w32-d2-int8-0123abcd`: the same file always has the same name, another file another. Raises TrainError."""
    try:
        digest = content_of(candidate.path)
    except ArtifactError as error:
        raise TrainError(str(error)) from error
    except OSError as error:
        raise TrainError(
            f"{candidate.path} cannot be read: {error.strerror}; make it again"
        ) from error
    return f"{candidate.network}-{candidate.precision}-{digest[:8]}"


def origin(candidate: CandidateFile, provenance: Provenance, torch_version: str, at: str) -> str:
    """The JSON text of a variant's provenance; `at` is when, in UTC."""
    known = candidate.accuracy
    return json.dumps(
        {
            "data": provenance.data,
            "data_source": provenance.source,
            "network": candidate.network,
            "selector": provenance.selector,
            "seed": provenance.seed,
            "label_noise": provenance.label_noise,
            "budget": provenance.budget,
            "units": provenance.spent.units,
            "forwards": provenance.spent.forwards,
            "backprops": provenance.spent.backprops,
            "cpu_seconds": provenance.spent.cpu_s,
            "test_error": round(1 - known.value, 6),
            "test_error_interval": round(known.interval, 6),
            "test_images": known.n,
            "agreement_with_fp32": candidate.agreement,
            "torch": torch_version,
            "published": at,
        }
    )


def _variant(name: str, candidate: CandidateFile, text: str) -> Variant:
    return Variant(name, candidate.precision, "", "", candidate.accuracy, origin=text)


def _placed(root: Path, offered: Family, files: dict[str, Path]) -> Family:
    if not (root / offered.name / MANIFEST).exists():
        try:
            return create_family(root, offered, files)
        except FamilyExists:  # another publisher was faster: it is a family that is there
            pass
    present = load_family(root / offered.name, verify=False)
    if found := differences(present, offered):
        raise TrainError(
            f"family {present.name} in {root} is another: {'; '.join(found)}; name another family for it, nothing was "
            "published"
        )
    waiting = [replace(v, candidate=True) for v in offered.variants]
    return add_variants(root, present.name, waiting, files)
