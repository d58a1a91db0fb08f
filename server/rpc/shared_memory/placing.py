"""What requests say of tensors that lie in shared memory: inputs are copied out once, outputs in once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.catalog import TensorSpec
from server.engine.contents import Buffer, check_bytes
from server.errors import BadInput, Unsupported
from server.rpc.decode import Elsewhere, Place
from server.rpc.shared_memory.files import SharedFile
from server.rpc.shared_memory.peers import is_local
from server.rpc.shared_memory.registry import Registry
from server.rpc.sizes import REGION, REGION_OFFSET, REGION_SIZE
from server.texts import shown
from wire import inference_pb2 as pb


@dataclass(slots=True, eq=False)
class RegionPart:
    """`size` bytes from `offset` on of the region `name`, which are one tensor's; `begin`: where in its file that is.

    The file is let go once it has been read or written: whoever holds the request may do so for long.
    """

    tensor: str
    name: str
    file: SharedFile | None
    offset: int
    size: int
    begin: int
    _copy: Buffer | None = None

    def array(self, spec: TensorSpec, elements: int, model: str) -> NDArray[np.generic]:
        """The tensor's elements, copied. Raises BadInput where they are not so many, or no such, or not there."""
        check_bytes(spec, elements, model, self.size)
        return self._elements().array(spec, elements, model)

    def strings(self, elements: int, where: str) -> Sequence[bytes]:
        """They as datatype BYTES has them. Raises BadInput likewise."""
        return self._elements().strings(elements, where)

    def check(self, size: int) -> None:
        """Raises BadInput where so many bytes do not fit."""
        if size > self.size:
            raise BadInput(
                f"shared memory size specified with the request for output '{shown(self.tensor)}' "
                f"({self.size} bytes) should be at least {size} bytes to hold the results"
            )

    def write(self, memory: memoryview) -> None:
        """The tensor's elements are these. Raises BadInput where they do not fit."""
        self.check(len(memory))
        assert self.file is not None  # an answer is given once
        self.file.write(self.begin, memory)
        self.file = None

    def note(self, output: pb.ModelInferResponse.InferOutputTensor, size: int) -> None:
        """Say in the answer where its `size` bytes are."""
        output.parameters[REGION].string_param = self.name
        output.parameters[REGION_SIZE].int64_param = size
        if self.offset:
            output.parameters[REGION_OFFSET].int64_param = self.offset

    def overlaps(self, other: "Place") -> bool:
        """Whether both have bytes of the same file in common."""
        if not isinstance(other, RegionPart) or self.file is None or other.file is None:
            return False
        return (
            other.file.identity == self.file.identity
            and self.begin < other.begin + other.size
            and other.begin < self.begin + self.size
        )

    def _elements(self) -> Buffer:
        """What was read when it was asked for first: it may have become something else."""
        if self._copy is None:
            assert self.file is not None
            self._copy, self.file = Buffer(self.file.read(self.begin, self.size)), None
        return self._copy


class Regions:
    """The registry as clients may use it: those on this machine, and where the operator allows it."""

    def __init__(self, *, allowed: bool = False) -> None:
        self.allowed = allowed
        self.registry = Registry()

    def check(self, peer: bytes) -> None:
        """Raises Unsupported for whom there is no shared memory here."""
        if not self.allowed:
            raise Unsupported(
                "shared memory is not served here; send raw contents, or have the operator set "
                "server.shared_memory = true"
            )
        if not is_local(peer):
            raise Unsupported(
                "shared memory is for clients on the server's own machine, connected by a loopback address or a "
                "Unix socket; send raw contents"
            )

    def part(self, tensor: Elsewhere, peer: bytes) -> RegionPart:
        """Where a tensor lies, or is to be put. Raises BadInput, UnknownRegion or Unsupported."""
        self.check(peer)
        name = tensor.parameters[REGION]
        if name.WhichOneof("parameter_choice") != "string_param":
            raise _odd(tensor, REGION, "string_param")
        if REGION_SIZE not in tensor.parameters:
            raise BadInput(
                f"'{REGION_SIZE}' parameter must be specified along with '{REGION}' for tensor '{shown(tensor.name)}'"
            )
        region = self.registry.region(name.string_param)
        offset, size = _number(tensor, REGION_OFFSET), _number(tensor, REGION_SIZE)
        return RegionPart(
            tensor.name, region.name, region.file, offset, size, region.begin(offset, size)
        )


def put(
    places: Mapping[str, Place], common: bytes, outputs: Mapping[str, NDArray[np.generic]]
) -> tuple[bytes, list[NDArray[np.generic]]]:
    """Write outputs where they are wanted: all, or none that is known not to fit.

    `common` is the answer without contents. Returns it with what it says of the places, and what it is to hold: empty
    arrays for outputs that are elsewhere. Raises BadInput.
    """
    for name, place in places.items():
        place.check(outputs[name].nbytes)
    response = pb.ModelInferResponse.FromString(common)
    arrays = list(outputs.values())
    for at, output in enumerate(response.outputs):
        place = places.get(output.name)
        if place is not None:
            array, arrays[at] = arrays[at], arrays[at][:0]
            dense = np.ascontiguousarray(array)
            place.write(dense.reshape(-1).view(np.uint8).data if dense.size else memoryview(b""))
            place.note(output, array.nbytes)
    return response.SerializeToString(), arrays


def check_room(places: Mapping[str, Place], outputs: Sequence[TensorSpec], rows: int) -> None:
    """Raises BadInput where outputs of `rows` rows will not fit; of those with free sizes that is not known yet."""
    for spec in outputs:
        place = places.get(spec.name)
        if place is not None and min(spec.shape[1:], default=0) >= 0:
            place.check(rows * spec.row_elements * spec.dtype.itemsize)


def _number(tensor: Elsewhere, key: str) -> int:
    if key not in tensor.parameters:
        return 0
    value = tensor.parameters[key]
    if value.WhichOneof("parameter_choice") != "int64_param":
        raise _odd(tensor, key, "int64_param")
    return value.int64_param


def _odd(tensor: Elsewhere, key: str, wanted: str) -> BadInput:
    return BadInput(
        f"invalid value type for '{key}' parameter for tensor '{shown(tensor.name)}', expected {wanted}."
    )
