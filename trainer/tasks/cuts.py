"""Where a trained network may be cut, and its two sides: the stem, frozen for good, and what a head begins as."""

import copy

from torch import nn

from trainer.errors import TrainError


def points_of(base: nn.Sequential) -> tuple[int, ...]:
    """Layers to freeze, ascending: none, and every number of them after which a layer with weights comes.

    Cuts elsewhere bring nothing: with the layers without weights that follow frozen too, a head learns the same and
    costs less.
    """
    weighted = [any(True for _ in layer.parameters()) for layer in base]
    return (0, *(k for k in range(1, len(base)) if weighted[k] and any(weighted[:k])))


def asked_points(text: str, base: nn.Sequential) -> tuple[int, ...]:
    """The points in a list such as 4,6,8, ascending, 0 always among them: what sharing is compared with.

    Raises TrainError, which lists the points there are, for what is no boundary between two layers of `base`.
    """
    if not text.strip():
        return points_of(base)
    asked = {_point(word.strip(), base) for word in text.split(",")} - {0}
    if not asked:
        raise TrainError(f"cuts {text!r} share nothing; points worth a cut: {_known(base)}")
    return (0, *sorted(asked))


def _point(word: str, base: nn.Sequential) -> int:
    known = _known(base)
    layer, _, inner = word.partition(".")
    if inner and layer.isdecimal() and int(layer) < len(base):
        raise TrainError(
            f"cut {word!r} lies inside a block: layer {layer} is one {type(base[int(layer)]).__name__}; cut before it "
            f"({layer}) or after it ({int(layer) + 1}); points worth a cut: {known}"
        )
    if not word.isdecimal() or int(word) >= len(base):
        raise TrainError(
            f"cut {word!r} is no number of layers to freeze, 0 to {len(base) - 1}; points worth a cut: {known}"
        )
    return int(word)


def _known(base: nn.Sequential) -> str:
    return ", ".join(map(str, points_of(base)))


def as_layers(module: nn.Module) -> nn.Sequential:
    """`module` as the layers that it is. Raises TrainError where it is not one after another."""
    if not isinstance(module, nn.Sequential) or not isinstance(module[-1], nn.Linear):
        raise TrainError(
            f"a {type(module).__name__} cannot be cut: build it as nn.Sequential that ends in a Linear layer"
        )
    return module


def stem_of(base: nn.Sequential, frozen: int) -> nn.Sequential:
    """The first `frozen` layers themselves, in evaluation mode: nothing learns, nor do batch-norm statistics."""
    return _part(base, 0, frozen).eval().requires_grad_(False)


def fresh_head(base: nn.Sequential, frozen: int) -> nn.Sequential:
    """Copies of the layers from `frozen` on, the last one replaced by a new Linear(., 1): one logit a row."""
    last = base[-1]
    assert isinstance(last, nn.Linear)  # as_layers
    copies = copy.deepcopy(_part(base, frozen, len(base) - 1))
    return nn.Sequential(*copies, nn.Linear(last.in_features, 1)).requires_grad_(True)


def thawed(base: nn.Sequential, frozen: int, deeper: nn.Sequential) -> nn.Sequential:
    """A head like `deeper`, with the base's own layers from `frozen` to its beginning before it; all are copies."""
    between = _part(base, frozen, len(base) - len(deeper))
    return copy.deepcopy(nn.Sequential(*between, *deeper)).requires_grad_(True)


def _part(base: nn.Sequential, begin: int, end: int) -> nn.Sequential:
    """These layers themselves, as a network."""
    return nn.Sequential(*list(base)[begin:end])
