"""The machine under an engine: what it is, what of it changes, and which changes ask for other profiles."""

from collections.abc import Callable
from functools import partial
from typing import get_args

from profiler.hardware.changes import (
    Change,
    ClockCapChanged,
    CoresChanged,
    CoresMoved,
    DeviceBack,
    DeviceLost,
    QuotaChanged,
)
from profiler.hardware.fingerprint import Hardware, detect
from profiler.hardware.gpus import open_nvml
from profiler.hardware.sensors import read
from server.metrics import Metrics
from server.runtime.arms.hardware_watch import HardwareWatch

LASTING = {CoresChanged, CoresMoved, QuotaChanged, ClockCapChanged, DeviceLost, DeviceBack}
"""Changes after which other profiles may hold; all others are followed batch by batch."""
Kinds = set[type[Change]]


class Machine:
    """Looked at every `period_s` (0: never). `moved` is called, from another thread, with the hardware as it is after a
    lasting change, and with the kinds of change."""

    def __init__(
        self, period_s: float, metrics: Metrics, moved: Callable[[Hardware, Kinds], None]
    ) -> None:
        self._nvml = open_nvml()
        self.hardware = detect(nvml=self._nvml)
        """As it was found last."""
        self._metrics = metrics
        self._moved = moved
        metrics.runs_on(self.hardware)
        metrics.may_change(kind.__name__ for kind in get_args(Change))
        look = partial(read, nvml=self._nvml)
        self._hardware_watch = HardwareWatch(period_s, self._changed, look) if period_s else None

    def start(self) -> None:
        """Begin to look."""
        if self._hardware_watch is not None:
            self._hardware_watch.start()

    def stop(self) -> None:
        """Look no more."""
        if self._hardware_watch is not None:
            self._hardware_watch.stop()

    def shared(self) -> str:
        """Who else has the processor just now, in words; empty where nobody has, or it is not looked at. Any thread."""
        return self._hardware_watch.shared if self._hardware_watch is not None else ""

    def _changed(self, changes: tuple[Change, ...]) -> None:
        kinds = {type(change) for change in changes}
        for kind in kinds:
            self._metrics.changed(kind.__name__)
        if not kinds & LASTING:
            return
        self.hardware = hardware = detect(nvml=self._nvml)
        self._metrics.runs_on(hardware)
        self._moved(hardware, kinds)
