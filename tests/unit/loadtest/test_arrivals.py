"""Arrival times from rates, steps and files."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from loadtest import arrivals
from loadtest.arguments import parse
from loadtest.errors import BadOption, BadTrace
from loadtest.load import Replay, arrival_times


def rng(seed: int = 0) -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(seed)


def test_poisson_arrivals_come_at_the_rate_with_exponential_gaps():
    times = arrivals.poisson(200.0, 100.0, rng())

    gaps = np.diff(times)
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.03)


def test_the_same_seed_gives_the_same_arrivals():
    assert np.array_equal(arrivals.poisson(50.0, 5.0, rng(7)), arrivals.poisson(50.0, 5.0, rng(7)))


def test_constant_arrivals_are_evenly_spaced_from_zero():
    assert arrivals.constant(4.0, 1.0).tolist() == [0.0, 0.25, 0.5, 0.75]


def test_steps_change_the_rate_where_they_begin():
    times = arrivals.stepped([(10.0, 20.0), (10.0, 200.0), (5.0, 0.0)], rng())

    assert (times < 10.0).sum() == pytest.approx(200, rel=0.2)
    assert (times >= 10.0).sum() == pytest.approx(2000, rel=0.1)
    assert times.max() < 20.0


def test_a_schedule_is_read_as_seconds_and_rates():
    assert arrivals.parse_steps("20:0.5,10:2.0") == [(20.0, 0.5), (10.0, 2.0)]


@pytest.mark.parametrize(
    "text", ["", "5", "5:", "a:b", "0:10", "5:-1", "5:0", "nan:1", "1:inf", "1:2:3"]
)
def test_a_schedule_that_makes_no_sense_is_refused(text: str):
    with pytest.raises(BadOption, match="--schedule"):
        arrivals.parse_steps(text)


def test_counts_fill_their_own_seconds():
    times = arrivals.from_counts(np.array([3.0, 0.0, 2.0]), rng())

    assert np.floor(times).tolist() == [0.0, 0.0, 0.0, 2.0, 2.0]


def test_a_gzipped_file_of_times_is_read_past_comments_and_blank_lines(tmp_path: Path):
    path = tmp_path / "trace.txt.gz"
    path.write_bytes(gzip.compress(b"# seconds\n1.5\n\n0.5\n"))

    assert arrivals.trace(path, False, None, rng()).tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    "content", ["", "# nothing\n", "1.0\nsoon\n", "-1\n2\n", "nan\n1\n", "3.0\n"]
)
def test_a_bad_trace_is_refused_by_name(tmp_path: Path, content: str):
    path = tmp_path / "trace.txt"
    path.write_text(content)

    with pytest.raises(BadTrace, match=r"trace\.txt"):
        arrivals.trace(path, False, None, rng())


def test_a_file_that_is_not_gzip_is_refused(tmp_path: Path):
    path = tmp_path / "trace.gz"
    path.write_bytes(b"1.0\n2.0\n")

    with pytest.raises(BadTrace, match="cannot read"):
        arrivals.trace(path, False, None, rng())


def test_a_long_count_trace_is_thinned_before_it_is_expanded(tmp_path: Path):
    path = tmp_path / "counts.txt"
    path.write_text("90000000\n10000000\n")

    times = arrivals.trace(path, True, 1000, rng())

    assert len(times) == 1000
    assert (times < 1.0).sum() == pytest.approx(900, abs=40)


def test_arrivals_on_one_instant_cannot_be_squeezed():
    with pytest.raises(BadTrace, match="one instant"):
        arrivals.squeeze(np.array([2.0, 2.0]), 10.0)


def test_a_recording_is_replayed_at_its_own_times_as_far_as_the_duration(tmp_path: Path):
    path = tmp_path / "recorded.txt"
    path.write_text("0.5\n0.25\n3.0\n")

    assert arrival_times(Replay(path, 2.0), rng()).tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    "flags",
    [
        "--as-recorded",
        "--as-recorded --arrivals poisson",
        "--as-recorded --arrivals a --rate-rps 5",
        "--as-recorded --arrivals a --counts",
    ],
)
def test_replaying_without_a_file_or_at_another_rate_is_refused(flags: str):
    with pytest.raises(BadOption, match="--as-recorded"):
        parse(flags.split())


def test_a_recording_named_with_as_recorded_becomes_a_replay():
    options = parse(["--arrivals", "a.txt", "--as-recorded", "--duration-s", "7"])

    assert options.load == Replay(Path("a.txt"), 7.0)


def test_times_a_hair_apart_can_be_squeezed():
    squeezed = arrivals.squeeze(np.array([0.0, 2.2250738585e-313]), 1.0)

    assert squeezed.tolist() == [0.0, 1.0 - 1e-9]
