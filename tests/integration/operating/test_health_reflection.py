"""grpc.health.v1 and server reflection, as standard tools use them."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.serving.server import Server

Status = health_pb2.HealthCheckResponse.ServingStatus
SERVICES = ["", "inference.GRPCInferenceService", "echo", "mlp"]


def check(server: Server, service: str) -> Any:
    """One health check."""
    call = server.channel.unary_unary("/grpc.health.v1.Health/Check")
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2.HealthCheckResponse.FromString(
        call(request.SerializeToString(), timeout=10)
    ).status


def watch(server: Server, service: str) -> Any:
    """A health stream."""
    call = server.channel.unary_stream("/grpc.health.v1.Health/Watch")
    request = health_pb2.HealthCheckRequest(service=service)
    return call(request.SerializeToString(), timeout=10)


def reflected(server: Server, version: str, **question: str) -> Any:
    """The answer to one reflection request."""
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    request = reflection_pb2.ServerReflectionRequest(**question)
    (answer,) = server.channel.stream_stream(path)(iter([request.SerializeToString()]), timeout=10)
    return reflection_pb2.ServerReflectionResponse.FromString(answer)


@pytest.mark.parametrize("service", SERVICES)
def test_server_service_and_families_serve(server: Server, service: str):
    assert check(server, service) == Status.SERVING


def test_an_unknown_service_is_not_found(server: Server):
    with pytest.raises(grpc.RpcError, match="unknown service 'nobody'") as refusal:
        check(server, "nobody")

    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service", SERVICES)
def test_a_watch_begins_with_the_present_status(server: Server, service: str):
    stream = watch(server, service)

    assert health_pb2.HealthCheckResponse.FromString(next(stream)).status == Status.SERVING
    stream.cancel()


def test_watching_an_unknown_service_says_so_and_stays_open(server: Server):
    stream = watch(server, "nobody")

    assert health_pb2.HealthCheckResponse.FromString(next(stream)).status == Status.SERVICE_UNKNOWN
    assert stream.is_active()
    stream.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_garbage_is_an_invalid_argument(server: Server, method: str):
    call = server.channel.unary_stream(f"/grpc.health.v1.Health/{method}")

    with pytest.raises(grpc.RpcError, match="cannot parse HealthCheckRequest") as refusal:
        list(call(b"\xff\xff", timeout=10))

    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services(server: Server, version: str):
    answer = reflected(server, version, list_services="")

    names = {service.name for service in answer.list_services_response.service}
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= names


@pytest.mark.parametrize(
    "symbol", ["inference.ModelInferRequest", "inference.GRPCInferenceService"]
)
def test_reflection_resolves_the_inference_contract(server: Server, symbol: str):
    answer = reflected(server, "v1", file_containing_symbol=symbol)

    (data,) = answer.file_descriptor_response.file_descriptor_proto
    described = FileDescriptorProto.FromString(data)
    assert described.package == "inference"
    request = next(m for m in described.message_type if m.name == "ModelInferRequest")
    assert {f.name: f.number for f in request.field}["raw_input_contents"] == 7


def test_reflection_of_an_unknown_symbol_is_an_error_in_the_answer(server: Server):
    answer = reflected(server, "v1", file_containing_symbol="no.Such")

    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_several_reflection_questions_share_a_stream(server: Server):
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    question = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()

    answers = list(server.channel.stream_stream(path)(iter([question] * 3), timeout=10))

    assert len(answers) == 3
    assert len(set(answers)) == 1
