"""HTTP for operators: /metrics for Prometheus, /healthz (alive) and /readyz (serving)."""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from surroundings.addresses import bare, joined

_STOP_CHECK_S = 0.1
"""How often the HTTP thread looks whether it is to stop."""


class Operators:
    """A small HTTP server on threads of its own. Binds when built; raises OSError naming the address."""

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, ready: Callable[[], bool]
    ) -> None:
        try:
            self._server = _server(bare(host), port, _handler(registry, ready))
        except (OSError, UnicodeError) as error:
            where = joined(host, port)
            reason = error.strerror if isinstance(error, OSError) else error
            raise OSError(f"cannot listen on {where}: {reason or error}") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_CHECK_S,), name="http", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_address[1]

    def start(self) -> None:
        """Begin answering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()


def _server(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """One that listens on IPv4 or IPv6, whichever `host` is; on both where it is `::`. Raises OSError."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]

    class Server(ThreadingHTTPServer):
        address_family = family

        def server_bind(self) -> None:
            if family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            TCPServer.server_bind(self)  # its parent's would look up the host's name
            self.server_name, self.server_port = host, self.server_address[1]

    return Server((host, port), handler)


def _handler(
    registry: CollectorRegistry, ready: Callable[[], bool]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept", ""))
                self._send(200, encode(registry), kind)
            elif path == "/healthz":
                self._send(200, b"alive\n")
            elif path == "/readyz":
                self._send(200, b"ready\n") if ready() else self._send(503, b"loading\n")
            else:
                self._send(404, b"not here; try /metrics, /healthz or /readyz\n")

        def _send(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's signature
            """Scrapes are not news."""

    return Handler
