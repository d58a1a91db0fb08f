"""What a test sends on a stream, one by one, as it goes on."""

import queue
from collections.abc import Iterator
from typing import Any


class Feed:
    """Messages that the test hands out; the stream is over on `end`."""

    def __init__(self, *first: Any) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()
        for message in first:
            self.put(message)

    def put(self, message: Any) -> None:
        """Send this next."""
        self._queue.put(message)

    def end(self) -> None:
        """Nothing more comes."""
        self._queue.put(None)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if (message := self._queue.get()) is None:
            raise StopIteration
        return message
