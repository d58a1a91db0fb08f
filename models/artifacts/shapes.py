"""The signature's part of `family.toml`: tensors, their shapes, and the sizes in them that are free."""

from typing import cast

from models.artifacts.tables import Table
from models.catalog import Family, FreeSize, TensorSpec
from models.datatypes import DATATYPES


def tensor(table: Table, *, inputs: bool) -> TensorSpec:
    """One input or output. Raises ArtifactError."""
    name, datatype, shape = table.text("name"), table.text("datatype"), table.take("shape")
    if datatype not in DATATYPES:
        known = f"{', '.join(DATATYPES)} (BYTES, which is text, and BF16 are not served)"
        raise table.wrong("datatype", f"must be one of {known}, not {datatype!r}")
    dims = cast("list[object]", shape) if isinstance(shape, list) else []
    if not dims or dims[0] != -1 or not all(map(_is_dim, dims[1:])):
        raise table.wrong(
            "shape",
            f'must be [-1, then sizes >= 1, or "name" where a size is free], not {shape!r}',
        )
    sizes = tuple(d for d in dims if isinstance(d, str))
    padded = inputs and sizes and table.has("pad")
    pad = table.number("pad", None, -1e300, 1e300) if padded else None
    table.done()
    whole = tuple(d if isinstance(d, int) else -1 for d in dims)
    return TensorSpec(name, datatype, whole, sizes, pad)


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
    return row if spec.pad is None else row | {"pad": spec.pad}


def _is_dim(dim: object) -> bool:
    """A fixed size, or the name of a free one; "" where it follows from what is in a row."""
    return isinstance(dim, str) or (isinstance(dim, int) and not isinstance(dim, bool) and dim >= 1)
