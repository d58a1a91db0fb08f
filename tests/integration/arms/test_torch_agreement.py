"""torch on the embedded family's real weights: it answers as ONNX Runtime does, and narrow types keep the classes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.artifacts import ArtifactError, default_repository, load_family
from models.backends import Way, open_backend
from models.catalog import Family, Variant

pytestmark = pytest.mark.weights

pytest.importorskip("torch", reason="torch is not installed (`pip install 'gearshift[torch]'`)")

FOLDER = default_repository() / "imagenet"
ROWS = 4


@pytest.fixture(scope="module")
def family() -> Family:
    try:
        return load_family(FOLDER)
    except ArtifactError as error:
        pytest.skip(f"the embedded family is not built (`make models`): {error}")


def logits(family: Family, variant: Variant, runtime: str) -> NDArray[np.generic]:
    pictures = np.random.default_rng(4).integers(0, 256, (ROWS, 260, 260, 3), dtype=np.uint8)
    backend = open_backend(FOLDER, family, variant, threads=1, way=Way(runtime))
    answer = backend.run({"image": pictures})["logits"]
    backend.close()
    return answer


def test_torch_answers_as_onnx_runtime_does(family: Family):
    for variant in (v for v in family.variants if v.precision == "fp32"):
        reference = logits(family, variant, "onnxruntime")

        np.testing.assert_allclose(logits(family, variant, "torch"), reference, atol=1e-3)


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.25), ("fp16", 0.03)])
def test_a_narrow_type_stays_near_float32(family: Family, precision: str, most: float):
    variant = next(v for v in family.variants if v.precision == "fp32")
    reference = np.asarray(logits(family, variant, "onnxruntime"), np.float64)

    narrow = logits(family, replace(variant, precision=precision), "torch")

    rms = float(np.sqrt(np.mean((np.asarray(narrow, np.float64) - reference) ** 2)))
    assert 1e-4 < rms / float(reference.std()) < most
