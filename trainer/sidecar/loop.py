"""The sidecar's loop: see what a server lacks, train it at low priority, publish it, hear the verdict, again.

Nothing that matters is only in memory: a run is in its checkpoint or marked as diverged in its place, all else in the
repository and the server.
"""

import hashlib
import json
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import torch

from models.catalog import Slo
from trainer.data import load
from trainer.data.download import default_cache
from trainer.errors import Diverged, TrainError
from trainer.publish.deliver import EVERY, Place, check, deliver
from trainer.run.loop import Run
from trainer.run.outcome import Reporting, finish
from trainer.run.prepare import prepare
from trainer.run.settings import Settings, made
from trainer.sidecar import frontier, memory
from trainer.sidecar.assignment import Assignment
from trainer.sidecar.frontier import PENDING, Frontier, NoServer
from trainer.sidecar.gaps import MOST_SEEDS, Proposal, Tried
from trainer.sidecar.planning import Planner, as_values
from trainer.stopping import Signals

_log = logging.getLogger(__name__)

_POLL_S = 1.0
_SAVED_EVERY_S = 10.0
_LOGGED_EVERY_S = 60.0
_DIVERGED = ".diverged"
"""In place of a checkpoint's suffix: an empty file that says what came of the run."""


def log_to_stderr() -> None:
    """One line for whatever an operator should know, with its time."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)


class _Watched:
    """Asked after every step whether to stop, it tells how far the run is now and then."""

    def __init__(self, signals: Signals, run: Run) -> None:
        self._signals = signals
        self._run = run
        self._logged_s = time.monotonic()

    def asked(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._logged_s >= _LOGGED_EVERY_S:
            self._logged_s = now_s
            network, share = self._run.settings.network, self._run.share
            _log.info("training %s: %.0f %% of the budget is spent", network, 100 * share)
        return self._signals.asked()


class Sidecar:
    """Works on `assignment`; `values` are what all its runs have in common. Raises TrainError for what cannot be."""

    def __init__(
        self, assignment: Assignment, values: Mapping[str, Any], device: torch.device
    ) -> None:
        self._assignment = assignment
        self._values = values
        self._device = device
        precisions = assignment.precisions or EVERY
        slo = Slo(assignment.aim.slo_ms / 1e3, assignment.aim.min_accuracy)
        self._place = Place(assignment.repository, assignment.family, precisions, slo)
        attempts = [(n, b) for n in assignment.networks for b in assignment.budgets]
        settings = [self._settings(network, budget, 0) for network, budget in attempts]
        dataset = load(settings[0].data)
        check(self._place, dataset)
        self.planner = Planner(assignment, dataset)
        self._work = assignment.work or default_cache().parent / "training" / assignment.family
        self._left = set[str]()
        self._said = ""

    def run(self, signals: Signals) -> None:
        """Until all rounds are done, or a signal comes. Raises TrainError, Stopped where a run was saved half-way."""
        done, rounds = 0, self._assignment.pace.rounds
        while not signals.asked() and (not rounds or done < rounds):
            proposal = self._saved() or self._proposed(signals)
            if proposal is None:
                if rounds:
                    return
                signals.wait(self._assignment.pace.idle_s)
                continue
            self._said = ""
            self._pursue(proposal, signals)
            done += 1

    def next(self, known: Frontier | None = None) -> Proposal | None:
        """What would be trained next; asks the server unless its frontier is `known`. Raises TrainError."""
        if known is None and (saved := self._saved()):
            return saved
        family = memory.published(self._assignment.repository, self._assignment.family)
        if family is None and known is None:
            return self.planner.first(self._diverged())
        return self.planner.next(family, known or self._ask(), self._diverged())

    def _proposed(self, signals: Signals) -> Proposal | None:
        """None where there is nothing to do for now; why is said once."""
        try:
            self._await_pending(signals)
            proposal = None if signals.asked() else self.next()
        except NoServer as error:
            if self._assignment.pace.rounds:
                raise
            self._say(f"{error}; waiting for it")
            return None
        if proposal is None and not signals.asked():
            self._say(as_values(None)["reason"])
        return proposal

    def _pursue(self, proposal: Proposal, signals: Signals) -> None:
        """Train, publish, and wait for what the server says."""
        attempt = proposal.attempt
        _log.info("training %s from seed %d: %s", attempt.network, proposal.seed, proposal.reason)
        settings = self._settings(attempt.network, attempt.budget, proposal.seed)
        is_new = memory.published(self._assignment.repository, self._assignment.family) is None
        saved = self._checkpoint(settings)
        prepared = prepare(settings, self._device)
        watched = _Watched(signals, prepared.run)
        reporting = Reporting(not sys.stderr.isatty(), None, saved, _SAVED_EVERY_S, watched.asked)
        try:
            outcome = finish(prepared, reporting)
        except Diverged as error:
            _log.warning("%s: %s; not tried again", attempt.network, error)
            _mark(saved.with_suffix(_DIVERGED))
            saved.unlink(missing_ok=True)
            return
        names = deliver(prepared, outcome, self._place)
        saved.unlink(missing_ok=True)
        result = f"{outcome['test_error']:.2%} test error, {outcome['cpu_seconds']:.1f} s of CPU"
        _log.info("published %s: %s", ", ".join(names), result)
        if is_new:
            text = "family %s is new: serve it with `gearshift serve --repository %s`"
            _log.info(text, self._assignment.family, self._assignment.repository)
        else:
            self._hear(names, signals)

    def _hear(self, names: list[str], signals: Signals) -> None:
        """Say each verdict as it falls; what the server takes too long about is left to it."""
        waiting, until_s = list(names), time.monotonic() + self._assignment.pace.verdict_s
        while waiting and time.monotonic() < until_s and not signals.asked():
            try:
                found = self._ask()
            except NoServer as error:
                self._say(f"{error}; waiting for its verdict")
                found = None
            for name in list(waiting):
                one = found.standing(name) if found else None
                if one is not None and one.state not in PENDING:
                    _log.info(
                        "%s is %s%s",
                        name,
                        one.state.replace("_", " "),
                        f": {one.reason}" * bool(one.reason),
                    )
                    waiting.remove(name)
            if waiting:
                signals.wait(_POLL_S)
        self._left.update(waiting)
        if waiting and not signals.asked():
            _log.info("no verdict yet on %s; the server goes on with it", ", ".join(waiting))

    def _await_pending(self, signals: Signals) -> None:
        """Of an earlier life: what is on trial may change what is worth training."""
        if memory.published(self._assignment.repository, self._assignment.family) is None:
            return
        pending = [v.name for v in self._ask().variants if v.state in PENDING]
        if new := [name for name in pending if name not in self._left]:
            _log.info("waiting for the verdict on %s", ", ".join(new))
            self._hear(new, signals)

    def _saved(self) -> Proposal | None:
        """What was interrupted and is not published yet."""
        family = memory.published(self._assignment.repository, self._assignment.family)
        done = {(t.attempt, t.seed) for t in self.planner.tried(family)}
        for attempt, seed in product(self.planner.attempts, range(MOST_SEEDS)):
            saved = self._checkpoint(self._settings(attempt.network, attempt.budget, seed))
            if (attempt, seed) in done:
                saved.unlink(missing_ok=True)
            elif saved.exists():
                return Proposal(attempt, seed, "this was interrupted and goes on", 0.0)
        return None

    def _diverged(self) -> list[Tried]:
        """Runs that went wrong with these very settings, in earlier lives too."""
        found = product(self.planner.attempts, range(MOST_SEEDS))
        return [
            Tried(attempt, seed, 0.0, "failed")
            for attempt, seed in found
            if self._checkpoint(self._settings(attempt.network, attempt.budget, seed))
            .with_suffix(_DIVERGED)
            .exists()
        ]

    def _ask(self) -> Frontier:
        return frontier.ask(self._assignment.server, self._assignment.family)

    def _settings(self, network: str, budget: float, seed: int) -> Settings:
        return made({**self._values, "network": network, "budget": budget, "seed": seed})

    def _checkpoint(self, settings: Settings) -> Path:
        """Another for every difference in the settings."""
        text = json.dumps(asdict(settings), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._work / f"{settings.network}-{digest}.pt"

    def _say(self, text: str) -> None:
        """Once, until something else is to be said."""
        if text != self._said:
            _log.info("%s", text)
        self._said = text


def _mark(path: Path) -> None:
    """Raises TrainError where it cannot be written: the same run would be begun again and again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise TrainError(f"{path} cannot be written: {error.strerror}; set key `work`") from error
