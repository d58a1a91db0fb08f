"""scikit-learn's embedded handwritten digits, 1797 of 8 x 8 pixels: a data set that needs no file."""

import hashlib

import numpy as np

from trainer.data.dataset import Dataset, split, together
from trainer.data.splits import held_out
from trainer.errors import TrainError

_TEST_SHARE = 0.2
_SPLIT_SEED = 0  # fixed: a data set is the same in every run, whatever the run's own seed
_BRIGHTEST = 16  # of the original; stretched to 255


def read() -> Dataset:
    """Four fifths to train on and one to test, stratified, the same ones every time. Raises TrainError."""
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 - of the extra `train`, and slow to import
    except ModuleNotFoundError as error:
        raise TrainError(
            "the data set digits is scikit-learn's, which is missing; install the extra: pip install -e '.[train]'"
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels.reshape(-1, 1, 8, 8) * (255 / _BRIGHTEST)).astype(np.uint8)
    train, test = (
        split(images[part], labels[part], "digits")
        for part in held_out(labels, _TEST_SHARE, np.random.default_rng(_SPLIT_SEED))
    )
    digest = hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    return together("digits", (train, test), None, f"scikit-learn's digits (sha256 {digest})")
