"""Tasks run on streams as planned: shared stems, batches, rates, events, measured F1."""

from pathlib import Path

import numpy as np
import pytest

from server.errors import (
    BadInput,
)
from server.sharing.control.share import Share
from server.sharing.planner.voting import Begun, Ended
from server.sharing.runtime.frames import Frame
from server.sharing.runtime.views import LabelledWindow
from tests.support.sharing.packages import flat_frames
from tests.support.sharing.shares import (
    FPS,
    PATIENCE_S,
    ROOMY_S,
    SHARED_S,
    TASKS,
    Clock,
    Heard,
    PricedFolder,
    a_share,
    hanging,
    offer,
    run_alone,
    scores_of,
)


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


def test_frames_of_several_streams_that_wait_run_together(share: Share, source: PricedFolder):
    for task in TASKS:
        share.add_task(task)
    share.set_budget(2 * SHARED_S)
    heards = [Heard() for _ in range(2)]
    streams = [share.open(heard.listener, FPS, "wait") for heard in heards]
    share.tend()  # heads are measured together now, not while they hang
    with hanging(source) as reached:
        offer(share, streams[0], heards[0], range(2))
        assert reached.wait(PATIENCE_S)
        before = len(source.calls)
        for stream, heard in zip(streams, heards, strict=True):
            offer(share, stream, heard, range(2, 8))
    for heard, count in zip(heards, (8, 6), strict=True):
        heard.wait(count)

    assert len([call for call in source.calls[before:] if call.startswith("stem 0-")]) == 1


def test_a_stream_slower_than_a_task_does_not_make_it_look_behind_its_plan(
    share: Share, clock: Clock
):
    share.add_task("a")
    quick, slow = Heard(), Heard()
    streams = [share.open(quick.listener, FPS, "wait"), share.open(slow.listener, 1.0, "wait")]
    offer(share, streams[0], quick, range(40))
    offer(share, streams[1], slow, range(4))
    quick.wait(40), slow.wait(4)
    clock.pass_(4.0)

    (task,) = share.plan().tasks

    assert task.achieved_fps == pytest.approx(task.choice.rate_fps, rel=0.05)


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

    windows = [
        LabelledWindow(0, 4, event=True),
        LabelledWindow(5, 9, event=True),
        LabelledWindow(10, 14, event=False),
    ]
    assert share.labels(stream, "a", [*windows, LabelledWindow(15, 19, event=False)]) == 4

    measured = share.plan().tasks[0].measured
    assert measured is not None
    assert (measured.windows, measured.scores.recall, measured.scores.precision) == (4, 0.5, 0.5)
    with pytest.raises(BadInput, match="ends before it begins"):
        share.labels(stream, "a", [LabelledWindow(9, 5, event=True)])
