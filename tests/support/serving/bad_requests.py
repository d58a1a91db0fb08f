"""Good requests for `echo`, each spoilt in one way, with the code and the words that must come back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from tests.support.serving.families import WIDTH

BAD, GONE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
NOT_SERVED = grpc.StatusCode.UNIMPLEMENTED
TOO_MUCH = grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True)
class Case:
    """A good request for `echo`, spoilt; the code and the words that must come back."""

    name: str
    spoil: Callable[[Any], object]
    words: str
    code: grpc.StatusCode = BAD


def tensor(**changes: Any) -> Callable[[Any], None]:
    """Change fields of the request's input."""

    def spoil(request: Any) -> None:
        for key, value in changes.items():
            if key == "shape":
                request.inputs[0].shape[:] = value
            else:
                setattr(request.inputs[0], key, value)

    return spoil


def raw(*buffers: bytes) -> Callable[[Any], None]:
    """Send these raw buffers."""

    def spoil(request: Any) -> None:
        request.raw_input_contents[:] = buffers

    return spoil


def add(name: str, count: int = 1) -> Callable[[Any], None]:
    """Send `count` more inputs of this name, with their bytes."""

    def spoil(request: Any) -> None:
        for _ in range(count):
            request.inputs.add(name=name, datatype="FP32", shape=(1, WIDTH))
            request.raw_input_contents.append(bytes(4 * WIDTH))

    return spoil


def wants(*names: str) -> Callable[[Any], None]:
    """Ask for these outputs."""

    def spoil(request: Any) -> None:
        for name in names:
            request.outputs.add(name=name)

    return spoil


def asks(key: str, **choice: Any) -> Callable[[Any], None]:
    """Set a request parameter."""

    def spoil(request: Any) -> None:
        for field, value in choice.items():
            setattr(request.parameters[key], field, value)
        request.parameters[key].SetInParent()

    return spoil


def typed(**contents: Any) -> Callable[[Any], None]:
    """Typed contents in place of raw ones."""

    def spoil(request: Any) -> None:
        del request.raw_input_contents[:]
        request.inputs[0].contents.SetInParent()
        for field, values in contents.items():
            getattr(request.inputs[0].contents, field).extend(values)

    return spoil


def no_inputs(request: Any) -> None:
    """Drop all of them."""
    del request.inputs[:]
    del request.raw_input_contents[:]


def both(request: Any) -> None:
    """Raw and typed contents together."""
    request.inputs[0].contents.fp32_contents.extend([0.0] * WIDTH)


def shared_memory(request: Any) -> None:
    """The input is said to lie in shared memory."""
    request.inputs[0].parameters["shared_memory_region"].string_param = "r"
    request.inputs[0].parameters["shared_memory_byte_size"].int64_param = 4 * WIDTH


def shared_memory_output(request: Any) -> None:
    """The output is wanted in shared memory."""
    output = request.outputs.add(name="y")
    output.parameters["shared_memory_region"].string_param = "r"
    output.parameters["shared_memory_byte_size"].int64_param = 16


def shared_memory_alone(request: Any) -> None:
    """The input is said to lie in shared memory only."""
    shared_memory(request)
    del request.raw_input_contents[:]


def classification(request: Any) -> None:
    """The output is wanted as classes."""
    request.outputs.add(name="y").parameters["classification"].int64_param = 3


def shape_case(name: str, *shape: int) -> Case:
    """A shape that lies or does not fit."""
    text = ",".join(str(n) for n in shape)
    words = f"unexpected shape for input 'x' for model 'echo'. Expected [-1,16], got [{text}]"
    return Case(name, tensor(shape=shape), words)


NAN = np.full((1, WIDTH), np.nan, np.float32).tobytes()
INF = np.full((1, WIDTH), -np.inf, np.float32).tobytes()
ROW = bytes(4 * WIDTH)

CASES = [
    Case(
        "unknown model",
        lambda r: setattr(r, "model_name", "nobody"),
        "Request for unknown model: 'nobody' is not found",
        GONE,
    ),
    Case(
        "no model name",
        lambda r: setattr(r, "model_name", ""),
        "Request for unknown model: '' is not found",
        GONE,
    ),
    Case(
        "unknown version",
        lambda r: setattr(r, "model_version", "99"),
        "Request for unknown model: 'echo' version 99 is not found",
        GONE,
    ),
    Case(
        "a version is a number or a variant",
        lambda r: setattr(r, "model_version", "newest"),
        "Request for unknown model: 'echo' version newest is not found; versions are 1 and quick, sharp",
        GONE,
    ),
    Case(
        "wrong dtype",
        tensor(datatype="FP64"),
        "inference input 'x' data-type is 'FP64', but model 'echo' expects 'FP32'",
    ),
    Case(
        "unknown dtype",
        tensor(datatype="FP31"),
        "inference input 'x' data-type is 'FP31', but model 'echo' expects 'FP32'",
    ),
    Case("no dtype", tensor(datatype=""), "inference input 'x' data-type is ''"),
    shape_case("no shape"),
    shape_case("rank too low", 16),
    shape_case("rank too high", 1, 16, 1),
    shape_case("wrong width", 1, 15),
    shape_case("zero width", 1, 0),
    shape_case("zero rows", 0, 16),
    shape_case("negative rows", -1, 16),
    shape_case("negative width", 1, -16),
    shape_case("most negative rows", -(2**63), 16),
    shape_case("a product that wraps to the right size", 2**62 + 1, 4),
    Case("2^40 rows", tensor(shape=(2**40, 16)), "batch-size must be <= 8 for 'echo'"),
    Case("2^62 rows", tensor(shape=(2**62, 16)), "batch-size must be <= 8 for 'echo'"),
    Case(
        "2^60+1 rows wrap to one row",
        tensor(shape=(2**60 + 1, 16)),
        "batch-size must be <= 8 for 'echo'",
    ),
    Case(
        "one row too many",
        lambda r: (tensor(shape=(9, 16))(r), raw(9 * ROW)(r)),
        "inference request batch-size must be <= 8 for 'echo'",
    ),
    Case(
        "wrong name",
        tensor(name="zz"),
        "unexpected inference input 'zz' for model 'echo'",
    ),
    Case("no name", tensor(name=""), "unexpected inference input '' for model 'echo'"),
    Case("missing input", no_inputs, "expected 1 inputs but got 0 inputs for model 'echo'"),
    Case("duplicate input", add("x"), "expected 1 inputs but got 2 inputs for model 'echo'"),
    Case("extra input", add("zz"), "unexpected inference input 'zz' for model 'echo'"),
    Case("thousands of inputs", add("x", 5000), "expected 1 inputs but got 5001 inputs"),
    Case(
        "raw too short",
        raw(ROW[:-1]),
        "input byte size mismatch for input 'x' for model 'echo'. Expected 64, got 63",
    ),
    Case(
        "raw too long",
        raw(ROW + b"\0"),
        "input byte size mismatch for input 'x' for model 'echo'. Expected 64, got 65",
    ),
    Case(
        "raw empty",
        raw(b""),
        "input byte size mismatch for input 'x' for model 'echo'. Expected 64, got 0",
    ),
    Case("more raw buffers than inputs", raw(ROW, ROW), "expected 1 raw input buffers but got 2"),
    Case(
        "fewer raw buffers and no contents", raw(), "expected 16 elements in fp32_contents, got 0"
    ),
    Case("both raw and contents", both, "contents field must not be set for input 'x'"),
    Case("NaN", raw(NAN), "input 'x' for model 'echo' has NaN or infinite values"),
    Case("Inf", raw(INF), "input 'x' for model 'echo' has NaN or infinite values"),
    Case(
        "typed Inf",
        typed(fp32_contents=[float("inf")] * WIDTH),
        "input 'x' for model 'echo' has NaN or infinite values",
    ),
    Case(
        "typed in the wrong field",
        typed(fp64_contents=[0.0] * WIDTH),
        "FP32 belongs in fp32_contents, not in fp64_contents",
    ),
    Case(
        "typed in two fields",
        typed(fp32_contents=[0.0] * WIDTH, bytes_contents=[b"x"]),
        "FP32 belongs in fp32_contents, not in bytes_contents",
    ),
    Case(
        "typed with too few",
        typed(fp32_contents=[0.0] * 15),
        "input 'x' for model 'echo': expected 16 elements in fp32_contents, got 15",
    ),
    Case(
        "typed with too many",
        typed(fp32_contents=[0.0] * 17),
        "input 'x' for model 'echo': expected 16 elements in fp32_contents, got 17",
    ),
    Case("unknown output", wants("zz"), "unexpected inference output 'zz' for model 'echo'"),
    Case("output twice", wants("y", "y"), "inference output requested twice for model 'echo'"),
    Case(
        "shared memory and raw",
        shared_memory,
        "'x' lies in shared memory and must have no contents",
    ),
    Case(
        "unknown shared memory",
        shared_memory_alone,
        "Unable to find shared memory region: 'r'",
        GONE,
    ),
    Case(
        "shared memory for the output",
        shared_memory_output,
        "Unable to find shared memory region: 'r'",
        GONE,
    ),
    Case("classification", classification, "'classification' is not served", NOT_SERVED),
    Case("negative SLO", asks("slo_ms", double_param=-5.0), "'slo_ms' must be above 0"),
    Case("zero SLO", asks("slo_ms", int64_param=0), "'slo_ms' must be above 0"),
    Case("NaN SLO", asks("slo_ms", double_param=float("nan")), "'slo_ms' must be finite"),
    Case("infinite SLO", asks("slo_ms", double_param=float("inf")), "'slo_ms' must be finite"),
    Case("endless SLO", asks("slo_ms", uint64_param=2**64 - 1), "at most 3,600,000"),
    Case("SLO as text", asks("slo_ms", string_param="5"), "'slo_ms' must be a number"),
    Case("SLO as truth", asks("slo_ms", bool_param=True), "'slo_ms' must be a number"),
    Case("SLO without a value", asks("slo_ms"), "'slo_ms' must be a number, got nothing"),
    Case(
        "accuracy above 1",
        asks("min_accuracy", double_param=2.0),
        "'min_accuracy' is 2.0; it must be between 0 and 0.8",
    ),
    Case("negative accuracy", asks("min_accuracy", double_param=-0.1), "between 0 and 0.8"),
    Case("accuracy as text", asks("min_accuracy", string_param="best"), "must be a number"),
    Case("unknown class", asks("slo_class", string_param="gold"), "unknown slo_class 'gold'"),
    Case("class as number", asks("slo_class", int64_param=1), "'slo_class' must be a string"),
    Case(
        "unknown variant",
        asks("variant", string_param="huge"),
        "model 'echo' has no variant 'huge'; it has quick, sharp",
        GONE,
    ),
    Case(
        "the variant called 1",
        asks("variant", string_param="1"),
        "'echo' has no variant '1'",
        GONE,
    ),
    Case("variant as number", asks("variant", int64_param=1), "'variant' must be a string"),
    Case("negative timeout", asks("timeout", int64_param=-1), "'timeout' (microseconds) must not"),
    Case("timeout as text", asks("timeout", string_param="1"), "'timeout' must be a number"),
]
