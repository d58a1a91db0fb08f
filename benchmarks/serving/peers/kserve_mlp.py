"""The MLP as a KServe model server. Runs inside KServe's own environment: kserve_mlp.py
GRPC_PORT HTTP_PORT."""

import sys
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from mlp import open_mlp, run_mlp


class Mlp(Model):
    """Reads raw inputs and answers raw, as KServe does where it can."""

    def load(self) -> bool:
        """Open the session."""
        self._session = open_mlp()
        self.ready = True
        return self.ready

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """Scores of the one input."""
        y = run_mlp(self._session, payload.inputs[0].as_numpy())
        output = InferOutput(name="y", shape=list(y.shape), datatype="FP32")
        output.set_data_from_numpy(y, binary_data=True)
        return InferResponse(payload.id or "", self.name, [output], use_binary_outputs=True)


if __name__ == "__main__":
    model = Mlp("mlp")
    model.load()
    ports = {"grpc_port": int(sys.argv[1]), "http_port": int(sys.argv[2])}
    sys.argv = sys.argv[:1]
    ModelServer(**ports, enable_latency_logging=False, access_log_format=None).start([model])
