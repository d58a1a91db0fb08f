"""`family.toml`: text to Family and back. Every value is checked; nothing here touches the disk."""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

from models.artifacts.shapes import (
    check_sizes,
    coded_input,
    coded_row,
    free_size,
    tensor,
    tensor_row,
)
from models.artifacts.tables import ArtifactError, Table, table_text
from models.catalog import Accuracy, DataFile, Family, Slo, Variant
from surroundings.documents import toml_in

MANIFEST = "family.toml"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A family as written down; `labels_file`, if any, is the file beside that holds its labels, one a line."""

    family: Family
    labels_file: str = ""


def parse(text: str, where: str) -> Manifest:
    """The family that `text` describes; `where` names it in messages. Raises ArtifactError."""
    try:
        top = Table(where, toml_in(text))
    except ValueError as error:
        raise ArtifactError(
            f"{where} is no TOML: {error}; correct it or publish the family again"
        ) from error
    labels = top.take("labels", [])
    family = Family(
        name=top.name("name"),
        inputs=tuple(tensor(t, inputs=True) for t in top.tables("inputs")),
        outputs=tuple(tensor(t, inputs=False) for t in top.tables("outputs")),
        variants=tuple(_variant(t) for t in top.tables("variants")),
        slo=_slo(top.table("slo")),
        max_batch=top.whole("max_batch", 32, 1),
        labels=() if isinstance(labels, str) else _labels(top, labels),
        description=top.text("description", ""),
        sizes=tuple(free_size(t) for t in top.tables_if_any("sizes")),
        one_row=top.flag("one_row"),
        coded=tuple(coded_input(t) for t in top.tables_if_any("coded")),
    )
    top.done()
    if family.one_row and family.max_batch != 1:
        raise top.wrong("max_batch", "must be 1 where one_row is true")
    check_sizes(top, family)
    for key, names in _named(family).items():
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise top.wrong(key, f"names {twice} more than once")
    return Manifest(family, labels if isinstance(labels, str) else "")


def _named(family: Family) -> dict[str, list[str]]:
    return {
        "inputs": [t.name for t in (*family.inputs, *family.coded)],
        "outputs": [t.name for t in family.outputs],
        "variants": [v.name for v in family.variants],
        "sizes": [s.name for s in family.sizes],
    }


def _labels(top: Table, labels: object) -> tuple[str, ...]:
    rows = cast("list[object]", labels) if isinstance(labels, list) else [None]
    if not all(isinstance(row, str) for row in rows):
        raise top.wrong("labels", "must be a file name or an array of strings")
    return tuple(str(row) for row in rows)


def _variant(table: Table) -> Variant:
    variant = Variant(
        name=table.name("name"),
        precision=table.name("precision"),
        artifact=table.name("artifact"),
        sha256=table.digest("sha256"),
        accuracy=_accuracy(table.table("accuracy")),
        candidate=table.flag("candidate"),
        origin=table.text("origin", ""),
        data=tuple(_data(t) for t in table.tables_if_any("data")),
    )
    if variant.origin and not _is_object(variant.origin):
        raise table.wrong("origin", f"must be the text of a JSON object, not {variant.origin!r}")
    table.done()
    return variant


def _data(table: Table) -> DataFile:
    found = DataFile(table.text("file"), table.digest("sha256"))
    path = PurePosixPath(found.file)
    if path.is_absolute() or ".." in path.parts or str(path) != found.file or path.name == "":
        raise table.wrong("file", f"must be a plain path below the folder, not {found.file!r}")
    table.done()
    return found


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _accuracy(table: Table) -> Accuracy:
    accuracy = Accuracy(
        value=table.number("value", None, 0, 1),
        source=table.text("source"),
        n=table.whole("n", 0, 0),
        interval=table.number("interval", 0.0, 0, 1),
    )
    table.done()
    return accuracy


def _slo(table: Table) -> Slo:
    slo = Slo(
        latency_s=table.number("latency_ms", None, 1e-3, 1e9) / 1e3,
        min_accuracy=table.number("min_accuracy", 0.0, 0, 1),
        percentile=table.number("percentile", 0.99, 0.5, 1),
        name=table.name("class", "default"),
    )
    table.done()
    return slo


def render(family: Family, labels_file: str = "") -> str:
    """`family.toml` as text, labels in `labels_file` if named, else inline; `parse` gives the same family back."""
    labels = labels_file if labels_file or not family.labels else list(family.labels)
    top = {"name": family.name, "description": family.description, "max_batch": family.max_batch}
    top |= {"one_row": True} if family.one_row else {}
    parts = [table_text("", top | ({"labels": labels} if labels else {}))]
    slo = family.slo
    limits = {"latency_ms": slo.latency_s * 1e3, "min_accuracy": slo.min_accuracy}
    parts.append(table_text("[slo]", limits | {"percentile": slo.percentile, "class": slo.name}))
    for key, tensors in (("inputs", family.inputs), ("outputs", family.outputs)):
        parts += [table_text(f"[[{key}]]", tensor_row(t)) for t in tensors]
    parts += [
        table_text("[[sizes]]", {"name": s.name, "typical": s.typical, "most": s.most})
        for s in family.sizes
    ]
    parts += [table_text("[[coded]]", coded_row(c)) for c in family.coded]
    for v in family.variants:
        entry = {k: getattr(v, k) for k in ("name", "precision", "artifact", "sha256")}
        entry |= {k: getattr(v, k) for k in ("candidate", "origin") if getattr(v, k)}
        known = {k: getattr(v.accuracy, k) for k in ("value", "source", "n", "interval")}
        parts += [table_text("[[variants]]", entry), table_text("[variants.accuracy]", known)]
        parts += [
            table_text("[[variants.data]]", {"file": d.file, "sha256": d.sha256}) for d in v.data
        ]
    return "\n".join(parts)
