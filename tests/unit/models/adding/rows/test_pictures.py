"""Pictures as rows: layout, values, classes by folder, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.adding.rows.given import GivenRows
from models.adding.rows.pictures import DEVIATION, MEAN, read_pictures
from models.build.errors import BuildError
from models.catalog import Family, Slo, TensorSpec

RED, BLUE = (255, 0, 0), (0, 0, 255)


def a_family(datatype: str, *shape: int, sizes: tuple[str, ...] = ()) -> Family:
    return Family("", (TensorSpec("x", datatype, (-1, *shape), sizes),), (), (), Slo(1.0))


def a_picture(path: Path, colour: tuple[int, ...] = RED, size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def values(folder: Path, family: Family, how: str = "") -> np.ndarray:
    return read_pictures(folder, family, how, {}).inputs["x"]


@pytest.mark.parametrize(
    ("shape", "pixel"), [((3, 4, 6), np.s_[0, :, 2, 3]), ((4, 6, 3), np.s_[0, 2, 3, :])]
)
@pytest.mark.parametrize(
    ("how", "red"),
    [
        ("", (1.0, 0.0, 0.0)),
        ("zero-one", (1.0, 0.0, 0.0)),
        ("none", (255.0, 0.0, 0.0)),
        (
            "imagenet",
            tuple((v - m) / d for v, m, d in zip((1, 0, 0), MEAN, DEVIATION, strict=True)),
        ),
    ],
)
def test_channels_come_first_or_last_and_values_are_scaled(
    tmp_path: Path, shape: tuple[int, ...], pixel: tuple[int, ...], how: str, red: tuple[float, ...]
):
    a_picture(tmp_path / "a.png")

    found = values(tmp_path, a_family("FP32", *shape), how)

    assert found.shape == (1, *shape)
    assert found.dtype == np.float32
    assert found[pixel] == pytest.approx(red)


def test_bytes_are_pixels_as_they_are(tmp_path: Path):
    a_picture(tmp_path / "a.png", BLUE)

    found = values(tmp_path, a_family("UINT8", 2, 2, 3))

    assert found.dtype == np.uint8
    assert found[0, 1, 1].tolist() == list(BLUE)
    with pytest.raises(BuildError, match="--normalise none"):
        values(tmp_path, a_family("UINT8", 2, 2, 3), "imagenet")


def test_the_middle_is_taken_and_proportions_stay(tmp_path: Path):
    picture = Image.new("RGB", (30, 10), BLUE)
    picture.paste(RED, (10, 0, 20, 10))
    picture.save(tmp_path / "wide.png")

    found = values(tmp_path, a_family("UINT8", 4, 4, 3))

    assert (found[0, :, 1:3] == RED).all()
    assert (found[0, :, :, 0] > 200).all()


def test_grey_pictures_have_one_channel(tmp_path: Path):
    a_picture(tmp_path / "a.png", (255, 255, 255))

    assert (values(tmp_path, a_family("FP32", 1, 4, 4)) == 1.0).all()
    with pytest.raises(BuildError, match="three channels"):
        values(tmp_path, a_family("FP32", 1, 4, 4), "imagenet")


def test_free_sizes_are_as_asked_for_or_usual(tmp_path: Path):
    a_picture(tmp_path / "a.png")
    family = a_family("UINT8", -1, -1, 3, sizes=("h", "w"))

    assert values(tmp_path, family).shape == (1, 224, 224, 3)
    assert read_pictures(tmp_path, family, "", {"h": 5, "w": 7}).inputs["x"].shape == (1, 5, 7, 3)


def test_folders_are_classes_in_alphabetical_order_and_rows_keep_theirs(tmp_path: Path):
    for i in range(20):
        a_picture(tmp_path / "b" / f"{i}.png", RED)
        a_picture(tmp_path / "a" / "deep" / f"{i}.JPEG", BLUE)
        a_picture(tmp_path / "c" / f"{i}.jpg", BLUE)
    (tmp_path / "a" / "notes.txt").touch()

    found = GivenRows(tmp_path).read(a_family("UINT8", 2, 2, 3))

    assert found.labels is not None
    assert found.names == ("a", "b", "c")
    assert len(found.fit["x"]) == len(found.held_out["x"]) == len(found.labels) == 30
    reddish = found.held_out["x"][:, 0, 0, 0] > 128
    assert (reddish == (found.labels == 1)).all()
    assert 0 < reddish.sum() < 30
    assert "alphabetical order: 0 a, 1 b, 2 c" in "; ".join(found.remarks)
    assert "60 of 60 pictures" in found.remarks[0]


def test_folders_called_as_the_models_classes_have_their_numbers(tmp_path: Path):
    for i in range(20):
        a_picture(tmp_path / "cat" / f"{i}.png", RED)
        a_picture(tmp_path / "ant" / f"{i}.png", BLUE)

    found = GivenRows(tmp_path, names=("dog", "cat", "ant")).read(a_family("UINT8", 2, 2, 3))

    assert found.labels is not None
    assert ((found.held_out["x"][:, 0, 0, 0] == 255) == (found.labels == 1)).all()
    assert set(found.labels.tolist()) == {1, 2}
    with pytest.raises(BuildError, match="label 'ant' is none of the model's 2 classes"):
        GivenRows(tmp_path, names=("dog", "cat")).read(a_family("UINT8", 2, 2, 3))


def test_labels_in_a_file_are_in_the_order_of_the_pictures(tmp_path: Path):
    for i in range(40):
        a_picture(tmp_path / "p" / f"{i:02}.png", RED if i % 3 else BLUE)
    (tmp_path / "labels.txt").write_text("".join(f"{int(i % 3 > 0)}\n" for i in range(40)))

    found = GivenRows(tmp_path / "p", tmp_path / "labels.txt").read(a_family("UINT8", 2, 2, 3))

    assert found.labels is not None
    assert ((found.held_out["x"][:, 0, 0, 0] == 255) == (found.labels == 1)).all()


def test_one_folder_is_no_class(tmp_path: Path):
    a_picture(tmp_path / "all" / "a.png")

    assert read_pictures(tmp_path, a_family("UINT8", 2, 2, 3), "", {}).labels is None


@pytest.mark.parametrize(
    ("shape", "files", "said"),
    [
        ((2, 2, 3), (), "holds no pictures"),
        ((2, 2, 3), ("a.png", "b/c.png"), "a.png is in no folder"),
        ((2, 2, 3), ("broken.png",), "broken.png cannot be read as a picture"),
        ((12,), ("a.png",), "the model takes none"),
        ((2, 2, 2), ("a.png",), "the model takes none"),
    ],
)
def test_what_is_no_use_is_refused(
    tmp_path: Path, shape: tuple[int, ...], files: tuple[str, ...], said: str
):
    for name in files:
        a_picture(tmp_path / name)
    if "broken.png" in files:
        (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")

    with pytest.raises(BuildError) as refused:
        values(tmp_path, a_family("FP32", *shape))

    assert said in str(refused.value)
