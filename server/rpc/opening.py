"""Bytes -> ModelInfer request, once their outline shows that building it costs no more than it may."""

from collections.abc import Callable, Mapping

from server.engine.served import ServedFamily
from server.errors import BadInput, RequestError, TooLarge
from server.rpc import sizes
from server.rpc.by_family import ByFamily
from server.rpc.decode import parse
from server.rpc.outline import SMALL_BYTES, Outline, draw, elements
from server.texts import shown
from wire import inference_pb2 as pb

_MOST_ID = 128
"""Characters of a request's id that an error repeats: the reason behind it must fit too."""


class Opening:
    """Knows what each family's requests may hold. `refused` is told of whom a request was that holds more."""

    def __init__(
        self,
        families: Mapping[str, ServedFamily],
        most_bytes: int,
        unknown: Callable[[str], RequestError],
        refused: Callable[[str], None],
    ) -> None:
        self._unknown = unknown
        self._refused = refused
        self._families = families
        self._limits = ByFamily(
            lambda one: (
                sizes.request_bytes(one.family, most_bytes),
                sizes.request_elements(one.family),
            )
        )

    def message(self, data: bytes) -> pb.ModelInferRequest:
        """The request. Raises BadInput, TooLarge or UnknownModel."""
        if len(data) > SMALL_BYTES:
            found = Outline()
            try:
                draw(data, found)
                self._check(data, found)
            except RequestError as error:
                self._refused(found.model)
                raise type(error)(named(found.id, str(error))) from error
        return parse(pb.ModelInferRequest, data)

    def shared_bytes(self, message: pb.ModelInferRequest) -> int:
        """What its inputs may have in shared memory. Raises TooLarge where that is too much."""
        if len(message.raw_input_contents) >= len(message.inputs):  # all of them are in the message
            return 0
        family = self._families.get(message.model_name)
        if family is None:
            return 0
        most_bytes, _ = self._limits.of(family)
        size = sizes.shared_bytes(message, len(family.family.inputs))
        if size > most_bytes:
            self._refused(message.model_name)
            raise TooLarge(named(message.id, _too_large(size, message.model_name, most_bytes)))
        return size

    def _check(self, data: bytes, found: Outline) -> None:
        family = self._families.get(found.model)
        if family is None:
            raise self._unknown(found.model)
        most_bytes, most_elements = self._limits.of(family)
        wanted, got = len(family.family.inputs), len(found.inputs)
        if got > wanted:
            raise BadInput(
                f"expected {wanted} inputs but got {got} inputs for model '{found.model}'. "
                "Please provide all required input(s), each once."
            )
        if len(data) > most_bytes:
            raise TooLarge(_too_large(len(data), found.model, most_bytes))
        if (count := elements(data, found)) > most_elements:
            raise BadInput(
                f"request for model '{found.model}' has {count} elements in typed contents; "
                f"its largest batch has less than {most_elements}"
            )


def _too_large(size: int, model: str, most_bytes: int) -> str:
    return f"request of {size} bytes for model '{model}'; its largest batch takes less than {most_bytes}"


def named(request_id: str, text: str) -> str:
    """An error's text, with the id of the request that it is about."""
    return f"[request id: {shown(request_id, _MOST_ID) or '<id_unknown>'}] {text}"
