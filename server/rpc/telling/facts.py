"""What gRPC tells of the server and its models, as plain values, for fronts that speak JSON: all of its fields."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from server.rpc.describe import Describe
from server.rpc.repository import RepositoryCalls
from wire import inference_pb2 as pb

_MESSAGE, _ENUM = FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_ENUM


class Telling:
    """Each method raises RequestError. Any thread."""

    def __init__(
        self, describe: Describe, repository: RepositoryCalls, ready: Callable[[], bool]
    ) -> None:
        self._describe = describe
        self._repository = repository
        self.ready = ready

    def server(self) -> dict[str, Any]:
        """Name, version, extensions."""
        report = plain(self._describe.server_metadata(pb.ServerMetadataRequest()))
        kept = [one for one in report["extensions"] if one != "system_shared_memory"]
        return {**report, "extensions": [*kept, "binary_tensor_data"]}

    def model_ready(self, name: str, version: str) -> bool:
        """Whether this model takes requests."""
        return self._describe.model_ready(pb.ModelReadyRequest(name=name, version=version)).ready

    def metadata(self, name: str, version: str) -> dict[str, Any]:
        """A model's signature."""
        return plain(self._describe.metadata(pb.ModelMetadataRequest(name=name, version=version)))

    def config(self, name: str, version: str) -> dict[str, Any]:
        """A model's configuration."""
        asked = pb.ModelConfigRequest(name=name, version=version)
        return plain(self._describe.config(asked))["config"]

    def statistics(self, name: str, version: str) -> dict[str, Any]:
        """What became of its requests; of all models where the name is empty."""
        asked = pb.ModelStatisticsRequest(name=name, version=version)
        return plain(self._describe.statistics(asked))

    def index(self, *, ready: bool) -> dict[str, Any]:
        """The repository's models; only those that are ready, if so asked."""
        return plain(self._describe.index(pb.RepositoryIndexRequest(ready=ready)))

    def load(self, name: str, config: str) -> "Future[None]":
        """Load a model, with a configuration in JSON or, "", as it is."""
        return self._repository.load(name, config)

    def unload(self, name: str) -> "Future[None]":
        """Serve a model no more."""
        return self._repository.unload(name)


def plain(message: Message) -> dict[str, Any]:
    """A message with all fields that have a value or a default, under the names that the protocol gives them."""
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {key: _one(inner, one) for key, one in value.items()}
    if field.is_repeated:
        return [_one(field, one) for one in value]
    return _one(field, value)


def _one(field: Any, value: Any) -> Any:
    if field.type == _MESSAGE:
        return plain(value)
    return field.enum_type.values_by_number[value].name if field.type == _ENUM else value
