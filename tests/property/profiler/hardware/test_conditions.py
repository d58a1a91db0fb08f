"""The hardware watch over any readings whatever: it never raises, and nothing changed is nothing told."""

from hypothesis import given
from hypothesis import strategies as st

from profiler.hardware.conditions import compare, step, watching
from profiler.hardware.readings import Clock, Cores, CpuTime, GpuReading, Memory, Reading

SUMS = st.none() | st.floats(0.0, 1e9)
HERTZ = st.none() | st.floats(0.0, 6e9)
BYTES = st.none() | st.integers(0, 1 << 50)

CORES = st.builds(
    Cores,
    st.integers(1, 8),
    st.frozensets(st.integers(0, 7), min_size=1),
    st.none() | st.floats(0.01, 8.0),
)
GPUS = st.lists(
    st.builds(
        GpuReading,
        uuid=st.sampled_from(["GPU-1", "GPU-2"]),
        slowed_by=st.frozensets(st.sampled_from(["power cap", "power brake"])),
        memory_errors=st.none() | st.integers(0, 9),
        xids=st.integers(0, 9),
        last_xid=st.none() | st.integers(1, 120),
    ),
    unique_by=lambda gpu: gpu.uuid,
).map(tuple)
READINGS = st.builds(
    Reading,
    st.floats(0.0, 100.0),
    CORES,
    st.builds(CpuTime, SUMS, SUMS, SUMS, SUMS),
    st.builds(Clock, HERTZ, HERTZ),
    st.builds(Memory, BYTES, BYTES),
    GPUS,
)


@given(READINGS)
def test_a_reading_does_not_differ_from_itself(reading: Reading):
    assert compare(reading, reading) == ()


@given(READINGS, READINGS)
def test_any_two_readings_compare_and_every_change_has_its_line(before: Reading, after: Reading):
    assert all(change.line() for change in compare(before, after))


@given(st.lists(READINGS, min_size=2, max_size=12))
def test_the_watch_never_raises_and_tells_the_same_of_the_same(readings: list[Reading]):
    first, *rest = readings
    state = again = watching(first)
    for reading in rest:
        state, told = step(state, reading)
        again, told_again = step(again, reading)
        assert told == told_again
    assert state.last == readings[-1]


@given(READINGS, st.lists(st.floats(0.001, 3.0), min_size=1, max_size=30))
def test_a_machine_that_stays_as_it_is_soon_gives_nothing_more_to_tell(
    reading: Reading, gaps_s: list[float]
):
    state, at_s = watching(reading), reading.at_s
    told = 0
    for gap_s in gaps_s:
        at_s += gap_s
        fields = (reading.cores, reading.time, reading.clock, reading.memory, reading.gpus)
        state, changes = step(state, Reading(at_s, *fields))
        told += len(changes)
    assert told <= len(reading.gpus)
