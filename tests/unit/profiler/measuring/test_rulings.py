"""What a stored verdict is worth beside today's rules."""

from dataclasses import replace

import pytest

from profiler.measuring import rulings
from profiler.profiles import UNVETTED, Point, Profile, Vetted

ONE, MANY = Point(1, 9, 0.01, 0.012, 0.013, 0.0101), Point(8, 9, 0.02, 0.022, 0.023, 0.0201)
OLD = Vetted("made", by="other")
PROFILE = Profile("a", "fp32", "onnxruntime", "cpu", 1, (ONE, MANY), vetted=OLD)
APART, ALONE = Vetted("made", by=rulings.rules()), Vetted("made", "mixes", by=rulings.rules())


def test_a_verdict_holds_by_todays_rules_only():
    assert rulings.holds(APART)
    assert not rulings.holds(OLD)
    assert not rulings.holds(UNVETTED)


def test_a_changed_module_makes_other_rules(monkeypatch: pytest.MonkeyPatch):
    sources = [b"if rows:\n", b"    mix()\n"]
    told: set[str] = {rulings.rules()}
    for changed in (sources, sources[::-1], [*sources, b"\n"]):
        monkeypatch.setattr(rulings, "_sources", lambda changed=changed: iter(changed))
        told.add(rulings.rules.__wrapped__())

    assert len(told) == 4


def test_rows_that_must_run_alone_leave_no_timings_of_batches():
    assert rulings.under(PROFILE, ALONE) == replace(PROFILE, vetted=ALONE, points=(ONE,))
    assert rulings.under(PROFILE, APART) == replace(PROFILE, vetted=APART)
    assert rulings.under(replace(PROFILE, points=(MANY,)), ALONE) is None


def test_what_ran_alone_and_need_not_any_more_is_measured_anew():
    alone = replace(PROFILE, vetted=replace(OLD, alone="mixes"))

    assert rulings.under(alone, APART) is None
    assert rulings.believed(alone, UNVETTED) is None


def test_what_is_known_now_goes_before_what_is_stored_by_other_rules():
    assert rulings.believed(PROFILE, UNVETTED) == PROFILE
    assert rulings.believed(PROFILE, ALONE) == rulings.under(PROFILE, ALONE)
    assert rulings.believed(replace(PROFILE, vetted=APART), ALONE) == replace(PROFILE, vetted=APART)
