"""Behind a cut nothing changes; in front of it a head learns, from the stem's activations alone."""

import copy
import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - wants torch

from models import trainable  # noqa: E402
from tests.support.training.scenes import KINDS, pictures, still  # noqa: E402
from trainer.errors import TrainError  # noqa: E402
from trainer.run.pixels import floats  # noqa: E402
from trainer.tasks import finetune  # noqa: E402
from trainer.tasks.cuts import as_layers, asked_points, points_of, stem_of  # noqa: E402
from trainer.tasks.finetune import Heads, Lesson, Tuning, fine_tuned, step_count  # noqa: E402
from trainer.tasks.footage import footage  # noqa: E402
from trainer.tasks.kinds import Wanted, wanted  # noqa: E402

TASKS = wanted("round=round;other=square,flat", KINDS)
POINTS = (0, 3, 8)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def a_base() -> nn.Sequential:
    """Three residual blocks, their batch-norm statistics not those that they begin with."""
    torch.manual_seed(0)
    network = trainable.Network("resnet", 4, 1)
    base = as_layers(trainable.build(network, channels=1, side=8, classes=3))
    base.train()(torch.rand(16, 1, 8, 8) * 255)
    return base


def a_lesson(frames: int = 300) -> Lesson:
    shown = footage(pictures(side=8), still(window_frames=1), frames, 0)
    return Lesson(shown.frames, shown.kinds)


def whole(base: nn.Sequential, lesson: Lesson, **changes: float) -> Heads:
    """The heads of all tasks at all points, trained to the end."""
    tuning = Tuning(budget=changes.pop("budget", 1500.0), passes=changes.pop("passes", 4.0))
    *_, (heads, share) = fine_tuned(base, POINTS, TASKS, lesson, tuning)
    assert share == pytest.approx(1.0)
    return heads


def wrong(base: nn.Sequential, head: nn.Sequential, point: int, task: Wanted) -> float:
    lesson = a_lesson(90)
    with torch.no_grad():
        logits = head(stem_of(base, point)(floats(torch.from_numpy(lesson.frames))))[:, 0]
    return float(((logits.numpy() > 0) != task.events(lesson.kinds)).mean())


def content_hash(module: nn.Module) -> str:
    """sha256, in hex, of all weights and buffers: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy(force=True).tobytes())
    return digest.hexdigest()


def test_frozen_layers_keep_every_byte_of_weights_buffers_and_statistics():
    base = a_base()
    before = {k: v.clone() for k, v in base.state_dict().items()}
    hashes = [content_hash(stem_of(base, point)) for point in POINTS]

    whole(base, a_lesson())

    after = base.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert any("running_mean" in key for key in before)
    assert [content_hash(stem_of(base, point)) for point in POINTS] == hashes


def test_another_weight_buffer_or_statistic_is_another_hash():
    base = a_base()
    hashes = {content_hash(base)}

    for tensor in list(base.state_dict().values()):
        changed = tensor.clone()
        tensor.add_(1)
        hashes.add(content_hash(base))
        tensor.copy_(changed)

    assert len(hashes) == len(base.state_dict()) + 1
    assert content_hash(base) in hashes


def test_heads_learn_their_task_where_the_cut_leaves_them_layers():
    base = a_base()

    heads = whole(base, a_lesson(), budget=6000.0, passes=12.0)

    wrongs = {(t.name, p): wrong(base, heads[t.name, p], p, t) for t in TASKS for p in POINTS[:-1]}
    assert max(wrongs.values()) < 0.1, wrongs


def test_a_head_begins_as_the_bases_own_layers():
    base = a_base()

    heads = whole(base, a_lesson(), budget=1e-9)  # a step, at a rate of 0

    def weights(module: nn.Module) -> dict[str, torch.Tensor]:
        return dict(module.named_parameters())

    for point in POINTS:
        head = heads["round", point]
        assert len(head) == len(base) - point
        for offset, layer in enumerate(list(head)[:-1]):
            theirs = weights(base[point + offset])
            assert all(torch.equal(t, theirs[name]) for name, t in weights(layer).items())
        assert head[-1].out_features == 1


def test_activations_are_the_same_whether_they_are_kept_or_not(monkeypatch: pytest.MonkeyPatch):
    base, lesson = a_base(), a_lesson(40)
    ids = np.array([3, 39, 0])

    kept = finetune.Activations(stem_of(base, 3), lesson.frames).at(ids)
    monkeypatch.setattr(finetune, "CACHE_BYTES", 0)
    fresh = finetune.Activations(stem_of(base, 3), lesson.frames).at(ids)

    assert torch.allclose(kept, fresh, atol=1e-5)
    assert not kept.requires_grad


def test_the_same_seed_trains_the_same_heads():
    first, again = (whole(a_base(), a_lesson()) for _ in range(2))

    assert {k: content_hash(h) for k, h in first.items()} == {
        k: content_hash(h) for k, h in again.items()
    }


def test_deeper_heads_see_more_frames_for_the_same_budget():
    base, lesson = copy.deepcopy(a_base()), a_lesson()
    tuning = Tuning(budget=900.0, passes=100.0, batch=10)

    steps = [step_count(base, point, lesson, tuning) for point in (0, 3, 4)]

    assert [count for count, _ in steps] == sorted({count for count, _ in steps})
    assert all(count * units <= 900.0 for count, units in steps)


def test_cuts_are_worth_it_only_before_layers_with_weights():
    base = a_base()

    body = ["Normalise", "Conv2d", *3 * ["Residual"], "BatchNorm2d", "ReLU"]
    kinds = [*body, "AdaptiveAvgPool2d", "Flatten", "Linear"]
    assert [type(layer).__name__ for layer in base] == kinds
    assert points_of(base) == (0, 2, 3, 4, 5, 9)
    assert asked_points("", base) == points_of(base)
    assert asked_points("4, 3", base) == (0, 3, 4)


INSIDE = "lies inside a block: layer 2 is one Residual; cut before"
WORTH = "points worth a cut: 0, 2, 3, 4, 5, 9"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2.residue.0", rf"cut '2\.residue\.0' {INSIDE}"),
        ("3.1", r"inside a block: layer 3 is one Residual; cut before it \(3\) or after it \(4\)"),
        ("10", f"cut '10' is no number of layers to freeze, 0 to 9; {WORTH}"),
        ("conv", "cut 'conv' is no number of layers"),
        ("0", "cuts '0' share nothing"),
    ],
)
def test_cuts_that_are_no_boundary_are_refused(text: str, said: str):
    with pytest.raises(TrainError, match=said):
        asked_points(text, a_base())


def test_a_network_that_is_not_one_layer_after_another_is_refused():
    with pytest.raises(TrainError, match=r"a Residual cannot be cut: build it as nn\.Sequential"):
        as_layers(trainable.Residual(1, 1, 1))
