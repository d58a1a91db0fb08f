"""Networks as torch exports them keep the rows of a batch apart, and are known to: they are served in batches."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from models.backends.rows.hazards import hazards_of

torch = pytest.importorskip("torch", reason="torch is not installed")
nn: Any = torch.nn


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.place = nn.Parameter(torch.randn(8, 16))

    def forward(self, x: Any) -> Any:
        return self.body(self.table(x) + self.place[: x.shape[1]]).mean(1)


class Vision(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.body = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)

    def forward(self, x: Any) -> Any:
        found = self.patches(x).flatten(2).transpose(1, 2)
        return self.body(torch.cat([self.token.expand(x.shape[0], -1, -1), found], 1))[:, 0]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.LSTM(8, 16, 2, batch_first=True, bidirectional=True)

    def forward(self, x: Any) -> Any:
        return self.body(x)[0][:, -1]


class Segmenter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x: Any) -> Any:
        found = self.norm(self.up(self.down(x)))
        wide = nn.functional.interpolate(found, size=x.shape[2:], mode="bilinear")
        return torch.cat([x, wide], 1), wide.flatten(1).softmax(1).argmax(1)


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.split = nn.Linear(16, 48)

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        q, k, v = self.split(x).view(batch, length, 3, 4, 4).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)).masked_fill(x[:, None, None, :, 0] == 0, float("-inf"))
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width)


class Centred(nn.Module):
    def forward(self, x: Any) -> Any:
        return x - x.mean(0, keepdim=True)


NETWORKS = {
    Encoder: torch.randint(0, 50, (2, 8)),
    Vision: torch.randn(2, 3, 16, 16),
    Recurrent: torch.randn(2, 5, 8),
    Segmenter: torch.randn(2, 3, 16, 16),
    Masked: torch.randn(2, 6, 16),
}


def exported(network: Any, example: Any, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (example,),
            str(folder / "model.onnx"),
            input_names=["x"],
            dynamic_axes={"x": {0: "N"}},
            dynamo=False,
        )
    return folder / "model.onnx"


@pytest.mark.parametrize("kind", NETWORKS)
def test_an_exported_network_is_known_to_keep_rows_apart(kind: Any, tmp_path: Path):
    path = exported(kind(), NETWORKS[kind], tmp_path)

    assert hazards_of(path).hangs == ""


def test_one_that_does_not_is_told(tmp_path: Path):
    path = exported(Centred(), torch.randn(2, 6), tmp_path)

    assert hazards_of(path).hangs == "its ReduceMean runs over the rows of a batch"
