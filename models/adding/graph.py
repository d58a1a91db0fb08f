"""An ONNX graph as a family needs it: rows of any number, tensors only. What is changed for that is said."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from models.adding.found import plain_name
from models.adding.leaving_out import ROWS, pruned, without_maps
from models.adding.reading import MOST_BATCH, Input, Shapes
from models.build.errors import BuildError
from models.datatypes import DATATYPES

_DATATYPES = {row.onnx: row.name for row in DATATYPES.values()}
_NARROW = {
    int(onnx.TensorProto.FLOAT16): "fp16",
    int(onnx.TensorProto.BFLOAT16): "bf16",
}
_QUANTISED = ("QLinear", "QuantizeLinear", "DequantizeLinear", "MatMulInteger", "ConvInteger")


@dataclass(slots=True)
class ReadGraph:
    """A graph that was read, and perhaps changed: a `Signature`. Its weights stay where they are."""

    path: Path
    model: onnx.ModelProto
    inputs: Sequence[Input]
    outputs: Sequence[str]
    freed: bool = False
    changed: bool = False
    one_row: bool = False
    most_rows: int = MOST_BATCH
    labels: tuple[str, ...] = ()
    remarks: list[str] = field(default_factory=list[str])

    @property
    def precision(self) -> str:
        """What it computes in, told by its operators and most of its weights."""
        graph = self.model.graph
        if any(node.op_type.startswith(_QUANTISED) for node in graph.node):
            return "int8"
        sizes: dict[str, int] = {}
        for weights in graph.initializer:
            name = _NARROW.get(weights.data_type, "fp32")
            count = 1
            for dim in weights.dims:
                count *= dim
            sizes[name] = sizes.get(name, 0) + count
        return max(sizes, key=lambda name: sizes[name], default="fp32")


def read_graph(path: Path, shapes: Shapes, *, one_row: bool = False) -> ReadGraph:
    """The graph at `path`, its free dimensions fixed where `shapes` says so; as it is where it is to be given `one_row`
    a run. Raises BuildError."""
    model = _loaded(path)
    graph = ReadGraph(path, model, (), (), one_row=one_row)
    labels, remarks = without_maps(model)
    graph.labels, graph.changed = labels, bool(remarks)
    graph.remarks += remarks
    graph.outputs = _servable(graph)
    if graph.changed:
        pruned(model.graph)
    weights = {w.name for w in model.graph.initializer}
    taken = [value for value in model.graph.input if value.name not in weights]
    if unknown := sorted(shapes.keys() - {value.name for value in taken}):
        raise BuildError(
            f"{path} has no input {unknown[0]!r}; it has {', '.join(v.name for v in taken)}"
        )
    graph.inputs = [_input(graph, value, shapes) for value in taken]
    if not graph.inputs:
        raise BuildError(f"{path} takes no input; there is nothing to serve")
    fixed = [v for v in model.graph.output if not one_row and _first_size(v) is not None]
    if graph.freed or fixed:
        graph.changed = True
        for value in fixed:
            _free_rows(value)
        del model.graph.value_info[:]
    if graph.freed:
        graph.remarks.append("it was exported for one row at a time; tried with several")
    return graph


def _loaded(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise BuildError(
            f"{path} cannot be read as an ONNX graph: {error}; export it again"
        ) from error
    if not model.graph.node or not model.graph.output:
        raise BuildError(f"{path} is no ONNX graph: it has no operators or outputs")
    return model


def _servable(graph: ReadGraph) -> list[str]:
    """The outputs that are tensors of a datatype that is served; the others go. Raises BuildError where none is."""
    outputs, kept = graph.model.graph.output, []
    for value in list(outputs):
        kind = value.type.tensor_type.elem_type if value.type.HasField("tensor_type") else 0
        if kind in _DATATYPES:
            kept.append(value.name)
            continue
        what = onnx.TensorProto.DataType.Name(kind) if kind else "no tensor"
        outputs.remove(value)
        graph.changed = True
        graph.remarks.append(f"output {value.name!r} is left out: it is {what.lower()}")
    if not kept:
        raise BuildError(
            f"{graph.path}: none of its outputs is a tensor of numbers; export it with such a one"
        )
    return kept


def _input(graph: ReadGraph, value: onnx.ValueInfoProto, shapes: Shapes) -> Input:
    path, tensor = graph.path, value.type.tensor_type
    if not value.type.HasField("tensor_type") or tensor.elem_type not in _DATATYPES:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise BuildError(
            f"{path}: input {value.name!r} is {kind}, which is not served; export the graph with numbers as inputs"
        )
    dims = tensor.shape.dim
    if not dims:
        raise BuildError(
            f"{path}: input {value.name!r} has no axis of rows; export the graph with one in front"
        )
    if _size(dims[0]) == 1 and not graph.one_row:
        graph.freed = True
        _free_rows(value)
    elif _size(dims[0]) not in (None, 1):
        raise BuildError(
            f"{path}: input {value.name!r} takes {dims[0].dim_value} rows at a time and no other number; export it "
            "with a dynamic first axis (torch.onnx.export: dynamic_axes={'"
            + value.name
            + "': {0: 'batch'}})"
        )
    datatype, found = _DATATYPES[tensor.elem_type], tuple(_size(dim) for dim in dims[1:])
    if (wanted := shapes.get(value.name)) is not None:
        return Input(value.name, datatype, fitting(path, value.name, wanted, found))
    names = tuple(
        plain_name(dim.dim_param) if dim.dim_param else f"{plain_name(value.name)}_{axis}"
        for axis, dim in enumerate(dims[1:], start=1)
        if _size(dim) is None
    )
    return Input(value.name, datatype, tuple(-1 if d is None else d for d in found), names)


def fitting(
    path: Path, name: str, wanted: Sequence[int | str], found: Sequence[int | None]
) -> tuple[int, ...]:
    """What is `wanted`, where the model takes it. Raises BuildError."""
    sizes = tuple(w for w in wanted if isinstance(w, int))
    fits = len(sizes) == len(wanted) == len(found) and all(
        f in (None, w) for w, f in zip(sizes, found, strict=True)
    )
    if not fits:
        raise BuildError(
            f"--shape {name}={','.join(map(str, wanted))} does not fit {path}, whose input has "
            f"{['any' if s is None else s for s in found]} behind the rows"
        )
    return sizes


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    return dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None


def _first_size(value: onnx.ValueInfoProto) -> int | None:
    """How many rows a graph says an output has, where it does: what is put in decides."""
    dims = value.type.tensor_type.shape.dim
    return _size(dims[0]) if dims else None


def _free_rows(value: onnx.ValueInfoProto) -> None:
    dims = value.type.tensor_type.shape.dim
    if dims:
        dims[0].dim_param = ROWS
