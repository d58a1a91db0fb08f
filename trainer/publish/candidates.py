"""A trained network -> files to offer: exported, proven equal, in every precision, each judged on the test split."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.catalog import Accuracy
from trainer.errors import TrainError
from trainer.publish.evaluate import Images, Judged, agreement, evaluate
from trainer.publish.export import check_parity, to_onnx
from trainer.publish.precisions import PRECISIONS, write_precision
from trainer.publish.repository import CandidateFile

_log = logging.getLogger(__name__)

_PARITY_IMAGES = 512


@dataclass(frozen=True, slots=True)
class Samples:
    """Images (n, c, h, w) of the data set `name`: part of the training split to calibrate on, the test split."""

    name: str
    calibration: Images
    images: Images
    labels: NDArray[np.int64]


def make_candidates(
    module: torch.nn.Module,
    network: str,
    samples: Samples,
    folder: Path,
    precisions: Sequence[str] = PRECISIONS,
) -> list[CandidateFile]:
    """`module` as files in `folder`, fp32 first. A precision that this network cannot be had in is left out, logged.

    `network` is what the names of variants begin with. Raises TrainError where the network cannot be exported or ONNX
    disagrees with torch, or the folder cannot be written.
    """
    full = folder / f"{network}-fp32.onnx"
    try:
        to_onnx(module, samples.images[:2].astype(np.float32), full)
        check_parity(module, full, samples.images[:_PARITY_IMAGES])
        judged = evaluate(full, samples.images, samples.labels, of=samples.name)
        first = CandidateFile(network, "fp32", full, judged.accuracy)
        others = [_in_precision(first, judged, p, samples) for p in precisions]
    except OSError as error:
        raise TrainError(
            f"{error.filename or folder}: {error.strerror or error}; free space or name another folder for work; "
            "nothing was published"
        ) from error
    return [first, *(c for c in others if c is not None)]


def _in_precision(
    full: CandidateFile, judged: Judged, precision: str, samples: Samples
) -> CandidateFile | None:
    path = full.path.with_name(f"{full.network}-{precision}.onnx")
    try:
        write_precision(full.path, precision, samples.calibration, path)
        found = evaluate(path, samples.images, samples.labels, precision=precision, of=samples.name)
    except TrainError as error:
        _log.warning("%s in %s is left out: %s", full.network, precision, error)
        return None
    same = agreement(found.answers, judged.answers)
    return CandidateFile(
        full.network, precision, path, _at_most(found.accuracy, full.accuracy, same), same
    )


def _at_most(found: Accuracy, full: Accuracy, same: float) -> Accuracy:
    """`found`, never above fp32's: rounding may be lucky on these images, it does not make a network better."""
    source = f"{found.source}; {found.value:.2%} right, same class as fp32 {same:.2%}"
    return replace(found, value=min(found.value, full.value), source=source)
