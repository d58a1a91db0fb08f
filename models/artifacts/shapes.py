"""The signature's part of `family.toml`: tensors, their shapes, and the sizes in them that are free."""

from typing import cast

from models.artifacts.tables import Table
from models.catalog import CodedInput, Family, FreeSize, TensorSpec
from models.datatypes import DATATYPES

MOST_BYTES = {"tokens": 64 << 10, "picture": 8 << 20}
"""Kind of coded input -> the most bytes of a row, unless the manifest says another."""


def tensor(table: Table, *, inputs: bool) -> TensorSpec:
    """One input or output. Raises ArtifactError."""
    name, datatype, shape = table.text("name"), table.text("datatype"), table.take("shape")
    if datatype not in DATATYPES:
        known = f"{', '.join(DATATYPES)} (text and encoded pictures are given by [[coded]]; BF16 is not served)"
        raise table.wrong("datatype", f"must be one of {known}, not {datatype!r}")
    dims = cast("list[object]", shape) if isinstance(shape, list) else []
    if not dims or dims[0] != -1 or not all(map(_is_dim, dims[1:])):
        raise table.wrong(
            "shape",
            f'must be [-1, then sizes >= 1, or "name" where a size is free], not {shape!r}',
        )
    sizes = tuple(d for d in dims if isinstance(d, str))
    pad = _number_if_any(table, "pad") if inputs and sizes else None
    default = _number_if_any(table, "default") if inputs else None
    table.done()
    whole = tuple(d if isinstance(d, int) else -1 for d in dims)
    return TensorSpec(name, datatype, whole, sizes, pad, default)


def _number_if_any(table: Table, key: str) -> float | None:
    return table.number(key, None, -1e300, 1e300) if table.has(key) else None


def coded_input(table: Table) -> CodedInput:
    """A way to give rows as bytes. Raises ArtifactError."""
    name, kind = table.name("name"), table.text("kind")
    if kind not in MOST_BYTES:
        raise table.wrong("kind", f"must be one of {', '.join(MOST_BYTES)}, not {kind!r}")
    most_bytes = table.whole("most_bytes", MOST_BYTES[kind], 1)
    if kind == "tokens":
        file, sha256 = table.name("file"), table.digest("sha256")
        coded = CodedInput(name, kind, most_bytes, file=file, sha256=sha256)
    else:
        keep = table.number("keep", 1.0, 0.01, 1.0)
        coded = CodedInput(name, kind, most_bytes, input=table.text("input"), keep=keep)
    table.done()
    return coded


def coded_row(coded: CodedInput) -> dict[str, object]:
    """One as `coded_input` reads it."""
    row: dict[str, object] = {"name": coded.name, "kind": coded.kind}
    if coded.kind == "tokens":
        row |= {"file": coded.file, "sha256": coded.sha256}
    else:
        row |= {"input": coded.input, "keep": coded.keep}
    return row | {"most_bytes": coded.most_bytes}


def free_size(table: Table) -> FreeSize:
    """One of the sizes that requests choose. Raises ArtifactError."""
    typical = table.whole("typical", None, 1)
    size = FreeSize(table.name("name"), typical, table.whole("most", typical, 1))
    if size.most < typical:
        raise table.wrong("most", f"is {size.most}, below the typical size, {typical}")
    table.done()
    return size


def check_sizes(top: Table, family: Family) -> None:
    """Raises ArtifactError where a size that is named in a shape is none of `sizes`, or is in no input."""
    known = {size.name for size in family.sizes}
    inputs = {name for spec in family.inputs for name in spec.sizes}
    outputs = {name for spec in family.outputs for name in spec.sizes if name}
    if unknown := sorted((inputs | outputs) - known):
        shown = unknown[0] or '""'
        raise top.wrong(
            "sizes",
            f"lacks {shown}, which a shape names: add [[sizes]] with its name, typical and most",
        )
    if unused := sorted(known - inputs):
        raise top.wrong("sizes", f"names {unused[0]}, which is in no input's shape")


def tensor_row(spec: TensorSpec) -> dict[str, object]:
    """One input or output as `tensor` reads it."""
    names = iter(spec.sizes)
    shape = [spec.shape[0], *(d if d >= 0 else next(names) for d in spec.shape[1:])]
    row: dict[str, object] = {"name": spec.name, "datatype": spec.datatype, "shape": shape}
    row |= {} if spec.pad is None else {"pad": spec.pad}
    return row if spec.default is None else row | {"default": spec.default}


def _is_dim(dim: object) -> bool:
    """A fixed size, or the name of a free one; "" where it follows from what is in a row."""
    return isinstance(dim, str) or (isinstance(dim, int) and not isinstance(dim, bool) and dim >= 1)
