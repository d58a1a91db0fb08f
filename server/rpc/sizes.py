"""How large the messages of a family may be, as its signature says; of what is larger nothing could be served."""

import math

from models.catalog import Family, TensorSpec
from models.datatypes import DATATYPES
from server.engine.checking.coded import BYTES
from server.rpc.outline import SMALL_BYTES
from wire import inference_pb2 as pb

REGION, REGION_OFFSET, REGION_SIZE = (
    "shared_memory_region",
    "shared_memory_offset",
    "shared_memory_byte_size",
)
"""Parameters of a tensor that lies in shared memory."""
_LONGEST_VARINT = 10
"""Bytes of an element in typed contents where none of its type belong there: enough to be told so."""
_SLACK = 1.25
"""Beyond the largest legal batch: whoever sends a few rows too many is told so, in words."""
_LEAST_BYTES = 1 << 20
"""However small a family's rows are: a request has parameters, names and mistakes too."""
_COST = {"tokens": 4 << 10, "picture": 1 << 20}
"""Kind -> what a row counts for where decoding is waited for (bytes)."""


def request_bytes(family: Family, most_bytes: int) -> int:
    """The largest request that is read: the largest batch, however it is encoded, and a quarter more."""
    row = sum(_row_bytes(spec) for spec in family.largest.inputs)
    row = max(row, *(coded.most_bytes for coded in family.coded), 0)
    return min(most_bytes, math.ceil(row * family.max_batch * _SLACK) + _LEAST_BYTES)


def request_elements(family: Family) -> int:
    """The most elements that typed contents may have, all inputs together."""
    row = sum(spec.row_elements for spec in family.largest.inputs)
    return math.ceil(row * family.max_batch * _SLACK) + SMALL_BYTES


def answer_bytes(family: Family) -> int:
    """About the largest answer."""
    return family.max_batch * sum(_row_bytes(spec) for spec in family.largest.outputs)


def _row_bytes(spec: TensorSpec) -> int:
    typed = DATATYPES[spec.datatype].typed_bytes or _LONGEST_VARINT
    return spec.row_elements * max(typed, spec.dtype.itemsize)


def shared_bytes(message: pb.ModelInferRequest, inputs: int) -> int:
    """What the first `inputs` inputs say that they have in shared memory; whether they do, nobody has looked."""
    total = 0
    for tensor in message.inputs[:inputs]:
        if REGION in tensor.parameters and REGION_SIZE in tensor.parameters:
            total += max(0, tensor.parameters[REGION_SIZE].int64_param)
    return total


def is_coded(message: pb.ModelInferRequest) -> bool:
    """Whether its rows are to be decoded."""
    inputs = message.inputs
    return len(inputs) == 1 and inputs[0].datatype == BYTES


def decoding_cost(family: Family, given: pb.ModelInferRequest.InferInputTensor) -> int:
    """What the rows count for; no more rows than a batch may have."""
    each = max((_COST[c.kind] for c in family.coded if c.name == given.name), default=0)
    rows = given.shape[0] if given.shape else 1
    return each * max(1, min(rows, family.max_batch))
