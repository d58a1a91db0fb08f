"""The messages of gearshift.v1.Control that a sidecar needs, in a descriptor pool of their own.

Made by hand rather than generated: the trainer knows no server code, and a process may hold these and the server's side
by side. Field numbers are those of proto/control.proto.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "/gearshift.v1.Control/"

_PACKAGE = "gearshift.v1"
_KINDS: Any = {"double": 1, "uint64": 4, "int32": 5, "bool": 8, "string": 9}
# message -> field -> (number, kind or message); `*` repeated.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "BatchLatency": {"rows": (1, "int32"), "mean_ms": (2, "double"), "upper_ms": (3, "double")},
    "GetFrontierRequest": {"family": (1, "string")},
    "VariantStanding": {
        "name": (1, "string"),
        "precision": (2, "string"),
        "sha256": (3, "string"),
        "accuracy": (4, "double"),
        "interval": (5, "double"),
        "origin": (7, "string"),
        "candidate": (8, "bool"),
        "state": (9, "string"),
        "reason": (10, "string"),
        "latency": (17, "BatchLatency*"),
        "share": (18, "double"),
    },
    "Region": {
        "slo_ms": (1, "double"),
        "offered": (2, "uint64"),
        "in_time": (3, "uint64"),
        "attainment": (4, "double"),
        "effective_accuracy": (5, "double"),
    },
    "GetFrontierResponse": {
        "variants": (1, "VariantStanding*"),
        "regions": (2, "Region*"),
        "window_s": (3, "double"),
    },
    "GetPlanRequest": {"family": (1, "string")},
    "Load": {"workers": (1, "int32")},
    "Plan": {"family": (1, "string"), "load": (4, "Load")},
    "GetPlanResponse": {"plans": (1, "Plan*")},
}


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="trainer.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message: Any = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            base = kind.rstrip("*")
            row = message.field.add(name=field, number=number, label=1 if kind == base else 3)
            if base in _KINDS:
                row.type = _KINDS[base]
            else:
                row.type, row.type_name = 11, f".{_PACKAGE}.{base}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _build()
GetFrontierRequest: Any = _CLASSES["GetFrontierRequest"]
GetFrontierResponse: Any = _CLASSES["GetFrontierResponse"]
GetPlanRequest: Any = _CLASSES["GetPlanRequest"]
GetPlanResponse: Any = _CLASSES["GetPlanResponse"]
