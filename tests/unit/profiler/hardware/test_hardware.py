"""The fingerprint: what it is made of, read from trees like those of real machines."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from models.backends import RUNTIMES, Runtime, is_installed
from profiler.hardware.cores import process_affinity
from profiler.hardware.fingerprint import Hardware, detect, memory_bytes, usable_cores
from profiler.hardware.gpus import NoNvml
from profiler.hardware.readings import Gpu

CPUINFO = (
    "processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: Some CPU\nstepping\t: 1\n"
    "flags\t\t: fpu avx2 avx512f avx512_vnni amx_fp16\n\nprocessor\t: 1\nmodel name\t: Some CPU\n"
)

GPU = Gpu("GPU-1", "NVIDIA H200", "570.1", 143771 << 20, 1.98e9, 3.2e9, 700.0)

HARDWARE = Hardware("Some CPU", 2, ("avx2",), 16, (), ("onnxruntime 1.31.1",))


def a_root(tmp_path: Path, files: dict[str, str]) -> Path:
    defaults = {"proc/cpuinfo": CPUINFO, "proc/meminfo": "MemTotal:  16777216 kB\n"}
    for name, text in (defaults | files).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_without_a_quota_the_affinity_decides(tmp_path: Path):
    assert usable_cores(a_root(tmp_path, {}), affinity=3) == 3


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 1), ("400000 100000", 4), ("max 100000", 8), ("1 9", 1)]
)
def test_a_version_2_quota_cuts_to_whole_cores(tmp_path: Path, quota: str, cores: int):
    files = {"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": quota}

    assert usable_cores(a_root(tmp_path, files), affinity=8) == cores


def test_a_parents_quota_binds_too(tmp_path: Path):
    files = {
        "proc/self/cgroup": "0::/pod/job\n",
        "sys/fs/cgroup/pod/cpu.max": "200000 100000",
        "sys/fs/cgroup/pod/job/cpu.max": "max 100000",
    }

    assert usable_cores(a_root(tmp_path, files), affinity=8) == 2


def test_a_version_1_quota_counts(tmp_path: Path):
    files = {
        "proc/self/cgroup": "3:cpu,cpuacct:/job\n2:memory:/job\n",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(4 << 30),
    }
    root = a_root(tmp_path, files)

    assert usable_cores(root, affinity=8) == 3
    assert memory_bytes(root) == 4 << 30


def test_no_limit_in_version_1_words_is_no_limit(tmp_path: Path):
    files = {
        "proc/self/cgroup": "3:cpu:/\n2:memory:/\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str((1 << 63) - 4096),
    }
    root = a_root(tmp_path, files)

    assert usable_cores(root, affinity=8) == 8
    assert memory_bytes(root) == 16 << 30


def test_the_processor_is_told_by_name_numbers_and_flags(tmp_path: Path):
    found = detect(a_root(tmp_path, {}))

    assert found.cpu == "Some CPU (26/2/1)"
    assert found.flags == ("avx2", "avx512f", "avx512_vnni", "amx_fp16")
    assert found.memory_gib == 16
    assert any(r.startswith("onnxruntime ") for r in found.runtimes)


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_every_runtime_that_is_installed_is_in_the_fingerprint(tmp_path: Path, runtime: Runtime):
    if not is_installed(runtime):
        pytest.skip(f"{runtime.package} is not installed")
    found = {r.partition(" ")[0] for r in detect(tmp_path).runtimes}

    brings_it = set(metadata.packages_distributions()[runtime.package]) - {"gearshift"}

    assert brings_it <= found


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_every_runtime_from_elsewhere_names_its_distributions(runtime: Runtime):
    assert bool(runtime.distributions) == (runtime.package != "models")


def test_an_unreadable_machine_still_has_a_fingerprint(tmp_path: Path):
    found = detect(tmp_path)

    assert found.cores >= 1
    assert len(found.fingerprint()) == 12


@pytest.mark.parametrize(
    "other",
    [
        replace(HARDWARE, cpu="Other CPU"),
        replace(HARDWARE, cores=4),
        replace(HARDWARE, flags=("avx2", "avx512f")),
        replace(HARDWARE, gpus=(GPU,)),
        replace(HARDWARE, runtimes=("onnxruntime 1.32.0",)),
    ],
)
def test_what_changes_the_cost_of_kernels_changes_the_fingerprint(other: Hardware):
    assert other.fingerprint() != HARDWARE.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        replace(HARDWARE, memory_gib=8),
        replace(HARDWARE, quota_cores=2.5),
        replace(HARDWARE, cpus=(4, 5)),
    ],
)
def test_what_only_scales_or_places_the_work_is_told_but_changes_no_fingerprint(other: Hardware):
    assert other.fingerprint() == HARDWARE.fingerprint()
    assert other.described() != HARDWARE.described()


@pytest.mark.parametrize(
    "other",
    [
        replace(GPU, name="NVIDIA H100"),
        replace(GPU, driver="580.2"),
        replace(GPU, sm_clock_hz=1.2e9),
        replace(GPU, power_limit_w=450.0),
        replace(GPU, memory_bytes=80 << 30),
    ],
)
def test_a_gpu_of_another_kind_changes_the_fingerprint(other: Gpu):
    on_gpu, on_other = replace(HARDWARE, gpus=(GPU,)), replace(HARDWARE, gpus=(other,))

    assert on_gpu.fingerprint() != on_other.fingerprint()


def test_an_identical_gpu_in_its_place_keeps_the_profile_but_is_told():
    on_gpu = replace(HARDWARE, gpus=(GPU,))
    replaced = replace(HARDWARE, gpus=(replace(GPU, uuid="GPU-2"),))

    assert replaced.fingerprint() == on_gpu.fingerprint()
    assert "GPU-2" in replaced.described()["gpus"]


def test_the_fingerprint_is_the_same_on_every_start():
    assert HARDWARE.fingerprint() == replace(HARDWARE).fingerprint()
    assert detect().fingerprint() == detect().fingerprint()


class OneGpu(NoNvml):
    def facts(self) -> tuple[Gpu, ...]:
        return (GPU,)


def test_nvml_tells_of_the_gpus(tmp_path: Path):
    assert detect(a_root(tmp_path, {}), OneGpu()).gpus == (GPU,)


@pytest.mark.parametrize("effective", ["cpuset.cpus.effective", "cpuset.cpus"])
def test_a_cpuset_cuts_the_cores_where_affinity_does_not_show_it(tmp_path: Path, effective: str):
    mine = min(process_affinity())
    files = {"proc/self/cgroup": "0::/job\n", f"sys/fs/cgroup/job/{effective}": f"{mine},900-902\n"}

    found = detect(a_root(tmp_path, files), NoNvml())

    assert found.cpus == (mine,)
    assert found.cores == 1


def test_a_fraction_of_a_core_in_the_quota_is_kept(tmp_path: Path):
    files = {"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": "150000 100000\n"}

    assert detect(a_root(tmp_path, files), NoNvml()).quota_cores == 1.5


def test_a_hybrid_hierarchy_is_read_in_both_versions(tmp_path: Path):
    files = {
        "proc/self/cgroup": "1:cpu:/job\n0::/job\n",
        "sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
        "sys/fs/cgroup/unified/job/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "250000\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    }

    assert detect(a_root(tmp_path, files), NoNvml()).quota_cores == 2.5


PINS_ONE_THREAD = """
import os, threading
from profiler.hardware.cores import process_affinity
whole = process_affinity()
one = {min(whole)}
pinned, done = threading.Event(), threading.Event()
def work():
    os.sched_setaffinity(0, one)
    pinned.set()
    done.wait(30)
thread = threading.Thread(target=work)
thread.start()
assert pinned.wait(30)
with_one_pinned = process_affinity()
os.sched_setaffinity(0, one)
print(with_one_pinned == whole, process_affinity() == one)
done.set()
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="affinity is Linux's")
def test_one_pinned_thread_does_not_narrow_the_process_but_all_pinned_do():
    done = subprocess.run(
        [sys.executable, "-c", PINS_ONE_THREAD],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.split() == ["True", "True"]
