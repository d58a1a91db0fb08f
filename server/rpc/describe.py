"""The protocol's questions about the server and its models: liveness, metadata, configuration, statistics, index."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from models.catalog import Slo, TensorSpec
from server.engine.description import RequestOffer, described, offer_of
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.errors import NotReady, UnknownModel, Unsupported
from server.metrics import ModelCounts
from server.rpc.decode import parse
from server.rpc.transport.call import Call, Handler
from server.texts import shown
from wire import inference_pb2 as pb

_SERVICE = "/inference.GRPCInferenceService/"
_EXTENSIONS = (
    "model_configuration",
    "model_repository",
    "statistics",
    "parameters",
    "system_shared_memory",
)

_Request = TypeVar("_Request", bound=Message)


class _Named(Protocol):
    """A request about one model."""

    name: str
    version: str


class Describe:
    """Answers from the families as they are now."""

    def __init__(
        self, families: Mapping[str, ServedFamily], unserved: Unserved, ready: Callable[[], bool]
    ) -> None:
        self._families = families
        self._unserved = unserved
        self._ready = ready

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        functions = {
            "ServerLive": _unary(pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=True)),
            "ServerReady": _unary(
                pb.ServerReadyRequest, lambda _: pb.ServerReadyResponse(ready=self._ready())
            ),
            "ModelReady": _unary(pb.ModelReadyRequest, self.model_ready),
            "ServerMetadata": _unary(pb.ServerMetadataRequest, self.server_metadata),
            "ModelMetadata": _unary(pb.ModelMetadataRequest, self.metadata),
            "ModelConfig": _unary(pb.ModelConfigRequest, self.config),
            "ModelStatistics": _unary(pb.ModelStatisticsRequest, self.statistics),
            "RepositoryIndex": _unary(pb.RepositoryIndexRequest, self.index),
        }
        return {_SERVICE + name: Handler(one) for name, one in functions.items()}

    def _asked(self, request: _Named) -> tuple[ServedFamily, str | None]:
        """The family, and the variant that its version pins, if it does."""
        served = None if request.name in self._unserved else self._families.get(request.name)
        if served is None:
            raise self._unserved.error(request.name, request.version)
        return served, served.checks.pinned(request.version)

    def model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Whether the model takes requests; never raises."""
        try:
            served, pinned = self._asked(request)
        except (UnknownModel, NotReady):
            return pb.ModelReadyResponse(ready=False)
        arms = served.dispatcher.arms
        return pb.ModelReadyResponse(ready=any(pinned in (None, arm.arm.variant) for arm in arms))

    def server_metadata(self, _: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        """Name, version, extensions."""
        return pb.ServerMetadataResponse(
            name="gearshift", version=version("gearshift"), extensions=_EXTENSIONS
        )

    def metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        """A model's signature. Raises RequestError."""
        family = self._asked(request)[0].family
        response = pb.ModelMetadataResponse(
            name=family.name,
            versions=["1", *(v.name for v in family.variants)],
            platform="gearshift",
        )
        for specs, field in ((family.inputs, response.inputs), (family.outputs, response.outputs)):
            for spec in specs:
                field.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
        for coded in family.coded:
            response.inputs.add(name=coded.name, datatype="BYTES", shape=(-1, 1))
        return response

    def config(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        """A model's configuration. Raises RequestError."""
        served, pinned = self._asked(request)
        family = served.family
        response = pb.ModelConfigResponse()
        config = response.config
        config.name, config.backend, config.platform = family.name, "gearshift", "gearshift"
        _offer(config, family.slo, offer_of(served, pinned))
        for specs, field in ((family.inputs, config.input), (family.outputs, config.output)):
            for spec in specs:
                field.add(name=spec.name, data_type=_data_type(spec), dims=spec.shape[1:])
        for spec, stated in zip(family.inputs, config.input, strict=True):
            stated.optional = spec.default is not None or bool(family.coded)
        for coded in family.coded:
            config.input.add(name=coded.name, data_type=pb.TYPE_STRING, dims=(1,), optional=True)
        return response

    def statistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        """What became of requests, of one model or all. Raises RequestError."""
        served = [self._asked(request)[0]] if request.name else [*dict(self._families).values()]
        response = pb.ModelStatisticsResponse()
        for one in served:
            _fill(response.model_stats.add(name=one.family.name, version="1"), one.metrics.tally)
        return response

    def index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """The repository's models. Raises Unsupported."""
        if request.repository_name:
            raise Unsupported(
                f"repository '{shown(request.repository_name)}' is not known; leave the name empty"
            )
        response = pb.RepositoryIndexResponse()
        for one in described(self._families, self._unserved):
            if one.state == "ready" or not request.ready:
                response.models.add(
                    name=one.name, version="1", state=one.state.upper(), reason=one.reason
                )
        return response


def _unary(
    request_type: type[_Request], answer: Callable[[_Request], Message]
) -> Callable[[Call, bytes | None], None]:
    def function(call: Call, data: bytes | None) -> None:
        call.reply(answer(parse(request_type, data or b"")).SerializeToString())

    return function


def _offer(config: pb.ModelConfig, slo: Slo, offer: RequestOffer) -> None:
    """What becomes of requests that ask for no SLO: until when they are answered, and how many may wait."""
    config.max_batch_size = offer.max_batch
    policy = config.dynamic_batching.default_queue_policy
    queue_policy = pb.ModelQueuePolicy
    policy.timeout_action = queue_policy.DELAY if offer.late else queue_policy.REJECT
    policy.default_timeout_microseconds = round(slo.latency_s * 1e6)
    policy.allow_timeout_override = True
    policy.max_queue_size = offer.max_waiting
    parameters = {
        "slo_ms": f"{slo.latency_s * 1e3:g}",
        "min_accuracy": f"{slo.min_accuracy:g}",
        "queue_capacity": str(offer.capacity_rows),
        "max_batch_with_time": str(offer.max_batch_with_time),
    }
    for key, value in parameters.items():
        config.parameters[key].string_value = value


def _data_type(spec: TensorSpec) -> int:
    return pb.DataType.Value("TYPE_" + spec.datatype)


def _fill(stats: pb.ModelStatistics, tally: ModelCounts) -> None:
    """The three compute counts are equal, as clients that print stages require; compute_output is not timed apart."""
    stats.last_inference = tally.last_ms
    stats.inference_count = tally.rows
    stats.execution_count = tally.batches
    timed = stats.inference_stats
    for field, count, ns in (
        (timed.success, tally.success, tally.success_ns),
        (timed.fail, tally.fail, 0),
        (timed.queue, tally.success, tally.queue_ns),
        (timed.compute_input, tally.success, tally.gather_ns),
        (timed.compute_infer, tally.success, tally.compute_ns),
        (timed.compute_output, tally.success, 0),
    ):
        field.count, field.ns = count, ns
    for rows, (count, gather_ns, compute_ns) in sorted(tally.by_batch.items()):
        batch = stats.batch_stats.add(batch_size=rows)
        for field, ns in (
            (batch.compute_input, gather_ns),
            (batch.compute_infer, compute_ns),
            (batch.compute_output, 0),
        ):
            field.count, field.ns = count, ns
