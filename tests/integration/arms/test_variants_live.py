"""One family's unit in this process, ticked by the test: variants come and go where hardware and luck change too."""

import json
import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from models.artifacts import load_family
from models.catalog import Family
from profiler import store
from profiler.hardware.fingerprint import Hardware
from server.config import (
    CandidatesSection,
    Config,
    MachineSection,
    ModelsSection,
    PolicySection,
    ProfilesSection,
)
from server.engine.parts import Neighbours
from server.engine.unit import CANDIDATES, Unit
from server.errors import NotReady
from server.metrics import Metrics
from server.policy.candidates.candidacy import Ordered, Profiling, Trial
from server.runtime.arms.work_queue import WorkQueue
from server.runtime.dispatch.jobs import Job, JobAnswer
from tests.support.serving.families import ECHO, WIDTH, publish_scripted

HERE = Hardware("Some CPU", 2, ("avx2",), 16, (), ("scripted",))
THERE = replace(HERE, cpu="Another CPU")
QUICK, SHARP = "fixed_s = 0.001", "fixed_s = 0.003"
PATIENCE_S = 20.0


class Rig:
    """`unit` of the family `echo`: `quick` serves, `sharp` is a candidate by this script."""

    def __init__(self, folder: Path, sharp: str = SHARP, policy: str = "adaptive") -> None:
        self.profiles = folder / "profiles"
        self._models = folder / "models"
        self.family = self.publish({"quick": QUICK, "sharp": sharp}, "sharp")
        config = Config(
            models=ModelsSection(repository=str(self._models)),
            policy=PolicySection(policy),
            machine=MachineSection(workers=1, threads=1),
            profiles=ProfilesSection(str(self.profiles), budget_s=2.0),
            candidates=CandidatesSection(shadow_share=1.0, trial_rows=1),
        )
        found = load_family(self._models / "echo")
        self.answers: list[JobAnswer] = []
        alone = Neighbours(self.answers.extend, lambda: None, lambda _family: 1 << 20)
        self.unit = Unit(found, config, HERE, Metrics(CollectorRegistry(), []), alone)
        self.unit.start()
        self.unit.prepare()

    def publish(self, scripts: dict[str, str], *candidates: str) -> Family:
        """The family as its publisher wants it now."""
        accuracies = {"quick": 0.7, "sharp": 0.8}
        return publish_scripted(self._models, ECHO, scripts, accuracies, candidates)

    def arms(self) -> set[str]:
        """Variants that the policy may choose."""
        return {arm.arm.variant for arm in self.unit.served.dispatcher.arms}

    def order(self, *, promote: bool) -> None:
        """An operator's word on `sharp`, carried out in the next tick."""
        done = self.unit.served.candidates.order("sharp", Ordered(promote))
        self.unit.tick()
        done.result(0.0)

    def tick_until(self, reached: Callable[[], bool]) -> None:
        """Tick, as the tuner's thread does, until that is so."""
        until_s = time.monotonic() + PATIENCE_S
        while not reached():
            assert time.monotonic() < until_s, "that never came to be"
            self.unit.tick()

    def stage(self) -> object:
        """How far `sharp` has come."""
        return self.unit.served.candidates.stages.entries["sharp"].life.stage

    def ask(self) -> JobAnswer:
        """One request, answered."""
        before, now_s = len(self.answers), time.monotonic()
        row = {"x": np.ones((1, WIDTH), np.float32)}
        job = Job(row, 1, now_s, now_s + 2.0, 0.0, None, "default", None)
        self.unit.served.dispatcher.submit([job])
        self.tick_until(lambda: len(self.answers) > before)
        return self.answers[-1]

    def verdicts(self) -> list[str]:
        """Those on disk."""
        path = self.profiles / CANDIDATES / "echo.json"
        return [one["kind"] for one in json.loads(path.read_text())["verdicts"]]

    def close(self) -> None:
        """Stop and free all."""
        self.unit.stop()
        self.unit.join()


Made = Callable[..., Rig]


@pytest.fixture
def rigged(tmp_path: Path) -> Generator[Made]:
    """Makes a rig that is closed in the end."""
    made: list[Rig] = []

    def make(sharp: str = SHARP, policy: str = "adaptive") -> Rig:
        made.append(Rig(tmp_path, sharp, policy))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def test_on_hardware_not_measured_yet_arms_in_use_stay_when_another_comes_and_goes(rigged: Made):
    rig = rigged()
    rig.unit.moved_to(THERE, WorkQueue())

    rig.order(promote=True)
    both = rig.arms()
    rig.order(promote=False)

    assert both == {"quick", "sharp"}
    assert rig.arms() == {"quick"}
    assert rig.ask().error is None


def test_after_a_newcomer_was_measured_the_others_still_are_to_be(rigged: Made):
    rig = rigged()
    rig.unit.moved_to(THERE, WorkQueue())
    rig.publish({"quick": QUICK, "sharp": SHARP})
    rig.tick_until(lambda: rig.arms() == {"quick", "sharp"})

    rig.tick_until(lambda: _stored(rig, THERE).keys() == {"quick", "sharp"})


def test_the_arm_that_a_policy_is_pinned_to_goes_on_when_it_is_no_longer_published(rigged: Made):
    rig = rigged(policy="static:quick")
    rig.order(promote=True)
    rig.publish({"sharp": SHARP})
    rig.tick_until(lambda: [v.name for v in rig.unit.served.family.variants] == ["sharp"])
    rig.unit.tick()

    answer = rig.ask()

    assert answer.error is None
    assert answer.batch is not None
    assert answer.batch.profile.arm.variant == "quick"


def test_a_candidate_is_measured_anew_on_other_hardware(rigged: Made):
    rig = rigged()
    rig.tick_until(lambda: isinstance(rig.stage(), Trial))
    before = _stored(rig, HERE)
    rig.unit.moved_to(THERE, WorkQueue())

    rig.tick_until(lambda: "sharp" in _stored(rig, THERE))

    assert _stored(rig, HERE) == before


def test_a_candidate_that_cannot_be_run_once_it_is_promoted_does_not_count_as_serving(
    rigged: Made, tmp_path: Path
):
    ill = tmp_path / "ill"
    rig = rigged(f'{SHARP}\nfail_from_run = 1\nonly_while = "{ill}"')
    rig.tick_until(lambda: isinstance(rig.stage(), Trial))
    rig.unit.tick()  # looks at it, for the first time on trial; not again for a second

    rig.ask()
    rig.tick_until(lambda: _compared(rig) > 0)
    ill.touch()
    rig.tick_until(lambda: not isinstance(rig.stage(), Trial))

    assert rig.verdicts() == ["rolled_back"]
    assert "it cannot be run: " in str(rig.stage())
    assert {v.name for v in rig.unit.served.family.variants} == {"quick"}


def test_who_is_being_promoted_when_the_server_stops_is_not_said_to_be_unfit(
    rigged: Made, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    rig = rigged()
    done = rig.unit.served.candidates.order("sharp", Ordered(promote=True))
    ticking = threading.Thread(target=rig.unit.tick)
    assert isinstance(rig.stage(), Profiling)

    ticking.start()
    while "measuring sharp" not in caplog.text:
        assert ticking.is_alive()
    rig.unit.stop()
    ticking.join()

    assert isinstance(done.exception(0.0), NotReady)
    assert rig.verdicts() == ["promoted"]


def _stored(rig: Rig, hardware: Hardware) -> dict[str, object]:
    """Profiles of that hardware, on disk."""
    family: Family = rig.family
    known = store.load(rig.profiles, family, hardware.fingerprint())
    return {p.variant: p for p in known.profiles} if known else {}


def _compared(rig: Rig) -> float:
    stage = rig.stage()
    return stage.tally.rows if isinstance(stage, Trial) else 0.0
