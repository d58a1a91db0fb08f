"""Graph building: padding arithmetic, batch-norm folding, whole small networks against plain numpy."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.build.errors import BuildError
from models.build.graphs import Array, Graph, fold_batch_norm, same_pads, symmetric_pads
from models.build.imagenet import MEASURED_ON, NETWORKS, Loss, Quality, accuracy, imagenet
from models.build.networks import build_core, efficientnet_lite, mobilenet_v2
from models.build.preprocess import preprocessing

_RNG_SEED = 5


def run(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> np.ndarray:
    content = model.SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def convolve(picture: Array, weight: Array, stride: int, padding: tuple[int, int]) -> Array:
    """A convolution as it is defined: picture [c, s, s], weight [out, c, k, k]."""
    padded = np.pad(picture, ((0, 0), padding, padding))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows[:, ::stride, ::stride], weight)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "expected"),
    [
        (224, 3, 2, (0, 1)),
        (225, 3, 2, (1, 1)),
        (112, 5, 2, (1, 2)),
        (65, 5, 2, (2, 2)),
        (14, 3, 1, (1, 1)),
        (14, 1, 1, (0, 0)),
        (14, 1, 2, (0, 0)),
    ],
)
def test_same_padding_puts_less_before(
    side: int, kernel: int, stride: int, expected: tuple[int, int]
):
    assert same_pads(side, kernel, stride) == expected


def test_symmetric_padding_is_half_the_kernel():
    assert [symmetric_pads(224, k, 2) for k in (1, 3, 5)] == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize(("side", "kernel"), [(8, 3), (9, 3), (8, 5)])
def test_a_strided_convolution_is_numpys(side: int, kernel: int):
    rng = np.random.default_rng(_RNG_SEED)
    picture = rng.normal(size=(3, side, side)).astype(np.float32)
    weight = rng.normal(size=(4, 3, kernel, kernel)).astype(np.float32)
    padding = same_pads(side, kernel, 2)
    graph = Graph()
    out = graph.convolution("x", "conv", (weight, np.zeros(4, np.float32)), 2, padding)
    half = -(-side // 2)
    model = graph.model(
        "one",
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, side, side]),
        helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", 4, half, half]),
    )

    found = run(model, {"x": picture[None]})[0]

    np.testing.assert_allclose(found, convolve(picture, weight, 2, padding), rtol=1e-4, atol=1e-4)


def test_a_folded_batch_norm_is_convolution_then_norm():
    rng = np.random.default_rng(_RNG_SEED)
    picture = rng.normal(size=(3, 6, 6)).astype(np.float32)
    weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    keys = ("weight", "bias", "running_mean", "running_var")
    norm = {key: rng.uniform(0.5, 2, 4).astype(np.float32) for key in keys}

    folded, bias = fold_batch_norm(weight, norm, 1e-3)

    plain = convolve(picture, weight, 1, (1, 1))
    column = {k: v[:, None, None] for k, v in norm.items()}
    scaled = (plain - column["running_mean"]) / np.sqrt(column["running_var"] + 1e-3)
    wanted = scaled * column["weight"] + column["bias"]
    found = convolve(picture, folded, 1, (1, 1)) + bias[:, None, None]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_architectures_have_their_published_depth():
    blocks = [len(a.blocks) for a in (mobilenet_v2(), *map(efficientnet_lite, (1.0, 1.1, 1.2)))]

    assert blocks == [19, 18, 23, 23]  # stem and head included


def test_every_network_shrinks_its_picture_32_times():
    for network in NETWORKS:
        assert len(network.architecture.strides) == 5


def test_a_checkpoint_of_another_network_is_refused():
    scale = np.ones(3, np.float32)
    with pytest.raises(BuildError, match=r"lacks features\.0\.1"):
        build_core(mobilenet_v2(), {"_conv_stem.weight": scale}, 224, scale)


def test_preprocessing_resizes_centres_and_turns_the_picture():
    picture = np.zeros((2, 260, 260, 3), np.uint8)
    picture[1] = (10, 20, 30)
    mean = np.array([1, 2, 3], np.float32)

    pixels = run(preprocessing(224, mean), {"image": picture})

    assert pixels.shape == (2, 3, 224, 224)
    np.testing.assert_allclose(pixels[0].reshape(3, -1).T, np.tile(-mean, (224 * 224, 1)))
    np.testing.assert_allclose(pixels[1, :, 100, 100], [9, 18, 27])


@pytest.mark.parametrize("side", [224, 240])
def test_resizing_is_onnxs_bilinear_one(side: int):
    pictures = np.random.default_rng(_RNG_SEED).integers(0, 256, (2, 260, 260, 3), dtype=np.uint8)
    scales = numpy_helper.from_array(np.array([1, 1, side / 260, side / 260], np.float32), "s")
    resize = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
    value = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3, None, None]) for n in "xy"
    ]
    graph = helper.make_graph([resize], "resize", value[:1], value[1:], [scales])
    opset = [helper.make_opsetid("", 17)]
    wanted = run(
        helper.make_model(graph, opset_imports=opset, ir_version=8),
        {"x": pictures.transpose(0, 3, 1, 2).astype(np.float32)},
    )

    found = run(preprocessing(side, np.zeros(3, np.float32)), {"image": pictures})

    np.testing.assert_allclose(found, wanted, atol=0.01)


def test_a_picture_of_the_right_size_is_not_resized():
    nodes = preprocessing(260, np.zeros(3, np.float32)).graph.node

    assert [n.op_type for n in nodes] == ["Transpose", "Cast", "Sub"]


def test_the_catalogue_says_what_was_measured():
    results = Path(__file__).parents[4] / "benchmarks" / "results" / "accuracy.json"
    rows = json.loads(results.read_text())

    for network in NETWORKS:
        for precision, loss in network.quality.losses.items():
            measured = [r for r in rows if r["variant"] == f"{network.name}-{precision}"]
            worst = max(measured, key=lambda r: r["loss"])
            assert worst["n"] == MEASURED_ON
            assert loss.mean == pytest.approx(worst["loss"], abs=1e-4)
            assert loss.interval == pytest.approx(worst["loss_interval"], abs=1e-4)


def test_a_gain_that_was_measured_is_not_promised():
    quality = Quality(0.75, "published", {"bf16": Loss(-0.002, 0.004), "int8": Loss(0.003, 0.006)})

    assert accuracy(quality, "bf16").value == accuracy(quality, "fp32").value == 0.75
    assert accuracy(quality, "int8").value == 0.747
    assert accuracy(quality, "int8").interval == 0.006


def test_the_family_has_a_label_for_every_class():
    family = imagenet()

    assert len(family.labels) == family.outputs[0].shape[1]
    assert family.labels[285] == "Egyptian cat"
