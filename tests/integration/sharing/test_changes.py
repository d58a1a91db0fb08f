"""Tasks, streams, budgets and costs change while streams run; what does not fit is refused and changes nothing."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from server.errors import (
    BadInput,
    BadPackage,
    BudgetTooSmall,
    NotReady,
    TaskPresent,
    UnknownStream,
    UnknownTask,
)
from server.sharing.control.limits import ShareLimits
from server.sharing.control.share import Share
from server.sharing.runtime.frames import Frame
from server.sharing.runtime.networks import Folder
from tests.support.sharing.packages import add_task
from tests.support.sharing.shares import (
    FPS,
    PATIENCE_S,
    ROOMY_S,
    SHARED_S,
    TASKS,
    Clock,
    Heard,
    PricedFolder,
    Replans,
    a_share,
    hanging,
    offer,
    pixels,
    scores_of,
)


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


def test_a_task_that_is_removed_while_its_frame_runs_still_answers_it(
    source: PricedFolder, clock: Clock
):
    replans, heard = Replans(), Heard()
    with a_share(source, clock, replans) as share:
        share.add_task("a")
        share.add_task("b")
        stream = share.open(heard.listener, FPS, "wait")
        share.tend()  # heads are measured together now, not while they hang
        with hanging(source, "a@") as reached:
            offer(share, stream, heard, range(2))
            assert reached.wait(PATIENCE_S)
            replans.swapped.clear()
            removing = threading.Thread(target=share.remove_task, args=("b",))
            removing.start()
            assert replans.swapped.wait(PATIENCE_S)
        removing.join(PATIENCE_S)
        done = heard.wait(2)

    assert 1 in scores_of(done, "b")


def test_a_task_that_does_not_fit_is_refused_with_the_smallest_budget_and_nothing_changes(
    source: PricedFolder, clock: Clock
):
    with a_share(source, clock, budget_s=0.0158) as share:
        before = share.add_task("a")
        with pytest.raises(BudgetTooSmall, match="smallest budget") as refused:
            share.add_task("b")

        assert share.plan().plan == before
        assert "branches at" in before.choices[0].reason
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


def test_a_task_goes_on_by_its_old_heads_after_they_have_gone_from_the_disk(
    share: Share, tmp_path: Path
):
    for task in TASKS:
        share.add_task(task)
    for task in TASKS:
        add_task(tmp_path, Folder(tmp_path / "tiny").read(), task, level=0.95)
    share.add_task("a")
    add_task(tmp_path, Folder(tmp_path / "tiny").read(), "e")

    plan = share.set_budget(SHARED_S)

    assert all(choice.frozen for choice in plan.choices)
    heard = Heard()
    offer(share, share.open(heard.listener, FPS, "wait"), heard, range(2))
    assert [result.error for result in heard.wait(2)[-1].results] == [""] * len(TASKS)


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
        Share(Folder(tmp_path / "tiny"), ShareLimits(1.0, (5.0,))).plan()
    with pytest.raises(BadPackage, match="cannot be read"):
        Share(Folder(tmp_path / "none"), ShareLimits(1.0, (5.0,))).start()
