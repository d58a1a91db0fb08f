"""Pictures and tensors that requests are made of."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loadtest.errors import BadOption, BadTarget
from loadtest.inputs import POOL, Demand, build_pool, read_samples
from loadtest.pictures import Album, crop, from_cache
from loadtest.target import Input
from wire import inference_pb2 as pb


def a_wheel(folder: Path, *members: str) -> None:
    """A wheel with a picture as each member."""
    png = io.BytesIO()
    Image.fromarray(np.full((220, 260, 3), 9, np.uint8)).save(png, "png")
    with zipfile.ZipFile(folder / "scikit_image-1-none-any.whl", "w") as wheel:
        for member in members:
            wheel.writestr(member, png.getvalue())


def test_photographs_come_from_downloaded_wheels(tmp_path: Path):
    a_wheel(tmp_path, "skimage/data/coffee.png", "skimage/data/chessboard_RGB.png")

    album = from_cache(tmp_path)

    assert album.source.startswith("1 photographs")
    assert album.photographs[0].size == (260, 220)


@pytest.mark.parametrize("content", [None, b"not a wheel"])
def test_without_photographs_pictures_are_drawn_and_said_to_be(
    tmp_path: Path, content: bytes | None
):
    if content is not None:
        (tmp_path / "scikit_image-1.whl").write_bytes(content)

    album = from_cache(tmp_path)

    assert "drawn" in album.source
    picture = crop(album, 0, (40, 60), np.random.default_rng(0))
    assert picture.shape == (40, 60, 3)
    assert picture.std() > 10.0


def test_the_pool_holds_different_requests_and_the_same_for_the_same_seed():
    spec = Input("x", "UINT8", (-1, 32, 32, 3))

    first = build_pool("m", (spec,), Demand(), Album("drawn"), seed=3)

    assert len(set(first)) == POOL
    assert first == build_pool("m", (spec,), Demand(), Album("drawn"), seed=3)


@pytest.mark.parametrize(("datatype", "size"), [("FP16", 2), ("FP64", 8), ("INT8", 1), ("BOOL", 1)])
def test_tensors_fill_the_models_shape_and_datatype(datatype: str, size: int):
    pool = build_pool("m", (Input("x", datatype, (-1, 5)),), Demand(rows=3), Album(""), seed=0)

    request = pb.ModelInferRequest.FromString(pool[0])

    assert list(request.inputs[0].shape) == [3, 5]
    assert len(request.raw_input_contents[0]) == 15 * size


@pytest.mark.parametrize(
    ("spec", "rows", "error", "words"),
    [
        (Input("x", "BYTES", (-1, 1)), 1, BadTarget, "BYTES"),
        (Input("x", "FP32", (-1, -1)), 1, BadTarget, "free dimensions"),
        (Input("x", "FP32", (4,)), 2, BadOption, "takes no batch"),
    ],
)
def test_a_signature_that_cannot_be_filled_is_refused(
    spec: Input, rows: int, error: type[Exception], words: str
):
    with pytest.raises(error, match=words):
        build_pool("m", (spec,), Demand(rows=rows), Album(""), seed=0)


TEXT = (Input("ids", "INT64", (-1, -1)), Input("x", "FP32", (-1, 2)))


def sampled(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "rows.npz", **arrays)
    return folder / "rows.npz"


def test_rows_of_ones_own_are_sent_in_turn(tmp_path: Path):
    ids, x = np.arange(15).reshape(5, 3), np.ones((5, 2), np.float32)
    samples = read_samples(sampled(tmp_path, ids=ids, x=x))

    pool = build_pool("m", TEXT, Demand(rows=2), Album(""), 0, samples)

    sent = [pb.ModelInferRequest.FromString(one) for one in pool]
    assert [list(t.shape) for t in sent[0].inputs] == [[2, 3], [2, 2]]
    assert sent[2].raw_input_contents[0] == ids[[4, 0]].tobytes()


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"ids": np.zeros((2, 3), np.int64)}, "no array for input 'x'"),
        ({"ids": np.zeros((2, 3), np.int32), "x": np.zeros((2, 2), np.float32)}, "INT64"),
        ({"ids": np.zeros((2, 3), np.int64), "x": np.zeros((2, 3), np.float32)}, "the model takes"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], why: str):
    samples = read_samples(sampled(tmp_path, **arrays))

    with pytest.raises(BadOption, match=why):
        build_pool("m", TEXT, Demand(), Album(""), 0, samples)


CODED = (*TEXT, Input("text", "BYTES", (-1, 1)))


def test_texts_are_sent_in_place_of_numbers_where_there_are_some(tmp_path: Path):
    texts = np.array(["a cat", "d\u00f6g", ""])
    pool = build_pool(
        "m", CODED, Demand(rows=2), Album(""), 0, read_samples(sampled(tmp_path, text=texts))
    )

    sent = [pb.ModelInferRequest.FromString(one) for one in pool]
    assert [(t.name, t.datatype, list(t.shape)) for t in sent[0].inputs] == [("text", "BYTES", [2])]
    assert sent[0].raw_input_contents[0] == b"\5\0\0\0a cat\4\0\0\0d\xc3\xb6g"
    assert sent[1].raw_input_contents[0] == b"\0\0\0\0\5\0\0\0a cat"


def test_numbers_are_sent_where_there_are_no_texts(tmp_path: Path):
    numbers = {"ids": np.zeros((2, 3), np.int64), "x": np.zeros((2, 2), np.float32)}
    samples = read_samples(sampled(tmp_path, **numbers))

    for given in (samples, None):
        inputs = CODED if given else (CODED[1], CODED[2])
        (one, *_) = build_pool("m", inputs, Demand(), Album(""), 0, given)
        names = [t.name for t in pb.ModelInferRequest.FromString(one).inputs]
        assert names == (["ids", "x"] if given else ["x"])


def test_texts_must_be_texts(tmp_path: Path):
    samples = read_samples(sampled(tmp_path, text=np.zeros((2, 3))))
    with pytest.raises(BadOption, match="a text a row"):
        build_pool("m", CODED, Demand(), Album(""), 0, samples)


def test_what_holds_no_rows_is_refused(tmp_path: Path):
    (tmp_path / "rows.npz").write_bytes(b"no archive")

    with pytest.raises(BadOption, match="cannot be read"):
        read_samples(tmp_path / "rows.npz")
    with pytest.raises(BadOption, match="holds no rows"):
        read_samples(sampled(tmp_path, ids=np.zeros((0, 3))))
