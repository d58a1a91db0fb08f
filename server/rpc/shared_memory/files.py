"""Files in /dev/shm by the keys of shm_open. They are read and written through their descriptors and never mapped:
whoever else has such a file may cut it short at any time, and touching a mapping of what is gone would end the process.
"""

import os
import stat
from pathlib import Path
from weakref import finalize

import numpy as np

from server.errors import BadInput
from server.texts import shown

FOLDER = Path("/dev/shm")
"""Where shm_open looks, and where nothing but shared memory is."""
_MOST_NAME = 255
"""Bytes of a file's name."""
_SEMAPHORE = "sem."
"""What sem_open's files begin with; those are no clients' memory."""
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""No link is followed, and no pipe or lease waited for."""


class SharedFile:
    """One such file, open until nobody refers to it any more: a request that uses it keeps it."""

    def __init__(self, key: str) -> None:
        """Raises BadInput where there is no such file, or none that may be read and written."""
        self.key = key
        path = FOLDER / _name(key)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):  # opening a device may do something
                raise _unopened(key, "it is no regular file")
            self._fd = os.open(path, _FLAGS)
        except OSError as error:
            raise _unopened(key, os.strerror(error.errno or 0)) from error
        finalize(self, os.close, self._fd)
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            raise _unopened(key, "it is no regular file")
        self.identity = found.st_dev, found.st_ino
        """The same for all that have the file open, whatever they call it."""

    @property
    def size(self) -> int:
        """Bytes it has at this moment."""
        return os.fstat(self._fd).st_size

    def read(self, at: int, size: int) -> memoryview:
        """A copy of these bytes, which nobody changes. Raises BadInput where the file has not got them (any more)."""
        self._check(at, size)  # before so much memory is taken
        array = np.empty(size, np.uint8)
        memory, done = array.data, 0
        while done < size:
            try:
                got = os.preadv(self._fd, [memory[done:]], at + done)
            except OSError as error:
                raise self._refused("read", error) from error
            if not got:
                raise self._short(at + size)
            done += got
        array.flags.writeable = False
        return array.data if size else memoryview(b"")

    def write(self, at: int, memory: memoryview) -> None:
        """Copy this there. Raises BadInput where the file has not got the room (any more), or the system refuses."""
        self._check(at, len(memory))  # else it would grow
        done = 0
        while done < len(memory):
            try:
                put = os.pwrite(self._fd, memory[done:], at + done)
            except OSError as error:
                raise self._refused("written", error) from error
            if not put:
                raise self._short(at + len(memory))
            done += put

    def _check(self, at: int, size: int) -> None:
        if self.size < at + size:
            raise self._short(at + size)

    def _refused(self, done: str, error: OSError) -> BadInput:
        return BadInput(
            f"shared memory '{shown(self.key)}' cannot be {done}: {os.strerror(error.errno or 0)}"
        )

    def _short(self, needed: int) -> BadInput:
        return BadInput(
            f"shared memory '{shown(self.key)}' was cut short after it was registered: "
            f"it has {self.size} bytes, {needed} are needed"
        )


def _name(key: str) -> str:
    """The file's name, as shm_open makes it of a key. Raises BadInput for keys that are none."""
    name = key.lstrip("/")
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise _unopened(key, "a key is '/' and a name without any other '/'")
    if len(name.encode()) > _MOST_NAME:
        raise _unopened(key, f"its name is longer than {_MOST_NAME} bytes")
    if name.startswith(_SEMAPHORE):
        raise _unopened(key, "it is a semaphore")
    return name


def _unopened(key: str, why: str) -> BadInput:
    return BadInput(f"Unable to open shared memory region: '{shown(key)}': {why}")
