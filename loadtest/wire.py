"""The few Open Inference Protocol messages a load generator needs, in a descriptor pool of their
own.

Built by hand rather than generated, and private: a process may hold these, a server's stubs and
any other client's side by side, although all of them call the package `inference`.
"""

from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "/inference.GRPCInferenceService/"

_KINDS = {"bool": 8, "int64": 3, "uint64": 4, "double": 1, "string": 9, "bytes": 12}
_TENSOR = {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "int64*")}
_PARAMETERS = (4, "InferParameter{}")
# message -> field -> (number, kind or message); `*` repeated, `{}` a map from string.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "InferParameter": {
        "bool_param": (1, "bool"),
        "int64_param": (2, "int64"),
        "string_param": (3, "string"),
        "double_param": (4, "double"),
        "uint64_param": (5, "uint64"),
    },
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ModelMetadataRequest": {"name": (1, "string"), "version": (2, "string")},
    "TensorMetadata": _TENSOR,
    "ModelMetadataResponse": {
        "name": (1, "string"),
        "versions": (2, "string*"),
        "platform": (3, "string"),
        "inputs": (4, "TensorMetadata*"),
        "outputs": (5, "TensorMetadata*"),
    },
    "InferTensor": _TENSOR,
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": _PARAMETERS,
        "inputs": (5, "InferTensor*"),
        "raw_input_contents": (7, "bytes*"),
    },
    "ModelInferResponse": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": _PARAMETERS,
        "outputs": (5, "InferTensor*"),
        "raw_output_contents": (6, "bytes*"),
    },
}


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    base = kind.rstrip("*{}")
    row = message.field.add(name=name, number=number, label=1 if kind == base else 3)
    if kind.endswith("{}"):
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, base)
        row.type, row.type_name = 11, f".inference.{message.name}.{entry.name}"
    elif base in _KINDS:
        row.type = _KINDS[base]
    else:
        row.type, row.type_name = 11, f".inference.{base}"


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="loadtest.proto", package="inference", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    parameter = file.message_type[0]
    parameter.oneof_decl.add(name="parameter_choice")
    for field in parameter.field:
        field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _build()
ServerReadyRequest: Any = _CLASSES["ServerReadyRequest"]
ServerReadyResponse: Any = _CLASSES["ServerReadyResponse"]
ModelReadyRequest: Any = _CLASSES["ModelReadyRequest"]
ModelReadyResponse: Any = _CLASSES["ModelReadyResponse"]
ModelMetadataRequest: Any = _CLASSES["ModelMetadataRequest"]
ModelMetadataResponse: Any = _CLASSES["ModelMetadataResponse"]
ModelInferRequest: Any = _CLASSES["ModelInferRequest"]
ModelInferResponse: Any = _CLASSES["ModelInferResponse"]


class Facts(NamedTuple):
    """What an answer says about how it was made; NaN and "" where it says nothing."""

    variant: str
    precision: str
    backend: str
    accuracy: float
    batch_size: float
    queue_s: float
    compute_s: float


def _text(parameters: Any, name: str) -> str:
    value = parameters.get(name)
    return "" if value is None else value.string_param


def _number(parameters: Any, name: str) -> float:
    value = parameters.get(name)
    choice = None if value is None else value.WhichOneof("parameter_choice")
    return float("nan") if choice in (None, "string_param") else float(getattr(value, choice))


def facts(answer: bytes) -> Facts:
    """The response parameters of a serialised ModelInferResponse. Raises DecodeError on anything
    else."""
    parameters = ModelInferResponse.FromString(answer).parameters
    return Facts(
        _text(parameters, "variant"),
        _text(parameters, "precision"),
        _text(parameters, "backend"),
        _number(parameters, "accuracy"),
        _number(parameters, "batch_size"),
        _number(parameters, "queue_ms") / 1e3,
        _number(parameters, "compute_ms") / 1e3,
    )
