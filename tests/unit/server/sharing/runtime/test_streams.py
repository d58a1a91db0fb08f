"""Frames that wait: how many, how long, whose turn it is, and what becomes of those that have no place."""

import numpy as np
import pytest

from server.errors import NotReady, UnknownStream
from server.sharing.runtime.frames import Frame, Late, Listener
from server.sharing.runtime.streams import Streams, Taken

LATE_S, LIMIT = 0.2, 3


def a_frame(id: int, at_s: float = 0.0) -> Frame:  # noqa: A002 - the field's name
    return Frame(id, np.zeros((1, 2, 2), np.float32), at_s)


def streams_of(*late: Late) -> tuple[Streams, list[int]]:
    streams = Streams(LATE_S, LIMIT)
    listener = Listener(lambda _done: None)
    return streams, [streams.open(listener, 10.0, policy) for policy in late]


def one(_index: int, _fps: float) -> int:
    """A task is due on every frame."""
    return 1


def taken(streams: Streams, count: int = 8, now_s: float = 0.0) -> Taken:
    what = streams.take(count, lambda: now_s)
    assert what is not None
    return what


def ids(what: Taken) -> list[int]:
    return [waiting.frame.id for waiting in what.run]


def test_a_live_stream_that_is_full_drops_its_oldest_frame():
    streams, [live] = streams_of("drop")

    dropped = [streams.offer(live, a_frame(i), one)[2] for i in range(5)]

    told = [d and (d.waiting.frame.id, d.reason) for d in dropped]
    assert told == [None, None, None, (0, "queue_full"), (1, "queue_full")]
    assert ids(taken(streams)) == [2, 3, 4]


def test_a_frame_that_waited_too_long_on_a_live_stream_is_dropped():
    streams, [live] = streams_of("drop")
    for i in range(3):
        streams.offer(live, a_frame(i, at_s=0.1 * i), one)

    what = taken(streams, now_s=0.1 + LATE_S + 0.05)

    assert [(d.waiting.frame.id, d.reason) for d in what.dropped] == [(0, "late"), (1, "late")]
    assert ids(what) == [2]


def test_recorded_material_is_never_dropped_but_refused_until_there_is_room():
    streams, [recorded] = streams_of("wait")

    accepted = [streams.offer(recorded, a_frame(i), one) for i in range(4)]
    what = taken(streams, count=1, now_s=1e6)

    assert accepted[3] == (False, None, None)
    assert all(ok and drop is None for ok, _, drop in accepted[:3])
    assert what.dropped == ()
    assert [stream.id for stream in what.ready] == [recorded]
    assert streams.offer(recorded, a_frame(3), one)[0]
    assert ids(taken(streams)) == [1, 2, 3]


def test_room_is_told_once_for_each_refusal():
    streams, [recorded] = streams_of("wait")
    for i in range(4):
        streams.offer(recorded, a_frame(i), one)

    assert len(taken(streams, count=1).ready) == 1
    assert taken(streams, count=1).ready == ()


def test_a_refused_frame_keeps_its_index():
    streams, [recorded] = streams_of("wait")
    for i in range(4):
        streams.offer(recorded, a_frame(i), one)
    taken(streams)

    streams.offer(recorded, a_frame(3), one)

    assert [waiting.index for waiting in taken(streams).run] == [3]


def test_a_frame_that_nothing_is_due_on_does_not_wait_and_still_counts():
    streams, [live] = streams_of("drop")

    _, skipped, _ = streams.offer(live, a_frame(7), lambda index, _fps: index % 2)
    streams.offer(live, a_frame(8), lambda index, _fps: index % 2)

    assert skipped is not None
    assert skipped.frame.id == 7
    assert ids(taken(streams)) == [8]


def test_streams_take_turns():
    streams, [a, b] = streams_of("wait", "wait")
    for i in range(3):
        streams.offer(a, a_frame(i), one)
    streams.offer(b, a_frame(10), one)

    assert sorted(ids(taken(streams, count=2))) == [0, 10]


def test_frames_of_one_stream_are_taken_in_their_order():
    streams, [a, b] = streams_of("wait", "wait")
    for i in range(3):
        streams.offer(a, a_frame(i), one)
        streams.offer(b, a_frame(10 + i), one)

    order = ids(taken(streams, count=4)) + ids(taken(streams))

    assert [i for i in order if i < 10] == [0, 1, 2]
    assert [i for i in order if i >= 10] == [10, 11, 12]


def test_what_waits_on_a_stream_that_is_closed_is_dropped_and_the_stream_unknown():
    streams, [a, b] = streams_of("wait", "drop")
    streams.offer(a, a_frame(0), one)
    streams.offer(b, a_frame(1), one)

    left = streams.close(a)

    assert [(d.waiting.frame.id, d.reason) for d in left] == [(0, "closed")]
    assert ids(taken(streams)) == [1]
    with pytest.raises(UnknownStream, match=f"no stream {a}"):
        streams.offer(a, a_frame(2), one)


def test_once_stopped_nothing_is_taken_or_given():
    streams, [a] = streams_of("drop")
    streams.offer(a, a_frame(0), one)

    assert [d.waiting.frame.id for d in streams.stop()] == [0]
    assert streams.take(8, lambda: 0.0) is None
    with pytest.raises(NotReady):
        streams.offer(a, a_frame(1), one)
