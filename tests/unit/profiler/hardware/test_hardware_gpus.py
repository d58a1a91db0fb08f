"""GPUs: what NVML's binding answers, comes and goes, and what the driver's own tool prints."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from profiler.hardware.gpus import NoNvml, open_nvml, parsed, present
from profiler.hardware.nvml import RESTART_EVERY
from profiler.hardware.readings import Gpu, GpuReading

NUMBERS = {
    "NVML_CLOCK_SM": 1,
    "NVML_CLOCK_MEM": 2,
    "NVML_TEMPERATURE_GPU": 0,
    "NVML_VOLATILE_ECC": 0,
    "NVML_MEMORY_ERROR_TYPE_UNCORRECTED": 1,
    "NVML_ERROR_UNINITIALIZED": 1,
    "NVML_ERROR_NOT_SUPPORTED": 3,
    "NVML_ERROR_DRIVER_NOT_LOADED": 9,
    "NVML_ERROR_TIMEOUT": 10,
    "NVML_ERROR_GPU_IS_LOST": 15,
    "NVML_ERROR_RESET_REQUIRED": 16,
    "NVML_ERROR_GPU_NOT_FOUND": 28,
    "nvmlEventTypeXidCriticalError": 8,
}
"""As in NVIDIA's header."""


class NvmlError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


class Binding:
    """Stands in for the module `pynvml`: two GPUs whose handles, like the real ones, die with a restart."""

    NVMLError = NvmlError

    def __init__(self) -> None:
        self.__dict__.update(NUMBERS)
        self.lost: set[int] = set()
        self.xids: list[tuple[int, int]] = []
        self.reasons = 0
        self.ecc: int | None = 0
        self.starts = 0

    def nvmlInit(self):
        self.starts += 1

    def nvmlShutdown(self):
        pass

    def nvmlSystemGetDriverVersion(self):
        return "570.1"

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int):
        return self._alive((self.starts, index)) and (self.starts, index)

    def nvmlDeviceGetUUID(self, handle: Any):
        return self._alive(handle) and f"GPU-{handle[1]}"

    def nvmlDeviceGetName(self, handle: Any):
        return self._alive(handle) and b"NVIDIA T"

    def nvmlDeviceGetMemoryInfo(self, handle: Any):
        return self._alive(handle) and SimpleNamespace(total=16 << 30)

    def nvmlDeviceGetMaxClockInfo(self, handle: Any, kind: int):
        return self._alive(handle) and {1: 1980, 2: 2619}[kind]

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int):
        return self._alive(handle) and {1: 1500, 2: 2619}[kind]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any):
        return self._alive(handle) and 300_000

    def nvmlDeviceGetPowerUsage(self, handle: Any):
        return self._alive(handle) and 120_500

    def nvmlDeviceGetTemperature(self, handle: Any, _sensor: int):
        return self._alive(handle) and 61

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any):
        return self._alive(handle) and self.reasons

    def nvmlDeviceGetTotalEccErrors(self, handle: Any, _kind: int, _counter: int):
        self._alive(handle)
        if self.ecc is None:
            raise NvmlError(NUMBERS["NVML_ERROR_NOT_SUPPORTED"])
        return self.ecc

    def nvmlEventSetCreate(self):
        return "events"

    def nvmlEventSetFree(self, _events: Any):
        pass

    def nvmlDeviceRegisterEvents(self, handle: Any, _kinds: int, _events: Any):
        self._alive(handle)

    def nvmlEventSetWait(self, _events: Any, _timeout_ms: int):
        if not self.xids:
            raise NvmlError(NUMBERS["NVML_ERROR_TIMEOUT"])
        index, xid = self.xids.pop(0)
        return SimpleNamespace(device=(self.starts, index), eventData=xid)

    def _alive(self, handle: tuple[int, int]) -> bool:
        started, index = handle
        if started != self.starts:
            raise NvmlError(2)
        if index in self.lost:
            raise NvmlError(NUMBERS["NVML_ERROR_GPU_IS_LOST"])
        return True


def uuids(readings: tuple[GpuReading, ...]) -> list[str]:
    return [reading.uuid for reading in readings]


def test_what_lasts_is_told_in_si_units():
    first, _ = present(open_nvml(Binding))

    assert first == Gpu("GPU-0", "NVIDIA T", "570.1", 16 << 30, 1.98e9, 2.619e9, 300.0)


def test_a_reading_tells_clock_power_and_heat():
    first, _ = open_nvml(Binding).readings()

    assert first == GpuReading("GPU-0", 1.5e9, frozenset(), 120.5, 61.0, 0)


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x1 | 0x2, set[str]()),
        (0x4, {"power cap"}),
        (0x20 | 0x80, {"thermal (software)", "power brake"}),
    ],
)
def test_only_reasons_that_mean_trouble_are_told(bits: int, reasons: set[str]):
    binding = Binding()
    binding.reasons = bits

    assert open_nvml(lambda: binding).readings()[0].slowed_by == reasons


def test_what_a_gpu_does_not_support_is_none():
    binding = Binding()
    binding.ecc = None

    reading = open_nvml(lambda: binding).readings()[0]

    assert reading.memory_errors is None
    assert reading.clock_hz == 1.5e9


def test_critical_events_are_counted_for_their_gpu():
    binding = Binding()
    nvml = open_nvml(lambda: binding)
    binding.xids = [(1, 48), (1, 79)]

    first, second = nvml.readings()

    assert (first.xids, second.xids, second.last_xid) == (0, 2, 79)
    assert nvml.readings()[1].xids == 2


def test_a_lost_gpu_is_left_out_and_found_again():
    binding = Binding()
    nvml = open_nvml(lambda: binding)

    binding.lost = {1}
    gone = [uuids(nvml.readings()) for _ in range(3)]
    binding.lost = set()
    back = [uuids(nvml.readings()) for _ in range(RESTART_EVERY + 1)][-1]

    assert gone == [["GPU-0"]] * 3
    assert back == ["GPU-0", "GPU-1"]


def test_a_dead_gpu_does_not_restart_nvml_at_every_reading():
    binding = Binding()
    nvml = open_nvml(lambda: binding)
    binding.lost = {1}

    for _ in range(RESTART_EVERY):
        nvml.readings()

    assert binding.starts == 2


def test_all_gpus_lost_is_no_reading_and_no_fact():
    binding = Binding()
    nvml = open_nvml(lambda: binding)
    binding.lost = {0, 1}

    assert nvml.facts() == ()
    assert nvml.readings() == ()


def broken() -> Any:
    raise OSError("libnvidia-ml.so.1: version mismatch")


def absent() -> Any:
    raise ModuleNotFoundError("No module named 'pynvml'")


@pytest.mark.parametrize("load", [broken, absent])
def test_without_nvml_there_is_one_line_of_log_and_no_gpu(
    load: Any, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)

    nvml = open_nvml(load)

    assert isinstance(nvml, NoNvml)
    assert nvml.readings() == ()
    assert len(caplog.messages) == 1
    assert "nvidia-ml-py" in caplog.text


def test_the_tools_rows_are_read_with_gaps():
    rows = "GPU-9, NVIDIA A10, 550.5, 23028, 1695, 6251, 150.00\nGPU-8, Old, 550.5, [N/A], [N/A], 1, 2\nbroken\n"

    first, second = parsed(rows)

    assert first == Gpu("GPU-9", "NVIDIA A10", "550.5", 23028 << 20, 1.695e9, 6.251e9, 150.0)
    assert (second.memory_bytes, second.sm_clock_hz) == (0, 0.0)


def test_every_name_used_exists_in_the_real_binding():
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")

    used = [*NUMBERS, "NVMLError", *(name for name in vars(Binding) if name.startswith("nvml"))]

    assert [name for name in used if not hasattr(pynvml, name)] == []
    assert {name: getattr(pynvml, name) for name in NUMBERS} == NUMBERS
