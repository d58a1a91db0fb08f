"""The MLP as an MLServer runtime. Runs inside MLServer's own environment."""

from mlp import open_mlp, run_mlp
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Mlp(MLModel):
    """Decodes and encodes with MLServer's own codec for arrays; its gRPC side sends them raw."""

    async def load(self) -> bool:
        """Open the session."""
        self._session = open_mlp()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Scores of the one input."""
        x = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("y", run_mlp(self._session, x))
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])
