"""RepositoryModelLoad and RepositoryModelUnload: families come and go by a client's call, while others serve."""

from collections.abc import Iterable
from concurrent.futures import Future

from google.protobuf import json_format

from server.engine.families.lifecycle import Lifecycle
from server.engine.families.override import Override, Signature
from server.errors import BadInput, Unsupported
from server.rpc.questions import Later, Questions
from server.rpc.transport.call import Handler
from server.texts import shown
from wire import inference_pb2 as pb

_Asked = pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest

_SERVICE = "/inference.GRPCInferenceService/"
_MOST_BYTES = 1 << 20
"""Of a call: a configuration takes little."""
_MOST_US = 10**12
"""Of a latency bound (us)."""
_OURS = (
    "max_batch_size, dynamic_batching.default_queue_policy.default_timeout_microseconds, the parameters slo_ms and "
    "min_accuracy, and input and output as they are"
)
_WORDS = {"slo_ms", "min_accuracy", "queue_capacity", "max_batch_with_time"}
"""Parameters of a configuration as ModelConfig gives them; of these the first two may be set."""


class RepositoryCalls:
    """Answers once the family serves, or is gone. `allowed`: whether the operator lets clients do that."""

    def __init__(self, lifecycle: Lifecycle, *, allowed: bool) -> None:
        self._lifecycle = lifecycle
        self._allowed = allowed
        self._questions = Questions("repository")

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        unary = self._questions.unary
        functions = {
            "RepositoryModelLoad": unary(pb.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": unary(pb.RepositoryModelUnloadRequest, self._unload),
        }
        return {
            _SERVICE + name: Handler(one, most_bytes=_MOST_BYTES) for name, one in functions.items()
        }

    def load(self, model: str, config: str) -> "Future[None]":
        """Done once it serves, as `config` (JSON; "": as it is) has it. Raises RequestError. Any thread."""
        self._check_allowed()
        return self._lifecycle.load(model, override(config, model))

    def unload(self, model: str) -> "Future[None]":
        """Done once it is gone. Raises RequestError. Any thread."""
        self._check_allowed()
        return self._lifecycle.unload(model)

    def close(self) -> None:
        """Answer what was asked and end the thread. After the front has stopped."""
        self._questions.close()

    def _load(self, request: pb.RepositoryModelLoadRequest) -> Later:
        self._check(request, {"config"})
        text = _config(request)
        return Later(self.load(request.model_name, text), pb.RepositoryModelLoadResponse)

    def _unload(self, request: pb.RepositoryModelUnloadRequest) -> Later:
        self._check(request, {"unload_dependents"})  # nothing depends on a family
        return Later(self.unload(request.model_name), pb.RepositoryModelUnloadResponse)

    def _check(self, request: _Asked, known: Iterable[str]) -> None:
        """Raises Unsupported for what is not done here."""
        self._check_allowed()
        if request.repository_name:
            raise Unsupported(
                f"repository '{shown(request.repository_name)}' is not known; leave the name empty"
            )
        if unknown := sorted(set(request.parameters) - set(known)):
            raise Unsupported(
                f"parameter '{shown(unknown[0])}' is not known; models are loaded from the server's repository, "
                "with a 'config' at most"
            )

    def _check_allowed(self) -> None:
        if not self._allowed:
            raise Unsupported(
                "models are not loaded or unloaded by clients here; the operator allows it with "
                "models.repository_calls = true"
            )


def _config(request: pb.RepositoryModelLoadRequest) -> str:
    """The parameter `config`; "" where there is none. Raises BadInput."""
    if "config" not in request.parameters:
        return ""
    given = request.parameters["config"]
    if given.WhichOneof(
        "parameter_choice"
    ) != "string_param" or not given.string_param.strip().startswith("{"):
        raise BadInput("parameter 'config' must be a string with a JSON object in it")
    return given.string_param


def override(text: str, model: str) -> Override:
    """What a model configuration in JSON sets otherwise than the manifest; "": nothing. Raises BadInput."""
    if not text:
        return Override()
    config = pb.ModelConfig()
    try:
        json_format.Parse(text, config)
    except json_format.ParseError as error:
        words = " ".join(str(error).split())
        raise BadInput(f"parameter 'config': {shown(words, 300)}; it may have {_OURS}") from error
    _check_name(config, model)
    timeout_us = config.dynamic_batching.default_queue_policy.default_timeout_microseconds
    if timeout_us > _MOST_US:
        raise BadInput(
            f"parameter 'config': default_timeout_microseconds {timeout_us} is above {_MOST_US}"
        )
    slo_ms = _number(config, "slo_ms", 1e-3, 1e9)
    return Override(
        max_batch=_max_batch(config),
        latency_s=slo_ms / 1e3 if slo_ms else timeout_us / 1e6 or None,
        min_accuracy=_number(config, "min_accuracy", 0.0, 1.0),
        inputs=_signature(config.input),
        outputs=_signature(config.output),
    )


def _check_name(config: pb.ModelConfig, model: str) -> None:
    if config.name not in ("", model):
        raise BadInput(
            f"parameter 'config' is of model '{shown(config.name)}', not '{shown(model)}'"
        )
    if unknown := sorted(set(config.parameters) - _WORDS):
        raise BadInput(
            f"parameter 'config': parameters['{shown(unknown[0])}'] is not known; slo_ms and min_accuracy may be set"
        )


def _max_batch(config: pb.ModelConfig) -> int | None:
    if config.max_batch_size < 0:
        raise BadInput(f"parameter 'config': max_batch_size {config.max_batch_size} is below 1")
    return config.max_batch_size or None


def _number(config: pb.ModelConfig, key: str, least: float, most: float) -> float | None:
    if key not in config.parameters:
        return None
    text = config.parameters[key].string_value
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise BadInput(
            f"parameter 'config': parameters['{key}'] is {shown(text)!r}, not a number from {least:g} to {most:g}"
        )
    return value


def _signature(specs: Iterable[pb.ModelInput | pb.ModelOutput]) -> Signature:
    names = pb.DataType.Name
    return tuple(
        (one.name, names(one.data_type).removeprefix("TYPE_"), tuple(one.dims))
        for one in specs
        if one.data_type != pb.TYPE_STRING  # another way to give those that are compared
    )
