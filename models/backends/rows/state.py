"""Where the rows of a batch are in the values of an ONNX graph, and what is known of values that hold no rows. Pure."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper

from models.backends.graph_nodes import bodies_of
from models.backends.rows.counts import Count
from models.backends.rows.shapes import ROWS, Dims


class Unproven(Exception):
    """An operator of which it is not known that it keeps rows apart. `mixes`: it is known that it does not."""

    def __init__(self, *, mixes: bool = False) -> None:
        super().__init__()
        self.mixes = mixes


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows lie along `axis` of a value with `rank` axes: `outer` times all of them, each `fold` entries long."""

    axis: int
    rank: int
    fold: int = 1
    outer: int = 1

    @property
    def length(self) -> int:
        """Of the axis."""
        return self.outer * ROWS * self.fold

    @property
    def are_bare(self) -> bool:
        """Whether the axis is theirs alone."""
        return self.fold == self.outer == 1

    def moved(self, axis: int, rank: int) -> "Rows":
        """The same rows elsewhere."""
        return Rows(axis, rank, self.fold, self.outer)


@dataclass(slots=True)
class State:
    """What is known before an operator. Names without an entry in `rows` follow from no row's content.

    `counted`: their values follow from how many rows there are; `uniform`: they are as long as the rows are, at the
    place that is told, and alike for each. `dims`: shapes, as far as they are known; `constants`: small constants.
    """

    rows: dict[str, Rows]
    dims: Mapping[str, Dims]
    constants: Mapping[str, NDArray[Any]]
    opset: int
    uniform: dict[str, Rows] = field(default_factory=dict[str, Rows])
    counted: set[str] = field(default_factory=set[str])
    exact: set[str] = field(default_factory=set[str])
    """Of `counted`: those known for any number of rows, by what they are among `constants` (`counts.Count`)."""
    shape_of: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Name of a shape -> the place in it that says how many rows there are, and how many places it has."""

    def copy(self) -> "State":
        """What a body begins with; what is found in it is not known outside."""
        return replace(
            self,
            rows=dict(self.rows),
            uniform=dict(self.uniform),
            counted=set(self.counted),
            exact=set(self.exact),
            shape_of=dict(self.shape_of),
        )

    def is_plain(self, name: str) -> bool:
        """Whether it has nothing to do with rows: neither what they hold nor how many there are."""
        return not (name in self.rows or name in self.counted or name in self.uniform)

    def is_shape(self, name: str) -> bool:
        """Whether a shape can be given by it, and is known then for any number of rows."""
        if name not in self.counted:
            return self.is_plain(name)
        count = Count.read(self.constants[name]) if name in self.exact else None
        return count is not None and count.is_shape

    def check_place(self, name: str, rows: Rows) -> None:
        """Raises Unproven where the shape of this value is not that of such rows: lengths of all others are plain."""
        dims = self.dims.get(name)
        if dims is None:
            return
        long = [axis for axis, n in enumerate(dims) if n and n % ROWS == 0]
        if len(dims) != rows.rank or (long and long != [rows.axis]):
            raise Unproven
        if dims[rows.axis] not in (None, rows.length):
            raise Unproven


@dataclass(frozen=True, slots=True)
class Step:
    """One operator and what is known before it."""

    node: onnx.NodeProto
    state: State
    given: dict[str, Any]

    @staticmethod
    def of(node: onnx.NodeProto, state: State) -> "Step":
        """Its attributes are read."""
        return Step(node, state, {a.name: helper.get_attribute_value(a) for a in node.attribute})

    @property
    def bodies(self) -> list[onnx.GraphProto]:
        """The graphs that it runs."""
        return bodies_of(self.node)

    @property
    def content(self) -> dict[int, Rows]:
        """Its inputs that hold rows, by their number."""
        return {
            i: found
            for i, name in enumerate(self.node.input)
            if (found := self.state.rows.get(name))
        }

    @property
    def first(self) -> Rows:
        """The first input's. Raises Unproven where it holds none, or where another does as well."""
        found = self.content
        if list(found) != [0]:
            raise Unproven
        return found[0]

    def together(self) -> Rows:
        """Of inputs that hold rows at the same place. Raises Unproven."""
        found = set(self.content.values())
        if len(found) != 1:
            raise Unproven
        return found.pop()

    def input(self, index: int) -> str:
        """Its name; empty where it is left out."""
        return self.node.input[index] if index < len(self.node.input) else ""

    def numbers(self, index: int, attribute: str = "") -> list[int] | None:
        """A constant input's values, or an attribute's; None where there is none. Raises Unproven if not constant."""
        if attribute and attribute in self.given:
            value = self.given[attribute]
            return list(value) if isinstance(value, Iterable) else [value]
        value = self.constant(index)
        return None if value is None else [int(n) for n in value.ravel()]

    def axis(self, default: int, rank: int) -> int:
        """The attribute `axis`, counted from the front."""
        return int(self.given.get("axis", default)) % max(1, rank)

    def constant(self, index: int) -> NDArray[Any] | None:
        """An input's values; None where it is left out. Raises Unproven if they are not constant."""
        name = self.input(index)
        if not name:
            return None
        if name not in self.state.constants or name in self.state.counted:
            raise Unproven
        return self.state.constants[name]

    def check_plain(self, names: Iterable[str], rows: Rows) -> None:
        """Raises Unproven unless these, which hold no rows, are the same for each when aligned from the back."""
        for name in names:
            dims, alike = self.state.dims.get(name), self.state.uniform.get(name)
            if not name or name in self.state.rows:
                continue
            if alike and alike.moved(alike.axis + rows.rank - alike.rank, rows.rank) == rows:
                continue
            if name in self.state.counted or alike is not None or dims is None:
                raise Unproven
            if len(dims) >= rows.rank - rows.axis and dims[rows.axis - rows.rank] != 1:
                raise Unproven

    def check_single(self, *indices: int) -> None:
        """Raises Unproven unless each of these inputs is one number that has nothing to do with rows, or left out."""
        for name in filter(None, map(self.input, indices)):
            dims = self.state.dims.get(name)
            if not self.state.is_plain(name) or dims is None or any(n != 1 for n in dims):
                raise Unproven

    def check_absent(self, *indices: int) -> None:
        """Raises Unproven where any of these inputs is given."""
        if any(map(self.input, indices)):
            raise Unproven

    def check_few(self, index: int) -> None:
        """Raises Unproven unless this input is a list at most, which has nothing to do with rows."""
        if self.input(index) and len(self.plain_dims(index)) > 1:
            raise Unproven

    def check_learnt(self, *indices: int) -> None:
        """Raises Unproven where any of these inputs has to do with rows."""
        if not all(self.state.is_plain(self.input(i)) for i in indices):
            raise Unproven

    def by_rows(
        self, needed: Sequence[int], ranks: Collection[int], optional: Collection[int] = ()
    ) -> Rows:
        """Of `needed` inputs that all hold rows first, the first one's; others may be left out. Raises Unproven.

        `ranks` are those that the first may have.
        """
        content = self.content
        given = [*needed, *(i for i in optional if self.input(i))]
        if any(i not in content or content[i].axis or not content[i].are_bare for i in given):
            raise Unproven
        rows = content[needed[0]]
        if rows.rank not in ranks:
            raise Unproven
        return rows

    def check_alike(self, rows: Rows) -> None:
        """Raises Unproven unless all inputs that hold no rows are as long as they are, and alike for each."""
        plain = [name for i, name in enumerate(self.node.input) if name and i not in self.content]
        if any(self.state.uniform.get(name) != rows for name in plain):
            raise Unproven

    def plain_dims(self, index: int) -> Dims:
        """The shape of an input that has nothing to do with rows. Raises Unproven."""
        name = self.input(index)
        dims = self.state.dims.get(name)
        if dims is None or name in self.state.counted or name in self.state.uniform:
            raise Unproven
        return dims

    def broadcast(self, among: Collection[int] | None = None) -> Rows:
        """Of inputs that are aligned from the back, entry by entry: all of them, or these. Raises Unproven."""
        which = range(len(self.node.input)) if among is None else among
        found = {i: rows for i, rows in self.content.items() if i in which}
        ranks = [one.rank for one in found.values()]
        plain = [name for i in which if i not in found and (name := self.input(i))]
        rank = max(ranks + [len(self.state.dims.get(name) or ()) for name in plain])
        places = {one.moved(one.axis + rank - one.rank, rank) for one in found.values()}
        if len(places) != 1:
            raise Unproven(mixes=True)
        rows = places.pop()
        self.check_plain(plain, rows)
        return rows

    def reshaped(self, rows: Rows) -> Rows:
        """Rows in an output of the same entries in the same order. Raises Unproven."""
        before = self.state.dims.get(self.node.input[0])
        after = self.state.dims.get(self.node.output[0])
        if before is None or after is None:
            raise Unproven
        size = product(before)
        if any(sum(bool(n) and n % ROWS == 0 for n in dims) != 1 for dims in (before, after)):
            raise Unproven
        lead = product(before[: rows.axis]) * rows.outer
        for axis, length in enumerate(after):
            if length is not None and length and length % ROWS == 0:
                outer, odd = divmod(lead, product(after[:axis]) or lead + 1)
                if product(after) != size or odd or not outer or length % (outer * ROWS):
                    raise Unproven(mixes=True)
                return Rows(axis, len(after), length // (outer * ROWS), outer)
        raise Unproven


Rule = Callable[[Step], Sequence[Rows | None] | Rows]
"""Where rows are in its outputs: in each (nothing is known of None), or in all at the same place. Raises Unproven."""


def product(lengths: Iterable[Any]) -> int:
    """Of lengths; 0 where one is not known."""
    found = list(lengths)
    return math.prod(found) if all(isinstance(n, int) and n > 0 for n in found) else 0
