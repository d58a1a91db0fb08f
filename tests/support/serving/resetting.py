"""A TCP proxy that resets every connection after a while: what a failing network does to both sides."""

import random
import select
import socket
import struct
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: on closing, send RST instead of FIN and drop what is unsent."""
_LOOK_S = 0.1


class Resetting:
    """Passes bytes between clients and 127.0.0.1:`port`, and cuts each connection within `most_s`."""

    def __init__(self, port: int, most_s: float) -> None:
        self._port, self._most_s, self._random = port, most_s, random.Random(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve)]
        self._over = False
        self.url = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.resets = 0
        """Connections cut so far."""

    @classmethod
    @contextmanager
    def to(cls, port: int, most_s: float = 0.6) -> "Generator[Resetting]":
        """A running proxy."""
        proxy = cls(port, most_s)
        with proxy._listener:
            proxy._threads[0].start()
            try:
                yield proxy
            finally:
                proxy._over = True
                for thread in proxy._threads:
                    thread.join()

    def _serve(self) -> None:
        while not self._over:
            if select.select([self._listener], [], [], _LOOK_S)[0]:
                near, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._connect, args=(near,)))
                self._threads[-1].start()

    def _connect(self, near: socket.socket) -> None:
        until_s = time.monotonic() + self._random.uniform(0.02, self._most_s)
        with near, socket.create_connection(("127.0.0.1", self._port)) as far:
            with suppress(OSError):
                _pass(near, far, until_s)
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.resets += 1


def _pass(near: socket.socket, far: socket.socket, until_s: float) -> None:
    """Both ways, until then or until one side ends. Raises OSError where one is gone."""
    other = {near: far, far: near}
    while (left_s := until_s - time.monotonic()) > 0:
        for source in select.select([near, far], [], [], left_s)[0]:
            data = source.recv(65536)
            if not data:
                return
            other[source].settimeout(max(0.01, left_s))
            other[source].sendall(data)
