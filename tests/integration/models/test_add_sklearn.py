"""Classifiers of scikit-learn as skl2onnx exports them, served by one command: their own probabilities and classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.serving.server import running
from tests.support.serving.triton import asked

datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn makes the classifiers")
pytest.importorskip("skl2onnx", reason="skl2onnx exports them")


def classifiers() -> dict[str, Any]:
    """A few kinds, of Iris; one with names for classes."""
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - an extra
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    return {
        "linear": make_pipeline(StandardScaler(), LogisticRegression()),
        "forest": RandomForestClassifier(20, random_state=0),
        "net": make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=300, random_state=0)),
    }


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("kind", ["linear", "forest", "net"])
@pytest.mark.filterwarnings("ignore")
def test_its_probabilities_are_its_own(tmp_path: Path, kind: str, names: bool, zipmap: bool):
    from skl2onnx import to_onnx  # noqa: PLC0415 - an extra

    x, y = datasets.load_iris(return_X_y=True)
    x = x.astype(np.float32)
    classes = np.array(["setosa", "versicolor", "virginica"])
    model = classifiers()[kind].fit(x, classes[y] if names else y)
    path = tmp_path / "iris.onnx"
    exported = to_onnx(model, x[:1], options={"zipmap": zipmap})
    path.write_bytes(exported.SerializeToString())

    with running(str(path), cache=tmp_path / "cache") as server:
        answer = asked(server.url, "iris", {"X": x[::10]})

    floats = [a for a in answer.values() if a.dtype == np.float32]
    assert len(floats) == 1
    assert floats[0] == pytest.approx(model.predict_proba(x[::10]), abs=1e-4)
    labels = [a for a in answer.values() if a.dtype == np.int64]
    assert [a.tolist() for a in labels] == [] if names else [model.predict(x[::10]).tolist()]
