"""Regions of shared memory that clients have registered: names for stretches of files in /dev/shm."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakSet

from server.errors import BadInput, Overloaded, RegionPresent, UnknownRegion
from server.rpc.shared_memory.files import SharedFile
from server.texts import shown

MOST_REGIONS = 256
"""Files that are open at a time, those included that are used by requests only."""
MOST_NAME = 1024
"""Characters of a region's name."""


@dataclass(frozen=True, slots=True, eq=False)
class SharedRegion:
    """`byte_size` bytes of a file from `offset` on, which it had when it was registered."""

    name: str
    file: SharedFile
    offset: int
    byte_size: int

    def begin(self, offset: int, size: int) -> int:
        """Where in the file `size` bytes from the region's `offset` begin. Raises BadInput where they are not in it."""
        if not 0 <= offset < self.byte_size:
            raise BadInput(
                f"Invalid offset for shared memory region: '{shown(self.name)}': {offset}, "
                f"and it has {self.byte_size} bytes"
            )
        if not 0 <= size <= self.byte_size - offset:
            raise BadInput(
                f"Invalid offset + byte size for shared memory region: '{shown(self.name)}': {offset} + {size}, "
                f"and it has {self.byte_size} bytes"
            )
        return self.offset + offset


class Registry:
    """All regions, by name. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._regions: dict[str, SharedRegion] = {}
        self._open: WeakSet[SharedFile] = WeakSet()

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Give a stretch of a file this name. Raises RegionPresent, Overloaded, or BadInput where it is not there."""
        if not name or len(name) > MOST_NAME:
            raise BadInput(
                f"shared memory region's name has {len(name)} characters; 1 to {MOST_NAME} are taken"
            )
        with self._lock:
            if name in self._regions:
                raise RegionPresent(f"shared memory region '{shown(name)}' already in manager")
            if len(self._open) >= MOST_REGIONS:
                raise Overloaded(
                    f"{MOST_REGIONS} shared memory regions are registered or in use; unregister some first"
                )
            file = SharedFile(key)
            if offset < 0 or byte_size < 1 or offset + byte_size > file.size:
                raise BadInput(
                    f"failed to register shared memory region '{shown(name)}': invalid args: {byte_size} bytes from "
                    f"{offset} on are not in '{shown(key)}', which has {file.size}"
                )
            self._open.add(file)
            self._regions[name] = SharedRegion(name, file, offset, byte_size)

    def region(self, name: str) -> SharedRegion:
        """The region of this name. Raises UnknownRegion."""
        found = self._regions.get(name)
        if found is None:
            raise UnknownRegion(f"Unable to find shared memory region: '{shown(name)}'")
        return found

    def listed(self, name: str = "") -> Sequence[SharedRegion]:
        """The region of this name; "": all. Raises UnknownRegion."""
        if not name:
            with self._lock:
                return list(self._regions.values())
        found = self._regions.get(name)
        if found is None:
            raise UnknownRegion(f"Unable to find system shared memory region: '{shown(name)}'")
        return [found]

    def unregister(self, name: str = "") -> None:
        """Forget the region of this name, if there is one; "": all. Requests that use it still do."""
        with self._lock:
            gone = [self._regions.pop(name, None)] if name else list(self._regions.values())
            if not name:
                self._regions.clear()
        del gone  # files are closed here, not under the lock
