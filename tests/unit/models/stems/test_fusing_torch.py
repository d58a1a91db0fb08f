"""Heads as the trainer's networks have them, exported by torch: fused they say what each says alone."""

import io
import warnings

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from models import trainable  # noqa: E402 - needs torch
from tests.support.fusing import assert_exact  # noqa: E402 - after the skip


class Column(torch.nn.Module):
    """(n, 1) -> (n,)."""

    def forward(self, column: "torch.Tensor") -> "torch.Tensor":
        return column.squeeze(1)


ENDINGS = {"flatten": lambda: torch.nn.Flatten(0), "squeeze": Column}


def networks(name: str, tasks: int, ending: str) -> list[list["torch.nn.Module"]]:
    """The layers of as many networks of one kind, with other weights, norms' statistics among them."""
    made: list[list[torch.nn.Module]] = []
    for seed in range(tasks):
        torch.manual_seed(seed)
        network = trainable.build(trainable.parse(name), channels=1, side=16, classes=1)
        for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(norm.weight, 0.5, 2)
        made.append([*network.children(), torch.nn.Sigmoid(), ENDINGS[ending]()])
    return made


def exported(head: "torch.nn.Module", example: "torch.Tensor") -> onnx.ModelProto:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's age
        torch.onnx.export(
            head.eval(),
            (example,),
            file,
            dynamo=False,
            input_names=["activation"],
            output_names=["score"],
            dynamic_axes={"activation": {0: "N"}, "score": {0: "N"}},
            opset_version=17,
        )
    return onnx.load_model_from_string(file.getvalue())


@pytest.mark.parametrize(
    ("name", "ending"),
    [("cnn-w4-d2", "flatten"), ("cnn-w4-d2", "squeeze"), ("resnet-w4-d1", "flatten")],
)
def test_heads_cut_anywhere_in_a_network_fuse_exactly(name: str, ending: str):
    layers = networks(name, 3, ending)
    x = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 1, 16, 16)).astype("f4"))
    cuts = len(layers[0]) - 2  # up to the last linear layer

    for cut in range(cuts):
        with torch.no_grad():
            activation = torch.nn.Sequential(*layers[0][:cut]).eval()(x).detach()
        heads = [exported(torch.nn.Sequential(*own[cut:]), activation) for own in layers]

        assert_exact(heads, activation.numpy())
