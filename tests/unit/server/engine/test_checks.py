"""Requests checked, as protobuf brings them: what one asks for, defaults where it is silent, no trust in its claims."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from models.catalog import Accuracy, Family, FreeSize, Slo, TensorSpec, Variant
from server.engine.checking.checks import Checks
from server.engine.checking.demands import Demand
from server.errors import BadInput, UnknownModel
from server.rpc import decode
from server.rpc.decode import parse
from wire import inference_pb2 as pb

SIZES = {
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
    "INT8": 1,
    "UINT16": 2,
    "INT64": 8,
    "UINT64": 8,
    "BOOL": 1,
}


def a_family(datatype: str = "FP32") -> Family:
    """x (rows of 3) -> y, with a small and a large variant."""
    variants = tuple(
        Variant(name, "fp32", "", "", Accuracy(value, "made up"))
        for name, value in (("small", 0.6), ("large", 0.8))
    )
    specs = (TensorSpec("x", datatype, (-1, 3)),)
    slo = Slo(0.05, min_accuracy=0.7, name="usual")
    return Family("m", specs, (TensorSpec("y", "FP32", (-1, 1)),), variants, slo, max_batch=4)


@dataclass
class Read:
    """What became of a message."""

    id: str
    inputs: dict[str, Any]
    rows: int
    demand: Demand
    outputs: tuple[str, ...]
    raw: bool


class Reader:
    """Decodes messages for one family and checks them."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks

    def read(self, message: Any) -> Read:
        """What a message asks for."""
        request = decode.request(message, 0.0, None, None)
        found = self._checks.check(request)
        raw = bool(message.raw_input_contents)
        return Read(request.id, found.inputs, found.rows, found.demand, found.outputs, raw)


def a_reader(family: Family, *, finite: bool = True) -> Reader:
    """The family's, with the extra class `bulk`."""
    return Reader(Checks(family, {"bulk": 0.5}, finite=finite))


def a_request(datatype: str = "FP32", rows: int = 2, **parameters: Any) -> Any:
    """A good request with raw zeros; parameters by (field, value)."""
    request: Any = pb.ModelInferRequest(model_name="m", id="7")
    request.inputs.add(name="x", datatype=datatype, shape=(rows, 3))
    request.raw_input_contents.append(bytes(3 * rows * SIZES[datatype]))
    for key, (field, value) in parameters.items():
        setattr(request.parameters[key], field, value)
    return request


def test_a_silent_request_gets_the_familys_defaults():
    request = a_reader(a_family()).read(a_request())

    assert (request.id, request.rows, request.outputs, request.raw) == ("7", 2, ("y",), True)
    assert request.demand.slo == a_family().slo
    assert (request.demand.variant, request.demand.timeout_s) == (None, None)


def test_parameters_change_the_demand():
    message = a_request(
        slo_ms=("int64_param", 20),
        min_accuracy=("double_param", 0.75),
        slo_class=("string_param", "bulk"),
        timeout=("int64_param", 5000),
        priority=("uint64_param", 1),
    )

    demand = a_reader(a_family()).read(message).demand

    assert demand.slo == Slo(0.02, 0.75, 0.99, "bulk")
    assert demand.timeout_s == 0.005


@pytest.mark.parametrize(
    ("priority", "name"), [(0, "usual"), (1, "usual"), (2, "bulk"), (9, "bulk")]
)
def test_a_priority_picks_a_class_by_weight(priority: int, name: str):
    message = a_request(priority=("uint64_param", priority))

    assert a_reader(a_family()).read(message).demand.slo.name == name


def test_a_class_given_by_name_outranks_the_priority():
    message = a_request(priority=("uint64_param", 1), slo_class=("string_param", "bulk"))

    assert a_reader(a_family()).read(message).demand.slo.name == "bulk"


@pytest.mark.parametrize("field", [("int64_param", -1), ("double_param", 1.5)])
def test_a_priority_that_is_none_is_bad_input(field: tuple[str, float]):
    with pytest.raises(BadInput, match="'priority' must be a whole number"):
        a_reader(a_family()).read(a_request(priority=field))


@pytest.mark.parametrize("version", ["small", "large"])
def test_a_version_pins_its_variant(version: str):
    message = a_request()
    message.model_version = version

    assert a_reader(a_family()).read(message).demand.variant == version


def test_a_pinned_variant_need_not_reach_the_familys_default_accuracy():
    reader = a_reader(a_family())

    demand = reader.read(a_request(variant=("string_param", "small"))).demand

    assert (demand.variant, demand.slo.min_accuracy) == ("small", 0.0)


def test_a_pinned_variant_must_reach_the_accuracy_that_the_request_states():
    message = a_request(variant=("string_param", "small"), min_accuracy=("double_param", 0.7))

    with pytest.raises(BadInput, match=r"between 0 and 0\.6, the best that small has"):
        a_reader(a_family()).read(message)


@pytest.mark.parametrize("variant", ["huge", "1"])
def test_an_unknown_variant_is_named_with_those_there(variant: str):
    with pytest.raises(UnknownModel, match=f"'m' has no variant '{variant}'; it has small, large"):
        a_reader(a_family()).read(a_request(variant=("string_param", variant)))


@pytest.mark.parametrize("datatype", sorted(SIZES))
def test_raw_bytes_are_read_in_place(datatype: str):
    message = a_request(datatype)
    expected = np.frombuffer(message.raw_input_contents[0], np.uint8)

    (array,) = a_reader(a_family(datatype)).read(message).inputs.values()

    assert array.shape == (2, 3)
    assert array.nbytes == len(expected)
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False, True]),
        ("UINT16", "uint_contents", [0, 1, 2**16 - 1]),
        ("INT8", "int_contents", [-128, 0, 127]),
        ("INT64", "int64_contents", [-(2**63), 0, 2**63 - 1]),
        ("UINT64", "uint64_contents", [0, 1, 2**64 - 1]),
        ("FP32", "fp32_contents", [-1.5, 0.0, 2.5]),
        ("FP64", "fp64_contents", [1e300, 0.0, -1e-300]),
    ],
)
def test_typed_contents_keep_their_values(datatype: str, field: str, values: list[Any]):
    message = a_request(datatype, rows=1)
    del message.raw_input_contents[:]
    getattr(message.inputs[0].contents, field).extend(values)

    request = a_reader(a_family(datatype)).read(message)

    assert request.inputs["x"].tolist() == [values]
    assert not request.raw


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        ("UINT16", "uint_contents", 2**16),
        ("INT8", "int_contents", 128),
        ("INT8", "int_contents", -129),
    ],
)
def test_typed_values_that_do_not_fit_are_refused(datatype: str, field: str, value: int):
    message = a_request(datatype, rows=1)
    del message.raw_input_contents[:]
    getattr(message.inputs[0].contents, field).extend([0, value, 0])

    with pytest.raises(BadInput, match=f"the range of {datatype}"):
        a_reader(a_family(datatype)).read(message)


def test_half_precision_has_no_typed_field():
    message = a_request("FP16", rows=1)
    del message.raw_input_contents[:]

    with pytest.raises(BadInput, match="FP16 must be sent in raw_input_contents"):
        a_reader(a_family("FP16")).read(message)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_pass_only_where_the_operator_allows_them(datatype: str, value: float):
    message = a_request(datatype)
    array = np.zeros((2, 3), {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}[datatype])
    array[1, 2] = value
    message.raw_input_contents[0] = array.tobytes()

    with pytest.raises(BadInput, match="NaN or infinite"):
        a_reader(a_family(datatype)).read(message)
    kept = a_reader(a_family(datatype), finite=False).read(message).inputs["x"]
    np.testing.assert_array_equal(kept, array)


@pytest.mark.parametrize("data", [b"\xff" * 5, b"\x0a\x02\xff\xfe", b"\x0f"])
def test_bytes_that_are_no_message_are_bad_input(data: bytes):
    with pytest.raises(BadInput, match="cannot parse ModelInferRequest"):
        parse(pb.ModelInferRequest, data)


def test_a_truth_value_that_is_neither_is_refused():
    message = a_request("BOOL", rows=1)
    message.raw_input_contents[0] = bytes([0, 1, 2])

    with pytest.raises(BadInput, match="a BOOL is a byte 0 or 1"):
        a_reader(a_family("BOOL")).read(message)


TOKENS = tuple(TensorSpec(name, "INT64", (-1, -1), ("tokens",)) for name in ("ids", "mask"))


def sized(ids: int, mask: int, rows: int = 1) -> Any:
    """A request for the family of `checked_sizes`."""
    message = pb.ModelInferRequest(model_name="m")
    for name, size in (("ids", ids), ("mask", mask)):
        message.inputs.add(name=name, datatype="INT64", shape=(rows, size))
        message.raw_input_contents.append(bytes(8 * rows * size))
    return message


def checked_sizes(message: Any) -> Any:
    """The message checked for a family whose inputs share a free size, usually 8, 32 at most."""
    family = replace(a_family(), inputs=TOKENS, sizes=(FreeSize("tokens", 8, 32),))
    return Checks(family, {}, finite=False).check(decode.request(message, 0.0, None, None))


@pytest.mark.parametrize(("size", "units"), [(1, 1), (8, 4), (32, 16)])
def test_of_free_sizes_any_is_taken_and_the_work_known(size: int, units: int):
    found = checked_sizes(sized(size, size, rows=2))

    assert (found.rows, found.row_units) == (2, units)
    assert found.inputs["mask"].shape == (2, size)


@pytest.mark.parametrize(
    ("ids", "mask", "why"),
    [
        (8, 9, "'ids' and 'mask' of model 'm' differ in size 'tokens': 8 and 9"),
        (33, 33, "size 'tokens' is 33; it must be from 1 to 32"),
        (0, 0, "size 'tokens' is 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(ids: int, mask: int, why: str):
    with pytest.raises(BadInput, match=why):
        checked_sizes(sized(ids, mask))
