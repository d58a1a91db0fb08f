"""What a trained network takes and gives, as a family's signature. Pure."""

from collections.abc import Sequence

from models.catalog import Family, Slo, TensorSpec

INPUT = "images"
OUTPUT = "logits"

_MAX_BATCH = 32
_DESCRIPTION = (
    "images: pixel values 0 to 255, channels first. logits: one score per label; their softmax gives "
    "probabilities. (trained here)"
)


def signature(name: str, shape: Sequence[int], labels: Sequence[str], slo: Slo) -> Family:
    """The family `name`, without variants, of networks that tell `labels` apart on images of `shape` [c, h, w]."""
    return Family(
        name,
        inputs=(TensorSpec(INPUT, "FP32", (-1, *shape)),),
        outputs=(TensorSpec(OUTPUT, "FP32", (-1, len(labels))),),
        variants=(),
        slo=slo,
        max_batch=_MAX_BATCH,
        labels=tuple(labels),
        description=_DESCRIPTION,
    )


def differences(present: Family, mine: Family) -> list[str]:
    """Where clients of `present` would not get what they expect from a variant of `mine`; empty where all agrees."""
    found: list[str] = []
    for what, theirs, ours in (
        ("inputs", _shown(present.inputs), _shown(mine.inputs)),
        ("outputs", _shown(present.outputs), _shown(mine.outputs)),
    ):
        if theirs != ours:
            found.append(f"its {what} are {theirs}, the trained network's {ours}")
    if present.labels != mine.labels:
        found.append(_labels_differ(present.labels, mine.labels))
    return found


def _shown(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{t.name} {t.datatype} {list(t.shape)}" for t in tensors)


def _labels_differ(theirs: Sequence[str], ours: Sequence[str]) -> str:
    if len(theirs) != len(ours):
        return f"it has {len(theirs)} labels, the trained network {len(ours)}"
    at = next(i for i, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b)
    return f"its label {at} is {theirs[at]!r}, the trained network's {ours[at]!r}"
