"""What the operators' port answers: one HTTP request's bytes in, one answer's bytes out. It never raises."""

import logging
from collections.abc import Callable
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

_log = logging.getLogger(__name__)

MOST_REQUEST_BYTES = 16 << 10
"""Of a request's line and headers together."""
_PLAIN = "text/plain; charset=utf-8"
_Page = tuple[HTTPStatus, bytes, str]


class Pages:
    """/metrics, /healthz and /readyz, by GET and HEAD."""

    def __init__(self, registry: CollectorRegistry, ready: Callable[[], bool]) -> None:
        self._registry = registry
        self._ready = ready

    def answer(self, request: bytes) -> bytes:
        """The whole answer, headers first; the connection is closed after it."""
        if not is_whole(request):
            return _whole(_page_of(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        head = request.decode("latin-1").replace("\r\n", "\n").partition("\n\n")[0]
        line, *headers = head.split("\n")
        match line.split(" "):
            case [method, target, version] if method and version.startswith("HTTP/1."):
                return self._answer(method, target, _accepted(headers))
            case _:
                return _whole(_page_of(HTTPStatus.BAD_REQUEST))

    def _answer(self, method: str, target: str, accept: str) -> bytes:
        if method not in ("GET", "HEAD"):
            return _whole(_page_of(HTTPStatus.NOT_IMPLEMENTED))
        try:
            page = self._page(target.partition("?")[0], accept)
        except Exception:  # noqa: BLE001 - one page that cannot be made must not end the thread that makes them all
            _log.exception("unforeseen error while answering an operator")
            page = _page_of(HTTPStatus.INTERNAL_SERVER_ERROR)
        return _whole(page, body=method == "GET")

    def _page(self, path: str, accept: str) -> _Page:
        match path:
            case "/metrics":
                encode, kind = choose_encoder(accept)
                return HTTPStatus.OK, encode(self._registry), kind
            case "/healthz":
                return HTTPStatus.OK, b"alive\n", _PLAIN
            case "/readyz":
                if self._ready():
                    return HTTPStatus.OK, b"ready\n", _PLAIN
                return HTTPStatus.SERVICE_UNAVAILABLE, b"loading\n", _PLAIN
            case _:
                text = b"not here; try /metrics, /healthz or /readyz\n"
                return HTTPStatus.NOT_FOUND, text, _PLAIN


def is_whole(request: bytes | bytearray) -> bool:
    """Whether the line and the headers have come."""
    return b"\r\n\r\n" in request or b"\n\n" in request


def _accepted(headers: list[str]) -> str:
    fields = (line.partition(":") for line in headers)
    return next((value.strip() for name, _, value in fields if name.lower() == "accept"), "")


def _page_of(status: HTTPStatus) -> _Page:
    return status, f"{status.phrase.lower()}\n".encode(), _PLAIN


def _whole(page: _Page, *, body: bool = True) -> bytes:
    status, text, kind = page
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (text if body else b"")
