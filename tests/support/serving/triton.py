"""What the tests with tritonclient share: inputs as it sends them, parameters as it gets them."""

from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray


def an_input(x: NDArray[np.float32]) -> Any:
    """`x` as tritonclient sends it."""
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    return tensor


def said(result: Any) -> dict[str, Any]:
    """The response's parameters as plain values."""
    parameters = result.get_response().parameters
    return {k: getattr(v, v.WhichOneof("parameter_choice")) for k, v in parameters.items()}
