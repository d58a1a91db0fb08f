"""Series of shared tasks: counts begin at 0, gauges are of this moment, tasks out of service leave nothing."""

from prometheus_client import CollectorRegistry, generate_latest

from server.sharing.metrics import ShareFigures, ShareMetrics, TaskFigures


def exposed(registry: CollectorRegistry) -> list[str]:
    """The lines of a scrape, but for comments and times of creation."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#") and "_created" not in line]


def metrics(registry: CollectorRegistry) -> ShareMetrics:
    """With one name of each kind."""
    return ShareMetrics(registry, ["analysed"], ["late"], ["task_added"])


def figures(*tasks: TaskFigures) -> ShareFigures:
    """One stream of these."""
    return ShareFigures(tasks, 1, 0.5, 0.25, 2.0, 0.75)


def test_every_count_by_name_begins_at_zero():
    registry = CollectorRegistry()
    metrics(registry)

    lines = exposed(registry)

    assert 'gearshift_share_frames_total{outcome="analysed"} 0.0' in lines
    assert 'gearshift_share_dropped_frames_total{reason="late"} 0.0' in lines
    assert 'gearshift_share_replans_total{reason="task_added"} 0.0' in lines


def test_a_task_in_service_has_its_counts_and_one_that_was_has_none():
    registry = CollectorRegistry()
    one = metrics(registry)

    one.in_service(["a", "b"])
    one.analysed("a", 5, 1)
    one.head_ran("a", 0.5)
    one.in_service(["b"])
    one.analysed("a", 8, 0)  # a batch that was under way
    one.head_ran("a", 0.5)

    lines = [line for line in exposed(registry) if line.startswith("gearshift_task_")]
    assert sorted(lines) == [
        'gearshift_task_frames_total{outcome="failed",task="b"} 0.0',
        'gearshift_task_frames_total{outcome="ok",task="b"} 0.0',
        'gearshift_task_seconds_total{task="b"} 0.0',
    ]


def test_frames_without_a_score_are_counted_apart():
    registry = CollectorRegistry()
    one = metrics(registry)

    one.in_service(["a"])
    one.analysed("a", 5, 2)

    lines = exposed(registry)
    assert 'gearshift_task_frames_total{outcome="ok",task="a"} 3.0' in lines
    assert 'gearshift_task_frames_total{outcome="failed",task="a"} 2.0' in lines


def test_gauges_are_asked_for_at_every_scrape():
    registry = CollectorRegistry()
    now = [figures(TaskFigures("a", 3, 5.0, 4.5, 0.75, None))]
    metrics(registry).watch(lambda: now[0])

    first = exposed(registry)
    now[0] = figures(TaskFigures("b", 0, 2.0, 2.0, 0.5, 0.25))
    second = exposed(registry)

    assert 'gearshift_task_frozen_layers{task="a"} 3.0' in first
    assert 'gearshift_task_achieved_fps{task="a"} 4.5' in first
    assert not [line for line in first if line.startswith("gearshift_task_measured_f1_ratio")]
    assert 'gearshift_task_measured_f1_ratio{task="b"} 0.25' in second
    assert not [line for line in second if '"a"' in line]
    assert "gearshift_stem_reuse_ratio 2.0" in second


def test_before_there_is_anything_to_tell_no_gauge_shows():
    registry = CollectorRegistry()
    metrics(registry).watch(lambda: None)

    assert not [line for line in exposed(registry) if "planned" in line or "busy_ratio" in line]
