"""What the tests with tritonclient share: inputs as it sends them, parameters as it gets them."""

from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype


def an_input(x: NDArray[np.float32]) -> Any:
    """`x` as tritonclient sends it."""
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    return tensor


def said(result: Any) -> dict[str, Any]:
    """The response's parameters as plain values."""
    parameters = result.get_response().parameters
    return {k: getattr(v, v.WhichOneof("parameter_choice")) for k, v in parameters.items()}


def asked(url: str, family: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """All outputs of the family, by Triton's own client."""
    with triton.InferenceServerClient(url) as client:
        sent = [
            triton.InferInput(name, list(a.shape), np_to_triton_dtype(a.dtype))
            for name, a in inputs.items()
        ]
        for one, array in zip(sent, inputs.values(), strict=True):
            one.set_data_from_numpy(array)
        answer: Any = client.infer(family, sent)
        metadata: Any = client.get_model_metadata(family)
        return {o.name: np.asarray(answer.as_numpy(o.name)) for o in metadata.outputs}
