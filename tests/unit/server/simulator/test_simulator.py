"""Arrivals, noise and profile files of the simulator."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from models.catalog import Family, Slo, TensorSpec
from server.simulator.arrivals import from_file, poisson, steps
from server.simulator.noise import Noise, Spell, stretch
from server.simulator.profile_file import read_arms
from tests.support.serving.families import publish_scripted

TINY = Family(
    "tiny",
    inputs=(TensorSpec("x", "FP32", (-1, 2)),),
    outputs=(TensorSpec("y", "FP32", (-1, 2)),),
    variants=(),
    slo=Slo(0.1),
)


def test_poisson_arrivals_are_sorted_seeded_and_of_the_rate():
    times = poisson(100.0, 100.0, seed=1)

    assert abs(len(times) / 10_000 - 1) < 0.05
    assert (np.diff(times) >= 0).all()
    assert (times == poisson(100.0, 100.0, seed=1)).all()


def test_steps_follow_one_another():
    times = steps([(10.0, 10.0), (100.0, 10.0)], seed=1)

    assert (times < 10).sum() < 150
    assert (times >= 10).sum() > 800


def test_more_arrivals_than_fit_are_refused():
    with pytest.raises(ValueError, match="lower the rate"):
        poisson(1e9, 1e9, seed=1)


def test_a_trace_is_sorted_and_starts_at_zero(tmp_path: Path):
    path = tmp_path / "trace.txt"
    path.write_text("# seconds\n3.5\n1.5\n\n2.5\n")

    assert from_file(path).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("text", ["", "# nothing\n", "soon\n", "nan\n"])
def test_a_trace_without_times_is_refused_by_name(tmp_path: Path, text: str):
    path = tmp_path / "trace.txt"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"trace\.txt"):
        from_file(path)


def test_scatter_has_the_mean_and_spread_asked_for():
    latency = stretch(Noise(cv=0.1, outlier_share=0.0), Spell(), seed=1)

    drawn = np.array([latency(0.01, 0.0, "small") for _ in range(20_000)])

    assert abs(drawn.mean() / 0.01 - 1) < 0.01
    assert abs(drawn.std() / 0.001 - 1) < 0.05


def test_a_spell_multiplies_only_within_its_time():
    latency = stretch(Noise(cv=0.0, outlier_share=0.0), Spell(1.0, 2.0, 3.0), seed=1)

    assert [round(latency(0.01, t, "small"), 6) for t in (0.5, 1.0, 2.0)] == [0.01, 0.03, 0.01]


def test_a_profile_is_read_between_its_points_and_made_monotone(tmp_path: Path):
    path = tmp_path / "p.csv"
    path.write_text(
        "variant,accuracy,batch,latency_ms_p50,latency_ms_p95\n"
        "a,0.7,1,2,3\na,0.7,3,6,7\na,0.7,4,4,5\n"
    )

    (arm,) = read_arms(path, tmp_path)

    assert arm.max_batch == 4
    assert arm.mean_s[2] == pytest.approx(0.0035)
    assert list(arm.mean_s) == sorted(arm.mean_s)
    assert arm.upper_s[1] == pytest.approx(0.003)


def stored(folder: Path, counts: Mapping[str, Sequence[int]]) -> Path:
    """A stored profile of the family `tiny`: each variant's milliseconds are ten over its threads."""
    scripts = dict.fromkeys(counts, "per_row_s = 0.001")
    publish_scripted(folder, TINY, scripts, dict.fromkeys(counts, 0.7))
    times = ("p50_s", "p95_s", "p99_s", "mean_s")
    rows = [
        {
            "variant": name,
            "precision": "fp32",
            "backend": "scripted",
            "device": "cpu",
            "threads": n,
            "points": [{"batch": 1, "n": 9} | dict.fromkeys(times, 0.01 / n)],
        }
        for name, threads in counts.items()
        for n in threads
    ]
    path = folder / "stored.json"
    path.write_text(json.dumps({"family": TINY.name, "profiles": rows}))
    return path


def test_of_several_thread_counts_the_smallest_is_taken_unless_told(tmp_path: Path):
    path = stored(tmp_path, {"a": [2, 1, 4]})

    assert [arm.mean_s[1] for arm in read_arms(path, tmp_path)] == [0.01]
    assert [arm.mean_s[1] for arm in read_arms(path, tmp_path, threads=4)] == [0.0025]


def test_a_thread_count_that_not_all_have_is_refused(tmp_path: Path):
    path = stored(tmp_path, {"a": [1, 2], "b": [2]})

    with pytest.raises(ValueError, match=r"b not profiled with 1 thread.* 1, 2"):
        read_arms(path, tmp_path)
    assert len(read_arms(path, tmp_path, threads=2)) == 2
