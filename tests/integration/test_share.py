"""Shared tasks in service on streams: one answer to every frame, whatever happens to tasks, networks and budgets."""

import threading
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from server.errors import (
    BadInput,
    BudgetTooSmall,
    NotReady,
    TaskPresent,
    UnknownStream,
    UnknownTask,
)
from server.policy.sharing.voting import Begun, Ended
from server.runtime.sharing.frames import Frame, FrameDone, StreamId
from server.runtime.sharing.keeper import HUNG_S
from server.runtime.sharing.networks import Folder
from server.runtime.sharing.setup import Setup
from server.runtime.sharing.share import Share
from server.runtime.sharing.views import Window
from tests.packages import a_package, add_task, flat_frames
from tests.shares import PATIENCE_S, Clock, Heard, PricedFolder, a_share, pixels

TASKS = ("a", "b", "c", "d")
FPS = 10.0
ROOMY_S, SHARED_S = 10.0, 0.03
"""Budgets at which tasks share nothing, and at which four of them (62 ms a second alone) must share."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(tmp_path: Path, clock: Clock) -> PricedFolder:
    a_package(tmp_path, TASKS)
    return PricedFolder(tmp_path / "tiny", clock)


@pytest.fixture
def share(source: PricedFolder, clock: Clock) -> Iterator[Share]:
    with a_share(source, clock) as share:
        yield share


def offer(share: Share, stream: StreamId, heard: Heard, ids: range) -> None:
    """Each frame, waiting for room where there is none."""
    for i in ids:
        while not share.offer(stream, Frame(i, pixels(i), 0.0)):
            assert heard.room.wait(PATIENCE_S)
            heard.room.clear()


@contextmanager
def hanging(source: PricedFolder, what: str = "") -> Generator[threading.Event]:
    """Runs of what begins so do not return meanwhile; the event says that one has begun."""
    reached, free = threading.Event(), threading.Event()

    def hang(running: str) -> None:
        if running.startswith(what):
            reached.set()
            assert free.wait(PATIENCE_S)

    source.fault = hang
    try:
        yield reached
    finally:
        source.fault = lambda _what: None
        free.set()


def scores_of(done: list[FrameDone], task: str) -> dict[int, float]:
    return {
        one.frame_id: result.score
        for one in done
        for result in one.results
        if result.task == task and result.score is not None
    }


def run_alone(folder: Path, task: str, frozen: int, frame: int) -> float:
    """What the stem's first layers and the task's head say of one frame, nobody else there."""
    source = Folder(folder)
    networks = source.open(source.read())
    x = pixels(frame)[None]
    activation = networks.stem(x, 0, (frozen,))[frozen] if frozen else x
    return float(networks.head(task, frozen, activation)[0])


@pytest.mark.parametrize("budget_s", [ROOMY_S, SHARED_S])
def test_results_are_those_of_every_network_on_its_own(
    share: Share, tmp_path: Path, budget_s: float
):
    for task in TASKS:
        share.add_task(task)
    choices = {choice.task: choice for choice in share.set_budget(budget_s).choices}
    heard = Heard()

    offer(share, share.open(heard.listener, FPS, "wait"), heard, range(40))

    done = heard.wait(40)
    for task in TASKS:
        scores = scores_of(done, task)
        assert sorted(scores) == list(range(1, 40, 2))
        for frame in (1, 19, 39):
            alone = run_alone(tmp_path / "tiny", task, choices[task].frozen, frame)
            assert np.isclose(scores[frame], alone, atol=1e-5)


def test_a_small_budget_makes_tasks_share_and_the_stem_runs_once_for_all(
    share: Share, source: PricedFolder
):
    for task in TASKS:
        share.add_task(task)
    plan = share.set_budget(SHARED_S)
    heard, before = Heard(), len(source.calls)

    offer(share, share.open(heard.listener, FPS, "wait"), heard, range(20))
    heard.wait(20)

    assert plan.stem
    stems = [call for call in source.calls[before:] if call.startswith("stem 0-")]
    assert len(stems) <= 10
    view = share.plan()
    assert view.plan.cost <= SHARED_S
    assert view.reuse > 1.5
    assert view.traffic.outcomes == {"analysed": 10, "skipped": 10}


def test_a_task_at_a_low_rate_sees_some_of_the_frames_that_a_deeper_one_at_a_high_rate_sees(
    source: PricedFolder, clock: Clock
):
    with a_share(source, clock, rates_fps=(1.0, 2.0, 5.0), x_votes=(1, 2)) as share:
        for task in TASKS:
            share.add_task(task)
        plans = (share.set_budget(b / 1e4) for b in range(69, 60, -1))
        plan = next(p for p in plans if p.stem and len({c.rate_fps for c in p.choices}) > 1)
        heard = Heard()

        offer(share, share.open(heard.listener, FPS, "wait"), heard, range(100))
        done = heard.wait(100)

    rates = {c.task: c.rate_fps for c in plan.choices if c.frozen}
    fastest = max(rates, key=lambda task: rates[task])
    for task, rate_fps in rates.items():
        assert scores_of(done, task).keys() <= scores_of(done, fastest).keys()
        assert len(scores_of(done, task)) == 10 * rate_fps


def test_tasks_come_and_go_while_streams_run_and_no_frame_of_the_others_is_lost(share: Share):
    share.add_task("a")
    heards = [Heard(), Heard()]
    streams = [share.open(heard.listener, FPS, "wait") for heard in heards]
    count = 600
    offering = [
        threading.Thread(target=offer, args=(share, stream, heard, range(count)))
        for stream, heard in zip(streams, heards, strict=True)
    ]
    for thread in offering:
        thread.start()

    changes = 0
    while any(thread.is_alive() for thread in offering) or not changes:
        for task in TASKS[1:]:
            share.add_task(task)
        share.set_budget(2 * SHARED_S)
        for task in TASKS[1:]:
            share.remove_task(task)
        share.set_budget(ROOMY_S)
        changes += 1

    for heard in heards:
        done = heard.wait(count)
        assert Counter(one.frame_id for one in done) == Counter(range(count))
        assert sorted(scores_of(done, "a")) == list(range(1, count, 2))
        assert not [r.error for one in done for r in one.results if r.error]


def test_frames_of_several_streams_that_wait_run_together(share: Share, source: PricedFolder):
    for task in TASKS:
        share.add_task(task)
    share.set_budget(2 * SHARED_S)
    heards = [Heard() for _ in range(2)]
    streams = [share.open(heard.listener, FPS, "wait") for heard in heards]
    with hanging(source) as reached:
        offer(share, streams[0], heards[0], range(2))
        assert reached.wait(PATIENCE_S)
        before = len(source.calls)
        for stream, heard in zip(streams, heards, strict=True):
            offer(share, stream, heard, range(2, 8))
    for heard, count in zip(heards, (8, 6), strict=True):
        heard.wait(count)

    assert len([call for call in source.calls[before:] if call.startswith("stem 0-")]) == 1


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
    share.tend()
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")

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


def test_an_event_is_reported_from_its_first_positive_to_its_last(share: Share):
    share.add_task("a")  # positive from a mean of 51 on
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")
    for i in range(12):
        frame = flat_frames(200.0 if 3 <= i < 8 else 0.0)[0]
        share.offer(stream, Frame(100 + i, frame, 0.0))

    events = [event for one in heard.wait(12) for event in one.events]

    begun, ended = events
    assert isinstance(begun, Begun)
    assert isinstance(ended, Ended)
    assert begun.frame_id == 103
    assert (ended.first_frame, ended.last_frame, ended.frame_id) == (103, 107, 109)


def test_fed_back_labels_give_measured_f1(share: Share):
    share.add_task("a")
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")
    for i in range(20):
        share.offer(stream, Frame(i, flat_frames(200.0 if 5 <= i < 15 else 0.0)[0], 0.0))
    heard.wait(20)

    windows = [Window(0, 4, event=True), Window(5, 9, event=True), Window(10, 14, event=False)]
    assert share.labels(stream, "a", [*windows, Window(15, 19, event=False)]) == 4

    measured = share.plan().tasks[0].measured
    assert measured is not None
    assert (measured.windows, measured.scores.recall, measured.scores.precision) == (4, 0.5, 0.5)
    with pytest.raises(BadInput, match="ends before it begins"):
        share.labels(stream, "a", [Window(9, 5, event=True)])


def test_a_task_that_does_not_fit_is_refused_with_the_smallest_budget_and_nothing_changes(
    source: PricedFolder, clock: Clock
):
    with a_share(source, clock, budget_s=0.0158) as share:
        before = share.add_task("a")
        with pytest.raises(BudgetTooSmall, match="smallest budget") as refused:
            share.add_task("b")

        assert share.plan().plan == before
        share.set_budget(refused.value.smallest_s * 1.001)
        assert len(share.add_task("b").choices) == 2
        with pytest.raises(BudgetTooSmall):
            share.set_budget(0.001)
        assert share.plan().budget_s == refused.value.smallest_s * 1.001


def test_a_stream_that_does_not_fit_beside_the_others_is_refused(
    source: PricedFolder, clock: Clock
):
    with a_share(source, clock, budget_s=0.04) as share:
        share.add_task("a")
        first = share.open(Heard().listener, FPS, "drop")
        share.open(Heard().listener, FPS, "drop")
        with pytest.raises(BudgetTooSmall, match="3 stream") as refused:
            share.open(Heard().listener, FPS, "drop")
        assert share.plan().traffic.streams == 2

        share.close(first)
        share.open(Heard().listener, FPS, "drop")

    assert 0.04 < refused.value.smallest_s < 0.05


def test_a_task_changed_on_disk_is_upgraded_in_place(share: Share, tmp_path: Path):
    for task in TASKS[:2]:
        share.add_task(task)
    with pytest.raises(TaskPresent, match="'a'"):
        share.add_task("a")
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")
    bright = range(40, 44)
    offer(share, stream, heard, bright)
    heard.wait(4)

    add_task(tmp_path, Folder(tmp_path / "tiny").read(), "a", level=0.95)
    share.add_task("a")
    offer(share, stream, heard, bright)

    done = heard.wait(8)
    assert scores_of(done[:4], "a")[43] > 0.9
    assert scores_of(done[4:], "a")[43] < 0.1
    assert scores_of(done[4:], "b")[43] == pytest.approx(scores_of(done[:4], "b")[43])
    assert share.plan().replans["task_upgraded"] == 1
    assert share.upgrade() == share.plan().plan


def test_costs_that_have_moved_make_a_cheaper_plan(
    share: Share, source: PricedFolder, clock: Clock
):
    for task in TASKS:
        share.add_task(task)
    before = share.set_budget(0.064)
    heard, sent = Heard(), 0
    stream = share.open(heard.listener, FPS, "wait")
    source.times = 2.5

    while "costs_moved" not in share.plan().replans and sent < 2000:
        offer(share, stream, heard, range(sent, sent + 20))
        sent += 20
        heard.wait(sent)
        clock.pass_(1.0)
        share.tend()

    after = share.plan().plan
    assert share.plan().replans["costs_moved"] == 1
    assert after.cost <= 0.064
    assert sum(c.frozen for c in after.choices) > sum(c.frozen for c in before.choices)


def test_heads_that_are_due_together_are_fused_only_where_that_is_faster(
    share: Share, source: PricedFolder
):
    for task in TASKS:
        share.add_task(task)
    share.set_budget(SHARED_S)
    heard = Heard()
    stream = share.open(heard.listener, FPS, "wait")
    share.tend()
    offer(share, stream, heard, range(2))
    heard.wait(2)
    slow, source.fused = "+".join(source.calls[-3:]), 0.5
    share.set_budget(SHARED_S + 0.0001)
    share.tend()
    offer(share, stream, heard, range(2, 4))

    done = heard.wait(4)
    assert slow.count("+") == 2
    assert "+" in source.calls[-1] or "+" in source.calls[-2]
    assert {r.task for r in done[-1].results if r.score is not None} == set(TASKS)


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


def test_what_is_not_there_is_named(share: Share, tmp_path: Path):
    with pytest.raises(UnknownTask, match="no task 'z'; it has"):
        share.add_task("z")
    with pytest.raises(UnknownTask, match="'a' is not in service"):
        share.remove_task("a")
    with pytest.raises(UnknownStream, match="no stream 7"):
        share.offer(7, Frame(0, pixels(0), 0.0))
    with pytest.raises(BadInput, match="shape"):
        share.offer(1, Frame(0, pixels(0)[0], 0.0))
    with pytest.raises(NotReady):
        Share(Folder(tmp_path / "tiny"), Setup(1.0, (5.0,))).plan()
    with pytest.raises(NotReady, match="cannot be read"):
        Share(Folder(tmp_path / "none"), Setup(1.0, (5.0,))).start()
