"""The fingerprint: what it is made of, read from trees like those of real machines."""

from dataclasses import replace
from pathlib import Path

import pytest

from profiler.hardware import Hardware, detect, memory_bytes, usable_cores

CPUINFO = (
    "processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: Some CPU\nstepping\t: 1\n"
    "flags\t\t: fpu avx2 avx512f avx512_vnni\n\nprocessor\t: 1\nmodel name\t: Some CPU\n"
)

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
    assert found.flags == ("avx2", "avx512f", "avx512_vnni")
    assert found.memory_gib == 16
    assert any(r.startswith("onnxruntime ") for r in found.runtimes)


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
        replace(HARDWARE, memory_gib=8),
        replace(HARDWARE, gpus=("NVIDIA H200, 570.1, 143771 MiB",)),
        replace(HARDWARE, runtimes=("onnxruntime 1.32.0",)),
    ],
)
def test_every_field_changes_the_fingerprint(other: Hardware):
    assert other.fingerprint() != HARDWARE.fingerprint()


def test_the_fingerprint_is_the_same_on_every_start():
    assert HARDWARE.fingerprint() == replace(HARDWARE).fingerprint()
    assert detect().fingerprint() == detect().fingerprint()
