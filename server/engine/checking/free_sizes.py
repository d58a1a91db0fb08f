"""The sizes of a request that its family leaves free: alike where inputs share them, no larger than is served."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.catalog import Family
from server.errors import BadInput

Arrays = Mapping[str, NDArray[np.generic]]


class FreeSizes:
    """One family's."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._specs = {spec.name: spec for spec in family.inputs}
        self._most = {size.name: size.most for size in family.sizes}

    def work(self, inputs: Arrays) -> tuple[int, tuple[int, ...]]:
        """Units of work in a row, and its free sizes in the family's order. Raises BadInput."""
        sizes = self.of(inputs)
        return self._family.units(sizes), tuple([sizes[name] for name in self._most])

    def of(self, inputs: Arrays) -> dict[str, int]:
        """The free sizes. Raises BadInput where inputs differ in one that they share, or it is too large."""
        found: dict[str, tuple[int, str]] = {}
        for name, array in inputs.items():
            spec = self._specs[name]
            free = [d for d, w in zip(array.shape[1:], spec.shape[1:], strict=True) if w < 0]
            for size, dim in zip(spec.sizes, free, strict=True):
                other = found.setdefault(size, (dim, name))
                if dim != other[0]:
                    raise BadInput(
                        f"inputs '{other[1]}' and '{name}' of model '{self._family.name}' differ in size '{size}': "
                        f"{other[0]} and {dim}"
                    )
                if not 1 <= dim <= self._most[size]:
                    raise BadInput(
                        f"unexpected shape for input '{name}' for model '{self._family.name}': size '{size}' is {dim}; "
                        f"it must be from 1 to {self._most[size]}"
                    )
        return {size: dim for size, (dim, _) in found.items()}

    def fill(self, arrays: dict[str, NDArray[np.generic]], rows: int) -> None:
        """Add the inputs that were left out, full of their default, in the sizes that the others have.

        Raises BadInput where no other has them.
        """
        sizes = self.of(arrays)
        for name, spec in self._specs.items():
            if name not in arrays:
                dims = spec.at(sizes).shape[1:]
                if min(dims, default=1) < 1:
                    raise BadInput(
                        f"input '{name}' for model '{self._family.name}' cannot be left out: no other has its sizes"
                    )
                arrays[name] = np.full((rows, *dims), spec.default, spec.dtype)
