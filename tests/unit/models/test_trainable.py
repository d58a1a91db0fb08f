"""Networks by name: shapes, sizes, normalisation inside, the same weights from the same seed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models import trainable  # noqa: E402 - wants torch
from models.trainable import Network  # noqa: E402

NETWORKS = [
    Network("cnn", 4, 1),
    Network("cnn", 4, 3),
    Network("resnet", 4, 1),
    Network("resnet", 4, 2),
]


def some_pixels(channels: int, side: int, count: int = 3) -> "torch.Tensor":
    return torch.randint(0, 256, (count, channels, side, side)).float()


def weights(network: Network, seed: int) -> "torch.Tensor":
    torch.manual_seed(seed)
    module = trainable.build(network, channels=1, side=8, classes=3)
    return torch.nn.utils.parameters_to_vector(module.parameters())


@pytest.mark.parametrize("network", [*NETWORKS, Network("cnn", 128, 12)], ids=lambda n: n.name)
def test_a_name_is_read_back(network: Network):
    assert trainable.parse(network.name) == network


@pytest.mark.parametrize(
    "name",
    ["", "cnn", "cnn-w32", "vgg-w32-d2", "cnn-w0-d2", "cnn-w32-d0", "cnn-w-1-d2", "CNN-w1-d1\n"],
)
def test_other_names_are_refused_with_the_kinds_there_are(name: str):
    with pytest.raises(ValueError, match="cnn, resnet"):
        trainable.parse(name)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 28), (3, 32), (3, 61)])
def test_pixels_become_one_logit_a_class(network: Network, channels: int, side: int):
    module = trainable.build(network, channels=channels, side=side, classes=7)

    logits = module(some_pixels(channels, side))

    assert logits.shape == (3, 7)
    assert logits.isfinite().all()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
def test_one_seed_makes_the_same_weights(network: Network):
    assert torch.equal(weights(network, 1), weights(network, 1))
    assert not torch.equal(weights(network, 1), weights(network, 2))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
def test_channels_last_computes_the_same(network: Network):
    module = trainable.build(network, channels=3, side=16, classes=5).eval()
    pixels = some_pixels(3, 16)

    with torch.inference_mode():
        expected = module(pixels)
        turned = module.to(memory_format=torch.channels_last)(
            pixels.to(memory_format=torch.channels_last)
        )

    assert torch.allclose(turned, expected, atol=1e-4)


def test_every_width_and_depth_adds_parameters():
    def count(name: str) -> int:
        module = trainable.build(trainable.parse(name), channels=1, side=28, classes=10)
        return sum(p.numel() for p in module.parameters())

    assert count("cnn-w8-d2") < count("cnn-w16-d2") < count("cnn-w32-d2")
    assert count("resnet-w8-d1") < count("resnet-w8-d2") < count("resnet-w16-d2")


def test_pixels_are_normalised_inside_by_buffers_that_travel_with_the_weights():
    mean, std = (10.0, 20.0, 30.0), (1.0, 2.0, 4.0)
    given = trainable.build(Network("cnn", 4, 1), channels=3, side=8, classes=2, mean=mean, std=std)
    plain = trainable.build(Network("cnn", 4, 1), channels=3, side=8, classes=2, mean=0, std=1)
    pixels = some_pixels(3, 8)
    scaled = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]

    other = trainable.build(Network("cnn", 4, 1), channels=3, side=8, classes=2)
    other.load_state_dict(given.state_dict())
    for name, buffer in given.named_buffers():
        assert torch.equal(other.get_buffer(name), buffer)
    state = {k: v for k, v in given.state_dict().items() if not k.startswith("0.")}
    plain.load_state_dict(state, strict=False)

    assert torch.allclose(given(pixels), plain(scaled), atol=1e-5)
    assert not any(name.startswith("0.") for name, _ in given.named_parameters())


@pytest.mark.parametrize(
    ("network", "options", "fault"),
    [
        (Network("cnn", 4, 4), {"side": 8}, "depth can be 3 at most"),
        (Network("resnet", 4, 1), {"side": 3}, "4 will do"),
        (Network("cnn", 4, 1), {"classes": 0}, "classes 0"),
        (Network("cnn", 4, 1), {"mean": (1.0, 2.0)}, "each of 1 channels"),
        (Network("cnn", 4, 1), {"std": 0.0}, "std above 0"),
        (Network("cnn", 4, 1), {"std": float("nan")}, "std above 0"),
    ],
)
def test_numbers_that_make_no_network_are_refused(network: Network, options: dict, fault: str):
    with pytest.raises(ValueError, match=fault):
        trainable.build(network, **({"channels": 1, "side": 8, "classes": 2} | options))


@pytest.mark.parametrize(
    "network", [Network("cnn", 8, 2), Network("resnet", 8, 1)], ids=lambda n: n.name
)
def test_a_few_steps_learn_a_few_examples(network: Network):
    torch.manual_seed(0)
    module = trainable.build(network, channels=1, side=8, classes=3)
    pixels, labels = some_pixels(1, 8, count=24), torch.from_numpy(np.arange(24) % 3)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)

    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(pixels), labels).backward()
        optimizer.step()

    assert torch.equal(module(pixels).argmax(1), labels)
