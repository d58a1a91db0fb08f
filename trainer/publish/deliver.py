"""The end of a run: its network exported, proven equal, judged in every precision and published, or nothing is."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.artifacts import MANIFEST, ArtifactError, is_plain_name, load_family
from models.catalog import Family, Slo
from trainer.data import Dataset
from trainer.errors import TrainError
from trainer.publish.candidates import Samples, make_candidates
from trainer.publish.precisions import PRECISIONS
from trainer.publish.repository import Provenance, Spent, name_of, publish
from trainer.publish.signature import differences, signature
from trainer.run.prepare import Prepared

FULL = "fp32"
EVERY = (FULL, *PRECISIONS)
_CALIBRATION_IMAGES = 512


@dataclass(frozen=True, slots=True)
class Place:
    """Where a network goes: the family in a repository, in which precisions (fp32 always); `slo` if it is created."""

    repository: Path
    family: str
    precisions: tuple[str, ...] = EVERY
    slo: Slo = Slo(0.05)  # noqa: RUF009 - a frozen value


def check(place: Place, dataset: Dataset) -> None:
    """Raises TrainError for what would stop the publishing, before anything is spent on training."""
    if unknown := sorted(set(place.precisions) - set(EVERY)):
        raise TrainError(f"unknown precisions {', '.join(unknown)}; known: {', '.join(EVERY)}")
    if not is_plain_name(place.family):
        raise TrainError(f"family {place.family!r} must have a plain name: letters, digits and _.-")
    folder = place.repository / place.family
    check_writable(place.repository)
    if not (folder / MANIFEST).exists():
        return
    try:
        present = load_family(folder, verify=False)
    except ArtifactError as error:
        raise TrainError(f"{error}; mend it, or name another family") from error
    if found := differences(present, _family(place, dataset)):
        raise TrainError(
            f"family {place.family} in {place.repository} is another: {'; '.join(found)}; name another family"
        )


def deliver(prepared: Prepared, outcome: dict[str, Any], place: Place) -> list[str]:
    """Publish what the run has trained; the names of its variants, fp32's first. Raises TrainError, then nothing is.

    `outcome` is what `trainer.run.outcome.finish` returned. Images that set int8's ranges are of the training split.
    """
    settings, dataset = prepared.run.settings, prepared.dataset
    test = dataset.test
    samples = Samples(dataset.name, _calibration(dataset), test.images, test.labels)
    precisions = [p for p in place.precisions if p != FULL]
    with tempfile.TemporaryDirectory(prefix="gearshift-train-") as folder:
        made = make_candidates(
            prepared.learner.module, settings.network, samples, Path(folder), precisions
        )
        names = [name_of(candidate) for candidate in made]
        family = publish(
            place.repository, _family(place, dataset), made, _provenance(prepared, outcome)
        )
    there = {variant.name for variant in family.variants}
    return [name for name in names if name in there]


def check_writable(repository: Path) -> None:
    """It is made if it is not there."""
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=repository):
            pass
    except OSError as error:
        raise TrainError(
            f"repository {repository} cannot be written: {error.strerror or error}; name another"
        ) from error


def _family(place: Place, dataset: Dataset) -> Family:
    return signature(place.family, dataset.train.images.shape[1:], dataset.classes, place.slo)


def _calibration(dataset: Dataset) -> NDArray[np.uint8]:
    images = dataset.train.images
    count = min(_CALIBRATION_IMAGES, len(images))
    return images[np.random.default_rng(0).choice(len(images), count, replace=False)]


def _provenance(prepared: Prepared, outcome: dict[str, Any]) -> Provenance:
    settings, dataset = prepared.run.settings, prepared.dataset
    spent = Spent(*(outcome[key] for key in ("units", "forwards", "backprops", "cpu_seconds")))
    return Provenance(
        data=dataset.name,
        source=dataset.source,
        selector=settings.selection.selector,
        seed=settings.seed,
        label_noise=settings.label_noise,
        spent=spent,
        budget=settings.budget,
    )
