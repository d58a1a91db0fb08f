"""A family whose weights lie beside the graph: served as it is, and not served once its weights are others."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from models.artifacts import publish_family
from tests.support.outside import FAMILY, WIDTH, a_product, a_variant, weights
from tests.support.serving.server import refused_start, serving

ROWS = np.random.default_rng(5).standard_normal((3, WIDTH)).astype(np.float32)
MANIFEST = """
name = "own"
slo = {{ latency_ms = 2000 }}
inputs = [{{ name = "x", datatype = "FP32", shape = [-1, 4] }}]
outputs = [{{ name = "y", datatype = "FP32", shape = [-1, 4] }}]
variants = [{{ name = "net", precision = "fp32", artifact = "model.onnx", sha256 = "{}",
accuracy = {{ value = 0.8, source = "mine" }} }}]
""".replace(",\naccuracy", ", accuracy")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two variants of weights of the same name, published from two folders."""
    files = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files[name] = a_product(tmp_path / name / "net.onnx")
    variants = tuple(a_variant(name) for name in files)
    publish_family(tmp_path / "models", replace(FAMILY, variants=variants), files)
    return tmp_path / "models"


def asked(url: str) -> np.ndarray:
    with triton.InferenceServerClient(url) as client:
        x = triton.InferInput("x", list(ROWS.shape), "FP32")
        x.set_data_from_numpy(ROWS)
        found = client.infer("own", [x]).as_numpy("y")
        assert found is not None
        return found


def test_published_weights_are_served_and_zeroed_ones_are_not(root: Path, tmp_path: Path):
    with serving(root, tmp_path / "cache") as server:
        assert np.allclose(asked(server.url), ROWS @ weights(), atol=1e-2)
    (file,) = (root / "own").glob("weights-*.data")

    file.write_bytes(bytes(file.stat().st_size))

    said = refused_start(tmp_path / "cache", "--repository", str(root))
    assert file.name in said
    assert "damaged" in said


def test_weights_that_a_written_manifest_leaves_out_are_served_and_said(tmp_path: Path):
    folder = tmp_path / "models" / "own"
    folder.mkdir(parents=True)
    digest = hashlib.sha256(a_product(folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "family.toml").write_text(MANIFEST.format(digest))

    with serving(tmp_path / "models", tmp_path / "cache") as server:
        assert np.allclose(asked(server.url), ROWS @ weights(), atol=1e-2)
        assert "the weights of net in model.onnx.data are not verified" in server.log


def test_weights_outside_of_the_folder_are_refused_at_the_start(tmp_path: Path):
    folder = tmp_path / "models" / "own"
    folder.mkdir(parents=True)
    (tmp_path / "models" / "secret.bin").write_bytes(weights().tobytes())
    graph = a_product(folder / "model.onnx", "../secret.bin")
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    (folder / "family.toml").write_text(MANIFEST.format(digest))

    said = refused_start(tmp_path / "cache", "--repository", str(tmp_path / "models"))

    assert "keeps weights in '../secret.bin', which leads out of its folder" in said
