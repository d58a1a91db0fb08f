"""The benchmark's traces: what each reader makes of its file, and that tuning and reporting stay apart."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.policies import traces
from server.simulator import arrivals

needs_recordings = pytest.mark.skipif(
    not set(traces.RECORDED) <= set(traces.available(traces.default_folder())),
    reason="recordings are not on this machine; GEARSHIFT_TRACES names their folder",
)


def a_folder(root: Path) -> Path:
    """Tiny recordings in the shape of the real ones."""
    azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 23:59:59.5000000,1,1\n"
    azure += "2023-11-17 00:00:01.2500000,1,1\n2023-11-17 00:00:00.0000000,1,1\n"
    mooncake = "timestamp_ms,input_length,output_length\n0,1,1\n0,1,1\n1500,1,1\n"
    counts = "".join(f"{n % 100}\n" for n in range(1000))
    for name, text in (
        ("azure_conv.csv.gz", azure),
        ("mooncake_conversation.csv.gz", mooncake),
        ("twitter_per_second_counts.txt.gz", counts),
    ):
        (root / name).write_bytes(gzip.compress(text.encode()))
    return root


def test_stamps_become_seconds_from_the_first_in_order_across_midnight(tmp_path: Path):
    assert traces.azure_times(a_folder(tmp_path)).tolist() == [0.0, 0.5, 1.75]


def test_milliseconds_become_seconds(tmp_path: Path):
    assert traces.mooncake_times(a_folder(tmp_path)).tolist() == [0.0, 0.0, 1.5]


def test_every_trace_has_the_mean_rate_asked_for(tmp_path: Path):
    folder = a_folder(tmp_path)

    for name in traces.TRACES:
        times = traces.make(name, 1000.0, 5.0, 1, folder)
        assert len(times) == pytest.approx(5000, rel=0.15), name


def test_another_seed_is_another_draw(tmp_path: Path):
    folder = a_folder(tmp_path)

    for name in traces.TRACES:
        one, other = (traces.make(name, 100.0, 5.0, seed, folder) for seed in (1, 2))
        assert not np.array_equal(one, other), name


def test_a_missing_recording_says_what_is_missing_and_how_to_name_it(tmp_path: Path):
    assert traces.available(tmp_path) == traces.MADE
    with pytest.raises(traces.MissingTrace, match=r"azure_conv\.csv\.gz; GEARSHIFT_TRACES"):
        traces.make("azure_conv", 10.0, 5.0, 1, tmp_path)


def test_an_unknown_trace_is_refused_with_the_known_ones(tmp_path: Path):
    with pytest.raises(ValueError, match="known: azure_conv"):
        traces.make("azure", 10.0, 5.0, 1, tmp_path)


def test_an_excerpt_joins_the_start_of_every_stretch():
    times = np.array([0.0, 4.0, 6.0, 20.5, 26.0, 41.0])

    assert traces.excerpt(times, 5.0, 20.0).tolist() == [0.0, 4.0, 5.5, 11.0]


def test_no_seed_is_both_tuned_on_and_reported():
    assert not set(traces.TUNING_SEEDS) & set(traces.REPORTING_SEEDS)


def test_every_trace_is_for_tuning_or_for_reporting_only_never_both():
    assert sorted(traces.TUNING_TRACES + traces.REPORTING_TRACES) == sorted(traces.TRACES)


def test_the_held_back_counts_are_never_drawn_for_the_trace_that_may_be_tuned_on(tmp_path: Path):
    quiet_then_loud = "1\n" * 800 + "1000\n" * 200
    (tmp_path / "twitter_per_second_counts.txt.gz").write_bytes(
        gzip.compress(quiet_then_loud.encode())
    )

    for seed in range(20):
        tuned, held = (
            traces.make(n, 200.0, 10.0, seed, tmp_path) for n in ("twitter", "twitter_held")
        )
        # a window that spanned both would have nearly all arrivals on one side
        assert 0.3 < (tuned < 5.0).mean() < 0.7
        assert 0.3 < (held < 5.0).mean() < 0.7


def test_spread_arrivals_are_the_recorded_ones_each_up_to_a_millisecond_late(tmp_path: Path):
    folder = a_folder(tmp_path)

    clumps = arrivals.rescaled(traces.mooncake_times(folder), 50.0, 5.0, 1)
    spread = arrivals.spread(clumps, traces.SPREAD_S, 1)

    assert len(spread) == len(clumps)
    assert ((spread - clumps >= 0.0) & (spread - clumps <= traces.SPREAD_S)).all()
    assert len(np.unique(spread)) > len(np.unique(clumps))


def test_cameras_send_together_thirty_times_a_second(tmp_path: Path):
    times = traces.make("cameras", 300.0, 2.0, 1, tmp_path)

    frames, late_s = np.divmod(times + 1e-12, 1.0 / traces.FRAMES_PER_S)
    assert np.bincount(frames.astype(int)).tolist() == [10] * 60
    assert late_s.max() <= traces.JITTER_S + 1e-9


@needs_recordings
def test_the_recordings_are_those_described():
    folder = traces.default_folder()

    assert len(traces.azure_times(folder)) == 19_366
    assert len(traces.mooncake_times(folder)) == 12_031
    assert traces.twitter_counts(folder).mean() == pytest.approx(63.6, abs=0.1)
