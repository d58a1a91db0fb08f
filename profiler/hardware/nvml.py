"""NVML through its Python binding `pynvml` (package nvidia-ml-py): lasting facts and readings of every GPU.

Written against NVIDIA's NVML API reference. A question that a GPU or driver does not support is answered with None.
"""

from collections import Counter
from typing import Any

from profiler.hardware.readings import Gpu, GpuReading

_REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "thermal (software)",
    0x40: "thermal (hardware)",
    0x80: "power brake",
}
"""Bits of nvmlClocksEventReasons that mean trouble. Idleness, clock settings and sync boost do not."""

_LOST = {
    "NVML_ERROR_GPU_IS_LOST",
    "NVML_ERROR_GPU_NOT_FOUND",
    "NVML_ERROR_RESET_REQUIRED",
    "NVML_ERROR_UNINITIALIZED",
    "NVML_ERROR_DRIVER_NOT_LOADED",
}

_EVENTS_A_READING = 64
"""Events taken off the queue at most, so that a storm of them cannot hold the watch."""


RESTART_EVERY = 20
"""While a GPU is missing, NVML is started again at every so many readings: it takes tens of milliseconds."""


class _Lost(Exception):
    """The GPU does not answer any more."""


class PyNvml:
    """NVML, started. Raises whatever `nvmlInit` raises. Used by one thread at a time."""

    def __init__(self, binding: Any) -> None:
        self._nvml = binding
        self._lost = tuple(getattr(binding, name) for name in sorted(_LOST))
        self._handles: dict[str, Any] = {}
        self._known: set[str] = set()
        self._missed = 0
        self._events: Any = None
        self._xids: Counter[str] = Counter()
        self._last_xid: dict[str, int] = {}
        binding.nvmlInit()
        self._find()

    def facts(self) -> tuple[Gpu, ...]:
        """What lasts about each GPU that answers."""
        driver = _text(self._answer(self._nvml.nvmlSystemGetDriverVersion))
        found = (self._facts(uuid, handle, driver) for uuid, handle in self._handles.items())
        return tuple(gpu for gpu in found if gpu is not None)

    def readings(self) -> tuple[GpuReading, ...]:
        """The GPUs that answer now. Starts NVML again when one does not: that is how a lost one is found again."""
        self._take_events()
        read = (self._reading(uuid, handle) for uuid, handle in self._handles.items())
        found = tuple(reading for reading in read if reading is not None)
        self._missed = self._missed + 1 if len(found) < len(self._known) else 0
        if self._missed % RESTART_EVERY == 1:
            self._start_again()
        return found

    def _facts(self, uuid: str, handle: Any, driver: str) -> Gpu | None:
        nvml = self._nvml
        try:
            memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
            name = _text(self._ask("nvmlDeviceGetName", handle))
            sm_mhz = self._ask("nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_SM) or 0
            memory_mhz = self._ask("nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_MEM) or 0
            limit_mw = self._ask("nvmlDeviceGetEnforcedPowerLimit", handle) or 0
        except _Lost:
            return None
        size_bytes = int(memory.total) if memory else 0
        return Gpu(uuid, name, driver, size_bytes, sm_mhz * 1e6, memory_mhz * 1e6, limit_mw / 1e3)

    def _reading(self, uuid: str, handle: Any) -> GpuReading | None:
        nvml = self._nvml
        errors = (nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
        try:
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle) or 0
            return GpuReading(
                uuid,
                _scaled(self._ask("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM), 1e6),
                frozenset(reason for bit, reason in _REASONS.items() if bits & bit),
                _scaled(self._ask("nvmlDeviceGetPowerUsage", handle), 1e-3),
                _scaled(
                    self._ask("nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU), 1.0
                ),
                self._ask("nvmlDeviceGetTotalEccErrors", handle, *errors),
                self._xids[uuid],
                self._last_xid.get(uuid),
            )
        except _Lost:
            return None

    def _ask(self, name: str, *arguments: Any) -> Any:
        """The answer, or None where this driver, GPU or binding has none. Raises _Lost."""
        try:
            return getattr(self._nvml, name)(*arguments)
        except AttributeError:
            return None
        except self._nvml.NVMLError as error:
            if error.value in self._lost:
                raise _Lost from error
            return None

    def _answer(self, function: Any, *arguments: Any) -> Any:
        """Like `_ask`, and None too when NVML has lost the GPU."""
        try:
            return function(*arguments)
        except self._nvml.NVMLError:
            return None

    def _find(self) -> None:
        """Handles by uuid of the GPUs there are now; their critical events are queued from here on."""
        nvml = self._nvml
        count = self._answer(nvml.nvmlDeviceGetCount) or 0
        handles = [self._answer(nvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)]
        uuids = [(self._answer(nvml.nvmlDeviceGetUUID, h), h) for h in handles if h is not None]
        self._handles = {_text(uuid): handle for uuid, handle in uuids if uuid is not None}
        self._known |= self._handles.keys()
        self._events = self._answer(nvml.nvmlEventSetCreate)
        for handle in self._handles.values() if self._events is not None else ():
            self._answer(
                nvml.nvmlDeviceRegisterEvents,
                handle,
                nvml.nvmlEventTypeXidCriticalError,
                self._events,
            )

    def _start_again(self) -> None:
        if self._events is not None:
            self._answer(self._nvml.nvmlEventSetFree, self._events)
        self._answer(self._nvml.nvmlShutdown)
        self._answer(self._nvml.nvmlInit)
        self._find()

    def _take_events(self) -> None:
        for _ in range(_EVENTS_A_READING if self._events is not None else 0):
            event = self._answer(self._nvml.nvmlEventSetWait, self._events, 0)
            if event is None:  # NVML's word for an empty queue is an error: time-out
                return
            uuid = _text(self._answer(self._nvml.nvmlDeviceGetUUID, event.device) or "")
            self._xids[uuid] += 1
            self._last_xid[uuid] = int(event.eventData)


def _text(word: Any) -> str:
    """Old bindings answer in bytes."""
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word or "")


def _scaled(number: Any, factor: float) -> float | None:
    return None if number is None else float(number) * factor
