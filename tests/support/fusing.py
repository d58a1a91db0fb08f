"""What heads of tasks must say when they run as one network."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from models.stems.fusing import fused
from tests.support.sessions import first_output


def assert_exact(heads: Sequence[onnx.ModelProto], x: NDArray[np.float32]) -> None:
    """Fail unless the heads can be fused and then say of `x` what each says alone."""
    together = fused(heads)

    assert together is not None
    alone = np.stack([first_output(head, x) for head in heads], axis=1)
    assert np.ptp(alone, axis=1).max() > 1e-3  # else columns could be mixed up unseen
    np.testing.assert_allclose(first_output(together, x), alone, atol=1e-5)
