"""Streams of scenes: what windows show, whose events they are, that the seed decides all."""

import numpy as np
import pytest

from tests.support.training.scenes import KINDS, pictures, still
from trainer.data import Split
from trainer.errors import TrainError
from trainer.tasks.footage import Scenery, apportioned, footage, moved
from trainer.tasks.kinds import Kinds, wanted


def test_every_frame_of_a_window_shows_the_windows_class():
    shown = footage(pictures(), still(), windows=30, seed=1)

    classes = (shown.frames[:, 0, 0, 0] // 40).reshape(30, 5)

    assert (classes == shown.kinds[:, None]).all()


def test_windows_are_events_of_every_task_that_has_their_class():
    one, two = wanted("a=round;b=round,flat", KINDS)

    shown = footage(pictures(), still(), windows=9, seed=0)

    assert (shown.events(one) == (shown.kinds == 0)).all()
    assert (shown.events(two) == (shown.kinds != 1)).all()
    assert (shown.frame_events(two) == np.repeat(shown.kinds != 1, 5)).all()


def test_classes_have_their_share_of_windows_to_within_one():
    shown = footage(pictures(), still(shares=(1, 2, 7)), windows=25, seed=0)

    assert np.abs(np.bincount(shown.kinds) - [2.5, 5, 17.5]).max() <= 1
    assert apportioned((0.5, 0.5), 5).tolist() == [0, 0, 0, 1, 1]


def test_a_picture_lasts_as_the_probability_says():
    shown = footage(pictures(each=40), still(same=0.8, window_frames=50), windows=300, seed=3)

    values = shown.frames[:, 0, 0, 0].reshape(300, 50)
    lasting = (values[:, 1:] == values[:, :-1]).mean()

    assert lasting == pytest.approx(0.8 + 0.2 / 40, abs=0.01)  # another one is the same by chance


def test_a_picture_that_always_lasts_fills_its_window():
    shown = footage(pictures(), still(same=1.0), windows=12, seed=0)

    assert (np.ptp(shown.frames.reshape(12, -1), axis=1) == 0).all()


def test_the_seed_decides_all():
    first, again, other = (footage(pictures(), Scenery(KINDS), 8, seed) for seed in (1, 1, 2))

    assert first.frames.tobytes() == again.frames.tobytes()
    assert first.kinds.tolist() == again.kinds.tolist()
    assert first.frames.tobytes() != other.frames.tobytes()


def test_frames_are_moved_and_brightened_within_bounds():
    bright = np.full((50, 1, 8, 8), 100, np.uint8)

    seen = moved(bright, Scenery(KINDS, shift=1 / 8, light=0.1), np.random.default_rng(0))

    assert seen.dtype == np.uint8
    assert 90 <= seen[:, :, 1:-1, 1:-1].min() < seen.max() <= 110
    assert set(np.unique(seen)) & {0}  # what a shift uncovers


def test_views_show_pictures_mirrored_and_turned():
    picture = np.array([[[[1, 2], [3, 4]]]], np.uint8).repeat(3, axis=0)
    kinds = Kinds(("a",), ("plain", "mirrored", "turned"))

    shown = kinds.shown(picture, np.arange(3))

    assert shown.reshape(3, 4).tolist() == [[1, 2, 3, 4], [2, 1, 4, 3], [4, 3, 2, 1]]


def test_tasks_name_classes_and_views():
    kinds = Kinds(("T-shirt/top", "boot"), ("plain", "mirrored"))

    tasks = wanted("shirts = t-shirt/top ; right=1:mirrored; any=*:plain,0:mirrored", kinds)

    assert [(t.name, t.kinds) for t in tasks] == [
        ("shirts", (0, 2)),
        ("right", (3,)),
        ("any", (0, 1, 2)),
    ]


UNSHOWN = "is not among the views shown: plain; see --views"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("coat=oval", r"class 'oval' is unknown; there are: 0 round, 1 square, 2 flat"),
        ("coat=7", "class '7' is unknown"),
        ("coat=", "task 'coat=' is empty; write NAME=CLASS,CLASS"),
        ("=0", "task '=0' is empty"),
        (" ; ", "give at least one"),
        ("a=0;a=1", "each name once"),
        ("a=*", "task 'a' is every scene there is"),
        ("a=0:mirrored", f"view 'mirrored' in '0:mirrored' {UNSHOWN}"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(text: str, said: str):
    with pytest.raises(TrainError, match=said):
        wanted(text, KINDS)


def test_scenes_that_cannot_be_shown_are_refused():
    split = pictures()
    without = Split(split.images[split.labels != 2], split.labels[split.labels != 2])

    with pytest.raises(TrainError, match="there is no picture of flat to show"):
        footage(without, still(), 30, 0)
    with pytest.raises(TrainError, match="2 shares of windows for 3 kinds of scenes"):
        still(shares=(1, 2))
    with pytest.raises(
        TrainError, match="views plain, plain: give some of plain, mirrored, turned"
    ):
        Kinds(("a",), ("plain", "plain"))
