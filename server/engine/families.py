"""The families of a server: those that can be served, and why others are not. A bad one costs the others nothing."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.artifacts import (
    ArtifactError,
    Found,
    default_repository,
    family_names,
    look_through,
)
from models.catalog import Family, Slo
from profiler.hardware.fingerprint import Hardware
from server.config import Config
from server.engine.parts import Neighbours
from server.engine.unit import Unit
from server.engine.unserved import Unserved
from server.errors import BadConfiguration
from server.metrics import Metrics

_log = logging.getLogger(__name__)


class Families:
    """A unit for every family that can be served. Raises BadConfiguration where none can, or, if strict, not all."""

    def __init__(
        self,
        found: Found,
        config: Config,
        hardware: Hardware,
        metrics: Metrics,
        neighbours: Neighbours,
    ) -> None:
        self._strict = config.models.strict
        self._others = bool(config.sharing.package)
        self._metrics = metrics
        self.unserved = Unserved()
        self.units: dict[str, Unit] = {}
        for name, reason in found.bad.items():
            self._leave_out(name, reason)
        for name, family in found.families.items():
            try:
                self.units[name] = Unit(family, config, hardware, metrics, neighbours)
            except BadConfiguration as error:
                self._leave_out(name, str(error))
                continue
            except Exception as error:  # noqa: BLE001 - whatever is odd about one family, the others serve
                _log.debug("family %s cannot be served", name, exc_info=error)
                self._leave_out(
                    name, f"family {name} cannot be served: {type(error).__name__}: {error}"
                )
                continue
            metrics.watch_ready(name, partial(self.is_up, name))
        if reason := self._end():
            raise BadConfiguration(reason)
        self._say(self.unserved.reasons)

    def is_up(self, name: str) -> bool:
        """Whether the family of this name serves."""
        unit = self.units.get(name)
        return unit is not None and name not in self.unserved and unit.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether every family that can be served is."""
        served = [*self.served()]
        return (bool(served) or self._others) and all(unit.is_ready for unit in served)

    def served(self) -> Iterator[Unit]:
        """The units that serve, or are about to."""
        return (unit for name, unit in self.units.items() if name not in self.unserved)

    def failed(self, name: str, reason: str) -> str:
        """This family cannot be loaded: the others go on, unless a reason for the server to end is returned."""
        self._leave_out(name, reason)
        end = self._end()
        if not end:
            self._say({name: self.unserved.reasons[name]})
        return end

    def _leave_out(self, name: str, reason: str) -> None:
        self.unserved.add(name, reason)
        self._metrics.watch_ready(name, lambda: False)

    def _end(self) -> str:
        """Why the server cannot go on, one line for each of the reasons; empty where it can."""
        reasons = dict.fromkeys(self.unserved.reasons.values())
        goes_on = self._others or next(self.served(), None) is not None
        if not reasons or (goes_on and not self._strict):
            return ""
        return "\n".join(reasons)

    def _say(self, reasons: Mapping[str, str]) -> None:
        for name, reason in reasons.items():
            _log.error("family %s is not served, the others are: %s", name, reason)


def found_for(config: Config) -> Found:
    """What the repository has of the families that the configuration names. Raises BadConfiguration."""
    root = Path(config.models.repository) if config.models.repository else default_repository()
    try:
        found = look_through(root, config.models.families)
        known = family_names(root)
    except ArtifactError as error:
        raise BadConfiguration(str(error)) from error
    missing = [name for name in config.models.families if name not in (*found.families, *found.bad)]
    if missing or not (found.families or found.bad or config.sharing.package):
        wanted = ", ".join(missing) or "any family"
        raise BadConfiguration(
            f"model repository {root} does not hold {wanted} (it has: {', '.join(known) or 'nothing'}); "
            "add a model of yours with `gearshift models add FILE.onnx`, build the embedded one with "
            "`gearshift models build`, or set --repository"
        )
    chosen = config.models.families or tuple(found.families)
    families = {
        name: replace(found.families[name], slo=_slo(found.families[name], config))
        for name in chosen
        if name in found.families
    }
    return Found(families, found.bad)


def _slo(family: Family, config: Config) -> Slo:
    """The family's default SLO, as the operator overrides it."""
    return replace(
        family.slo,
        latency_s=config.slo.latency_ms / 1e3 or family.slo.latency_s,
        min_accuracy=config.slo.min_accuracy or family.slo.min_accuracy,
    )
