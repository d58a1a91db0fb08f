"""From a trained torch module to the repository: what is served says what torch says, or nothing is published."""

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import models
from models.artifacts import load_family
from models.catalog import Family, Slo
from trainer.errors import TrainError

torch = pytest.importorskip("torch")

from trainer.publish.candidates import Samples, make_candidates  # noqa: E402 - needs torch
from trainer.publish.evaluate import evaluate, scores  # noqa: E402
from trainer.publish.export import check_parity, to_onnx  # noqa: E402
from trainer.publish.repository import CandidateFile, Provenance, Spent, publish  # noqa: E402
from trainer.publish.signature import signature  # noqa: E402

CLASSES = ("stripe", "column", "blank")
SHAPES = signature("shapes", (1, 8, 8), CLASSES, Slo(0.02))
RUN = Provenance("shapes", "drawn", "uniform", 0, 0.0, Spent(10.0, 8, 4, 0.1))


def shapes(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy 8 x 8 pictures of a bright row, a bright column, or nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 90, (count, 1, 8, 8)).astype(np.uint8)
    at = rng.integers(0, 8, count)
    for i in range(count):
        if labels[i] == 0:
            images[i, 0, at[i]] += 120
        if labels[i] == 1:
            images[i, 0, :, at[i]] += 120
    return images, labels


def a_network() -> torch.nn.Module:
    """Two convolutions, one with a batch-norm whose statistics matter; pixels are scaled inside."""
    return torch.nn.Sequential(
        torch.nn.BatchNorm2d(1, affine=False),
        torch.nn.Conv2d(1, 16, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(512, len(CLASSES)),
    )


@pytest.fixture(scope="module")
def trained() -> torch.nn.Module:
    """The network after a second of training; still in training mode, as a loop would leave it."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = a_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    images, labels = shapes(512, seed=1)
    pixels, classes = torch.from_numpy(images).float(), torch.from_numpy(labels)
    for step in range(60):
        rows = slice(64 * (step % 8), 64 * (step % 8 + 1))
        loss = torch.nn.functional.cross_entropy(network(pixels[rows]), classes[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@pytest.fixture(scope="module")
def samples() -> Samples:
    images, labels = shapes(300, seed=2)
    return Samples("shapes", shapes(64, seed=1)[0], images, labels)


@pytest.fixture(scope="module")
def candidates(
    trained: torch.nn.Module, samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> list[CandidateFile]:
    return make_candidates(trained, "cnn-w16-d2", samples, tmp_path_factory.mktemp("made"))


@pytest.fixture
def exported(trained: torch.nn.Module, samples: Samples, tmp_path: Path) -> Path:
    to_onnx(trained, samples.images[:2].astype(np.float32), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def sabotage(path: Path) -> None:
    """Change one weight of the last layer."""
    model = onnx.load(path)
    weight = next(t for t in model.graph.initializer if t.dims == [3, 512])
    values = numpy_helper.to_array(weight).copy()
    values[0] += 1.0
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, path)


def names(family: Family) -> list[str]:
    return [v.name for v in family.variants]


def test_the_export_agrees_with_torch_at_every_batch_size(
    trained: torch.nn.Module, exported: Path, samples: Samples
):
    assert check_parity(trained, exported, samples.images) < 1e-5


def test_the_export_folds_batch_norms_and_leaves_the_module_alone(
    trained: torch.nn.Module, exported: Path
):
    operators = [node.op_type for node in onnx.load(exported).graph.node]

    assert operators.count("BatchNormalization") <= 1  # the first has no convolution before it
    assert trained.training


def test_the_same_network_is_exported_to_the_same_bytes(
    trained: torch.nn.Module, exported: Path, samples: Samples
):
    again = exported.with_name("again.onnx")
    to_onnx(trained, samples.images[:2].astype(np.float32), again)

    assert again.read_bytes() == exported.read_bytes()


def test_a_changed_weight_is_no_parity(trained: torch.nn.Module, exported: Path, samples: Samples):
    sabotage(exported)

    with pytest.raises(TrainError, match=r"disagrees with torch on 300.*differ by.*top-1 in \d"):
        check_parity(trained, exported, samples.images)


def test_a_network_that_the_export_misses_the_point_of_makes_no_candidate(
    tmp_path: Path, samples: Samples
):
    class Choosing(torch.nn.Module):
        """Its branch depends on how many there are; a trace keeps the one that its example took."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = images.flatten(1)[:, :3]
            return flat if len(images) > 100 else -flat

    with pytest.raises(TrainError, match="disagrees with torch"):
        make_candidates(Choosing(), "choosing", samples, tmp_path)


def test_logits_that_are_no_numbers_are_no_parity(tmp_path: Path, samples: Samples):
    network = a_network()
    torch.nn.init.constant_(network[-1].bias, float("nan"))
    to_onnx(network, samples.images[:2].astype(np.float32), tmp_path / "net.onnx")

    with pytest.raises(TrainError, match="differ by up to nan"):
        check_parity(network, tmp_path / "net.onnx", samples.images)


def test_a_fixed_batch_is_refused(trained: torch.nn.Module, exported: Path, samples: Samples):
    model = onnx.load(exported)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, exported)

    with pytest.raises(TrainError, match=r"cannot be served.*rows of any number"):
        check_parity(trained, exported, samples.images)


def test_a_network_that_onnx_cannot_hold_is_refused(samples: Samples, tmp_path: Path):
    class Foreign(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(images).flatten(1)

    with pytest.raises(TrainError, match="cannot be written as ONNX"):
        to_onnx(Foreign(), samples.images[:2].astype(np.float32), tmp_path / "net.onnx")


def test_every_precision_is_judged_on_the_test_split(candidates: list[CandidateFile]):
    by_precision = {c.precision: c for c in candidates}

    assert list(by_precision) == ["fp32", "bf16", "fp16", "int8"]
    full = by_precision["fp32"].accuracy
    assert full.value > 0.9
    assert (full.n, 0 < full.interval < 0.05) == (300, True)
    for precision in ("bf16", "fp16", "int8"):
        found = by_precision[precision]
        assert found.agreement > 0.95
        assert full.value - 0.05 < found.accuracy.value <= full.value
        assert "same class as fp32" in found.accuracy.source
    kinds = {n.op_type for n in onnx.load(by_precision["int8"].path).graph.node}
    assert "QuantizeLinear" in kinds


def test_accuracy_is_the_share_of_right_answers(exported: Path, samples: Samples):
    judged = evaluate(exported, samples.images, samples.labels, of="shapes")

    right = scores(exported, samples.images).argmax(axis=1) == samples.labels
    assert judged.accuracy.value == pytest.approx(right.mean(), abs=0.01)
    assert judged.accuracy.source.startswith("measured: 300 test images of shapes, onnxruntime")


@pytest.mark.parametrize("count", [0, 7])
def test_images_and_labels_must_go_together(exported: Path, samples: Samples, count: int):
    with pytest.raises(TrainError, match=f"{count} labels"):
        evaluate(exported, samples.images[:0] if count == 0 else samples.images, np.arange(count))


def test_a_precision_that_cannot_be_had_is_left_out_and_logged(
    samples: Samples, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))

    with caplog.at_level(logging.WARNING):
        made = make_candidates(network, "tiny", samples, tmp_path, ("bf16", "int8"))

    assert [c.precision for c in made] == ["fp32", "int8"]
    assert "tiny in bf16 is left out: bf16: its fp32 weights of " in caplog.text
    assert "are too small to be worth it: the largest has 192 values" in caplog.text


def test_a_new_familys_first_variants_are_no_candidates(
    tmp_path: Path, candidates: list[CandidateFile]
):
    made = publish(tmp_path, SHAPES, candidates, RUN)

    assert load_family(tmp_path / "shapes") == made
    assert [v.precision for v in made.variants] == ["fp32", "bf16", "fp16", "int8"]
    assert not any(v.candidate for v in made.variants)
    assert made.labels == CLASSES
    told = json.loads(made.variants[3].origin)
    assert (told["selector"], told["torch"]) == ("uniform", torch.__version__)


def test_later_ones_are_candidates_and_the_same_again_is_nothing_new(
    tmp_path: Path, candidates: list[CandidateFile], trained: torch.nn.Module, samples: Samples
):
    publish(tmp_path, SHAPES, candidates, RUN)
    work = tmp_path / "work"
    work.mkdir()
    other = make_candidates(trained, "other", samples, work, ())

    made = publish(tmp_path, SHAPES, other, RUN)

    assert [v.candidate for v in made.variants] == [False, False, False, False, True]
    assert made.variants[4].name.startswith("other-fp32-")
    assert publish(tmp_path, SHAPES, [*other, *candidates], RUN) == made


def test_another_signature_is_refused(tmp_path: Path, candidates: list[CandidateFile]):
    made = publish(tmp_path, SHAPES, candidates, RUN)
    mine = signature("shapes", (3, 8, 8), CLASSES, Slo(0.02))

    with pytest.raises(
        TrainError, match=r"inputs are images FP32 \[-1, 1, 8, 8\].*\[-1, 3, 8, 8\]"
    ):
        publish(tmp_path, mine, candidates, RUN)

    assert load_family(tmp_path / "shapes") == made


def test_a_file_that_has_gone_publishes_none_of_the_others(
    tmp_path: Path, candidates: list[CandidateFile]
):
    gone = replace(candidates[3], path=tmp_path / "gone.onnx")

    with pytest.raises(TrainError, match=r"gone\.onnx cannot be read"):
        publish(tmp_path, SHAPES, [*candidates[:3], gone], RUN)

    assert not (tmp_path / "shapes").exists()


def test_a_damaged_family_is_left_as_it_is(tmp_path: Path, candidates: list[CandidateFile]):
    publish(tmp_path, SHAPES, candidates, RUN)
    manifest = tmp_path / "shapes" / "family.toml"
    manifest.write_text("half = ")

    with pytest.raises(TrainError, match=r"no TOML.*nothing was published"):
        publish(tmp_path, SHAPES, candidates, RUN)

    assert manifest.read_text() == "half = "


_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from models.catalog import Accuracy, Slo
from trainer.errors import TrainError
from trainer.publish.repository import CandidateFile, Provenance, Spent, publish
from trainer.publish.signature import signature
root, path = map(Path, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
family = signature("shapes", (1, 8, 8), ("stripe", "column", "blank"), Slo(0.02))
run = Provenance("shapes", "drawn", "uniform", 1, 0.0, Spent(1.0, 1, 1, 0.1))
try:
    publish(root, family, [CandidateFile("big", "fp32", path, Accuracy(0.9, "made up"))], run)
except TrainError as error:
    print(error)
"""


def test_a_full_disk_publishes_nothing(tmp_path: Path, candidates: list[CandidateFile]):
    made = publish(tmp_path / "models", SHAPES, candidates[:1], RUN)
    before = sorted(p.name for p in (tmp_path / "models" / "shapes").iterdir())
    command = [sys.executable, "-c", _ON_A_FULL_DISK]
    command += [str(tmp_path / "models"), str(candidates[3].path)]

    said = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(models.__file__).parents[1],
    ).stdout

    assert "File too large; free space or name another repository; nothing was published" in said
    assert load_family(tmp_path / "models" / "shapes") == made
    assert sorted(p.name for p in (tmp_path / "models" / "shapes").iterdir()) == before
