"""Labels beside outputs: how many there must be, and files that hold them."""

from pathlib import Path

from models.artifacts import ArtifactError
from models.catalog import Family
from surroundings.documents import text_at


def odd_labels(family: Family) -> str:
    """What is odd of the labels where class scores seem to be meant but have another number; empty if nothing is."""
    known = len(family.labels)
    flat = [t for t in family.outputs if len(t.shape) == 2 and t.is_float]
    scores = [t for t in flat if t.shape[1] > 1]
    if not known or not scores or any(known in t.shape for t in family.outputs):
        return ""
    one = scores[0]
    return (
        f"key 'labels' has {known} labels, output {one.name!r} {list(one.shape)} has {one.shape[1]} values a row; "
        "if these are class scores, give as many labels, in their order"
    )


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels in a file, one a line. Raises ArtifactError."""
    try:
        labels = tuple(line.strip() for line in text_at(path).strip("\n").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}; name a text file with one label a line"
        ) from error
    if not all(label and label.isprintable() for label in labels):
        empty = next(i for i, label in enumerate(labels, 1) if not label or not label.isprintable())
        raise ArtifactError(
            f"{path}, line {empty}: no label; give one a line, in the order of the scores"
        )
    return labels
