"""Serve a repository in this process, without a port: `make models`, then `python examples/embedded.py`."""

import numpy as np

from server.config import Config, ModelsSection
from server.engine import Engine, Request, Tensor

with Engine(Config(models=ModelsSection(families=("imagenet",)))) as engine:
    engine.await_ready(patience_s=120.0)
    picture = np.random.default_rng(0).integers(0, 256, (1, 260, 260, 3), dtype=np.uint8)
    answer = engine.infer(Request("imagenet", [Tensor.of("image", picture)])).result()
    for name, scores in answer.outputs.items():
        print(name, scores.shape, "by", answer.execution)
