"""A reading of the hardware: from trees like those of real machines, and of this one."""

from pathlib import Path

import pytest

from profiler.hardware import sensors
from profiler.hardware.gpus import NoNvml
from profiler.hardware.readings import Clock, GpuReading, Memory, Reading

TICK_S = 0.01
"""What one unit of /proc/stat is on every Linux in use."""

V2 = {"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/cgroup.controllers": "cpu memory\n"}

STAT = (
    "cpu  900 0 0 0 0 0 0 0 0 0\n"
    "cpu0 100 20 30 500 40 5 5 60 0 0\n"
    "cpu1 200 0 0 800 0 0 0 7 0 0\n"
    "cpu2 600 0 0 0 0 0 0 0 0 0\nintr 1 2\n"
)


def read(root: Path, files: dict[str, str], cpus: tuple[int, ...] = (0, 1)) -> Reading:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return sensors.read(root, affinity=frozenset(cpus))


def a_stat(user: int, system: int, nice: int = 0) -> dict[str, str]:
    fields = ["S", *["0"] * 10, str(user), str(system), "0", "0", "20", str(nice), "1"]
    return {"proc/self/stat": f"7 (a (strange) name) {' '.join(fields)}\n"}


def test_a_machine_that_tells_nothing_gives_a_reading_of_nothing(tmp_path: Path):
    found = read(tmp_path, {}, (3,))

    assert found.cores.cpus == {3}
    assert (found.cores.usable, found.cores.quota_cores) == (1, None)
    assert found.clock == Clock()
    assert found.memory == Memory()
    assert set(vars_of(found.time)) == {None}


def vars_of(value: object) -> list[object]:
    return [getattr(value, name) for name in value.__slots__]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "junk", ["", "\n", "max", "a b c\n", "cpu0 x y\n", "some avg10= total=x\n", "9" * 40]
)
def test_files_full_of_rubbish_raise_nothing(tmp_path: Path, junk: str):
    names = ["proc/stat", "proc/self/stat", "proc/meminfo", "proc/pressure/cpu"]
    names += [
        f"sys/fs/cgroup/job/{n}"
        for n in ("cpu.max", "cpu.stat", "cpu.pressure", "memory.max", "memory.stat")
    ]
    names += [
        "sys/fs/cgroup/job/cpuset.cpus",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
    ]

    found = read(tmp_path, V2 | dict.fromkeys(names, junk))

    assert found.cores.usable >= 1


def test_a_damaged_list_of_cgroups_raises_nothing(tmp_path: Path):
    assert read(tmp_path, {"proc/self/cgroup": "nonsense\n::\n0::/a/b\n"}).cores.usable == 2


def test_busy_and_stolen_time_are_of_the_allowed_cpus_only(tmp_path: Path):
    time = read(tmp_path, {"proc/stat": STAT}).time

    assert time.busy_s == pytest.approx((100 + 30 + 5 + 5 + 200) * TICK_S)
    assert time.stolen_s == pytest.approx(67 * TICK_S)


def test_own_time_is_found_behind_a_name_with_brackets(tmp_path: Path):
    assert read(tmp_path, a_stat(user=120, system=30)).time.own_s == pytest.approx(150 * TICK_S)


def test_work_of_low_priority_counts_only_if_we_are_of_low_priority_too(tmp_path: Path):
    calm = read(tmp_path, {"proc/stat": STAT} | a_stat(0, 0, nice=0)).time
    low = read(tmp_path, {"proc/stat": STAT} | a_stat(0, 0, nice=5)).time

    assert calm.busy_s is not None
    assert low.busy_s == pytest.approx(calm.busy_s + 20 * TICK_S)


def test_version_2_throttling_and_pressure_are_our_cgroups(tmp_path: Path):
    files = V2 | {
        "sys/fs/cgroup/job/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/job/cpu.stat": "usage_usec 9\nnr_periods 50\nnr_throttled 20\nthrottled_usec 2500000\n",
        "sys/fs/cgroup/job/cpu.pressure": "some avg10=12.50 avg60=0.00 avg300=0.00 total=3000000\nfull total=0\n",
        "proc/pressure/cpu": "some avg10=99.00 avg60=0.00 avg300=0.00 total=1\n",
    }

    found = read(tmp_path, files)

    assert (found.cores.usable, found.cores.quota_cores) == (1, 1.5)
    assert (found.time.throttled_s, found.time.throttled_periods) == (2.5, 20)
    assert (found.time.waited_s, found.time.waited_share) == (3.0, 0.125)


def test_version_1_throttling_is_in_nanoseconds_and_pressure_the_machines(tmp_path: Path):
    files = {
        "proc/self/cgroup": "1:cpu,cpuacct:/job\n",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 400000000\n",
        "proc/pressure/cpu": "some avg10=1.00 avg60=0.00 avg300=0.00 total=2000000\n",
    }

    found = read(tmp_path, files)

    assert (found.time.throttled_s, found.time.throttled_periods) == (pytest.approx(0.4), 2)
    assert found.time.waited_s == 2.0


def test_a_parents_throttling_is_added(tmp_path: Path):
    stat = "nr_periods 5\nnr_throttled 1\nthrottled_usec 100000\n"
    files = {
        "proc/self/cgroup": "0::/pod/job\n",
        "sys/fs/cgroup/pod/cpu.stat": stat,
        "sys/fs/cgroup/pod/job/cpu.stat": stat,
    }

    assert read(tmp_path, files).time.throttled_s == pytest.approx(0.2)


def test_the_clock_is_the_mean_of_the_allowed_cpus(tmp_path: Path):
    folder = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_{}_freq"
    files = {
        folder.format(0, "cur"): "2000000\n",
        folder.format(1, "cur"): "3000000\n",
        folder.format(2, "cur"): "800000\n",
        folder.format(0, "max"): "3500000\n",
    }

    assert read(tmp_path, files).clock == Clock(2.5e9, 3.5e9)


def test_memory_is_the_machines_without_a_limit(tmp_path: Path):
    files = {"proc/meminfo": "MemTotal:  8388608 kB\nMemFree: 1 kB\nMemAvailable:  4194304 kB\n"}

    assert read(tmp_path, files).memory == Memory(8 << 30, 4 << 30)


def test_pages_that_can_be_dropped_count_as_left_below_a_limit(tmp_path: Path):
    files = V2 | {
        "proc/meminfo": "MemTotal:  8388608 kB\nMemAvailable:  4194304 kB\n",
        "sys/fs/cgroup/job/memory.max": str(3 << 30),
        "sys/fs/cgroup/job/memory.current": str(2 << 30),
        "sys/fs/cgroup/job/memory.stat": f"anon 5\ninactive_file {1 << 30}\n",
    }

    assert read(tmp_path, files).memory == Memory(3 << 30, 2 << 30)


class OneGpu(NoNvml):
    def readings(self) -> tuple[GpuReading, ...]:
        return (GpuReading("GPU-1", 1.5e9),)


def test_gpus_are_part_of_the_reading(tmp_path: Path):
    assert sensors.read(tmp_path, OneGpu()).gpus == (GpuReading("GPU-1", 1.5e9),)


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux's /proc")
def test_this_machine_counts_our_own_work():
    before = sensors.read()
    while (after := sensors.read()).time.own_s == before.time.own_s:
        pass

    assert before.time.own_s is not None
    assert after.time.own_s is not None
    assert after.time.own_s > before.time.own_s
    assert after.at_s > before.at_s
