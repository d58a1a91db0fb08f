"""One answer to every frame, whatever fails, hangs, comes late or ends."""

import numpy as np
import pytest

from models.backends.base import BackendError
from server.errors import ComputeFailed
from server.sharing.control.limits import HUNG_S
from server.sharing.control.share import Share
from server.sharing.runtime.frames import Frame
from tests.support.sharing.shares import (
    FPS,
    PATIENCE_S,
    SHARED_S,
    Clock,
    Heard,
    PricedFolder,
    a_share,
    hanging,
    offer,
    pixels,
    scores_of,
)


def test_a_failing_head_costs_only_its_own_results(share: Share, source: PricedFolder):
    share.add_task("a")
    share.add_task("b")
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")

    def fail(what: str) -> None:
        if what.startswith("b@"):
            raise RuntimeError("broken")

    source.fault = fail
    offer(share, stream, heard, range(4))

    done = {one.frame_id: one for one in heard.wait(4)}
    a, b = done[3].results
    assert done[3].outcome == "analysed"
    assert (a.task, b.task, b.score) == ("a", "b", None)
    assert a.score is not None
    assert "task 'b'" in b.error


def test_when_everything_fails_frames_are_answered_so_and_the_worker_goes_on(
    share: Share, source: PricedFolder
):
    share.add_task("a")
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")

    def fail(_what: str) -> None:
        raise RuntimeError("broken")

    source.fault = fail
    offer(share, stream, heard, range(2))
    heard.wait(2)
    source.fault = lambda _what: None
    offer(share, stream, heard, range(2, 4))

    outcomes = {one.frame_id: one.outcome for one in heard.wait(4)}
    assert outcomes == {0: "skipped", 1: "failed", 2: "skipped", 3: "analysed"}


def test_a_head_that_does_not_return_is_given_up_and_the_others_go_on(
    share: Share, source: PricedFolder, clock: Clock
):
    share.add_task("a")
    share.add_task("b")
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")
    share.tend()  # heads are measured together now, not while one hangs

    with hanging(source, "b@") as reached:
        offer(share, stream, heard, range(2))
        assert reached.wait(PATIENCE_S)
        clock.pass_(HUNG_S + 1)
        share.tend()
        offer(share, stream, heard, range(2, 4))
        done = {one.frame_id: one for one in heard.wait(4)}
    share.remove_task("b")
    share.add_task("b")
    offer(share, stream, heard, range(4, 6))

    assert done[1].outcome == "failed"
    assert scores_of([done[3]], "a")
    assert "upgrade or remove it" in done[3].results[1].error
    assert 5 in scores_of(heard.wait(6), "b")
    assert len(heard.done) == 6


def test_a_frame_that_comes_too_late_for_a_live_stream_is_dropped(
    source: PricedFolder, clock: Clock
):
    with a_share(source, clock, late_s=0.2) as share:
        share.add_task("a")
        live, recorded = Heard(), Heard()
        streams = (
            share.open(live.listener, FPS, "drop"),
            share.open(recorded.listener, FPS, "wait"),
        )
        for stream in streams:
            for i in range(2):
                share.offer(stream, Frame(i, pixels(i), clock() - 1.0))

        late, kept = live.wait(2)[1], recorded.wait(2)[1]
        dropped = share.plan().traffic.dropped

    assert (late.outcome, late.reason) == ("dropped", "late")
    assert kept.outcome == "analysed"
    assert dropped == {"late": 1}


def test_what_waits_when_a_stream_or_the_share_ends_is_answered(source: PricedFolder, clock: Clock):
    with a_share(source, clock) as share:
        share.add_task("a")
        first, second = Heard(), Heard()
        streams = [share.open(heard.listener, FPS, "wait") for heard in (first, second)]
        with hanging(source) as reached:
            offer(share, streams[0], first, range(2))
            assert reached.wait(PATIENCE_S)
            offer(share, streams[0], first, range(2, 4))
            offer(share, streams[1], second, range(2))
            share.close(streams[0])
        share.stop()

    ends = {one.frame_id: one.outcome for one in first.wait(4)}
    assert ends == {0: "skipped", 1: "analysed", 2: "skipped", 3: "dropped"}
    assert {one.outcome for one in second.wait(2)} <= {"skipped", "analysed", "dropped"}


def test_what_a_frame_says_that_outlives_its_stream_is_forgotten(
    share: Share, source: PricedFolder
):
    share.add_task("a")
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")
    with hanging(source) as reached:
        offer(share, stream, heard, range(2))
        assert reached.wait(PATIENCE_S)
        share.close(stream)
    heard.wait(2)

    share.tend()

    assert not share._running.context.reports._said  # noqa: SLF001 - nothing tells of it, and it must not grow


def test_a_frame_of_wild_pixels_costs_the_frames_beside_it_nothing(
    share: Share, source: PricedFolder
):
    share.add_task("a")
    wild, tame = Heard(), Heard()
    streams = [share.open(heard.listener, FPS, "wait") for heard in (wild, tame)]
    with hanging(source) as reached:
        offer(share, streams[0], wild, range(2))
        assert reached.wait(PATIENCE_S)
        for i in (2, 3):
            share.offer(streams[0], Frame(i, np.full_like(pixels(0), np.nan), 0.0))
        offer(share, streams[1], tame, range(2))

    assert wild.wait(4)[-1].outcome == "failed"
    assert scores_of(tame.wait(2), "a")


def test_a_head_that_hangs_while_it_is_measured_is_refused_and_the_rest_goes_on(
    source: PricedFolder, clock: Clock
):
    with a_share(source, clock, hung_s=1.0) as share:
        share.add_task("a")
        heard = Heard()
        stream = share.open(heard.listener, FPS, "wait")
        with hanging(source, "b@"):
            with pytest.raises(ComputeFailed, match=r"task 'b'.* did not come back within 1\.0 s"):
                share.add_task("b")
            share.add_task("c")
            offer(share, stream, heard, range(2))
            done = heard.wait(2)

    assert [result.task for result in done[-1].results] == ["a", "c"]


def test_a_head_that_fails_keeps_nothing_else_from_being_looked_after(
    share: Share, source: PricedFolder
):
    for task in ("a", "b"):
        share.add_task(task)
    share.set_budget(2 * SHARED_S)
    ended, heard = share.open(Heard().listener, FPS, "wait"), Heard()
    stream = share.open(heard.listener, FPS, "wait")

    def fail(what: str) -> None:
        if what.startswith("b@"):
            raise BackendError("broken")

    source.fault = fail
    share.close(ended)
    share.tend()
    offer(share, stream, heard, range(2))

    assert share.plan().replans["stream_closed"] == 1
    assert scores_of(heard.wait(2), "a")
