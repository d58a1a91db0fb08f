"""The families of a server: those that can be served, and why others are not. A bad one costs the others nothing."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from models.artifacts import (
    ArtifactError,
    Found,
    family_names,
    look_through,
)
from models.catalog import Family
from server.config import Config
from server.engine.families.override import AS_PUBLISHED, Override
from server.engine.machine import Machine
from server.engine.parts import Neighbours
from server.engine.places import root_of
from server.engine.served import ServedFamily
from server.engine.unit import Unit
from server.engine.unserved import Unserved
from server.errors import BadConfiguration, BadInput
from server.metrics import Metrics
from server.metrics.memory import FamilyMemory

_log = logging.getLogger(__name__)


class Families:
    """A unit for every family that can be served. Raises BadConfiguration where none can, or, if strict, not all.

    One thread changes what there is, any may ask.
    """

    def __init__(
        self,
        found: Found,
        config: Config,
        machine: Machine,
        metrics: Metrics,
        neighbours: Neighbours,
    ) -> None:
        self._config = config
        self._machine = machine
        self._neighbours = neighbours
        self._others = bool(config.sharing.package)
        self._metrics = metrics
        self.unserved = Unserved()
        self.units: dict[str, Unit] = {}
        self.serving: dict[str, ServedFamily] = {}
        """What fronts look into for every request; what cannot be served may be among it."""
        for name, reason in found.bad.items():
            self.leave_out(name, reason)
        for name, family in found.families.items():
            try:
                self.put(name, self.build(family))
            except BadConfiguration as error:
                self.leave_out(name, str(error))
        if reason := self._end():
            raise BadConfiguration(reason)
        self._say(self.unserved.reasons)

    def build(self, published: Family, override: Override = AS_PUBLISHED) -> Unit:
        """A unit for it, which serves nobody yet. Raises BadConfiguration; BadInput for what cannot be overridden."""
        try:
            return Unit(
                published,
                self._config,
                self._machine.hardware,
                self._metrics,
                replace(self._neighbours, amended=partial(self.amended, override=override)),
            )
        except (BadConfiguration, BadInput):
            raise
        except Exception as error:  # whatever is odd about one family, the others serve
            name = published.name
            _log.debug("family %s cannot be served", name, exc_info=error)
            raise BadConfiguration(
                f"family {name} cannot be served: {type(error).__name__}: {error}"
            ) from error

    def amended(self, published: Family, override: Override) -> Family:
        """The family as it is served here. Raises BadInput for what cannot be overridden."""
        return override.applied(configured(published, self._config))

    def put(self, name: str, unit: Unit) -> Unit | None:
        """Let this unit have the requests for `name` from now on. Returns the one that had them before."""
        before = self.units.get(name)
        self.serving[name] = unit.served
        self.units[name] = unit
        self.unserved.remove(name)
        self._metrics.watch_ready(name, partial(self.is_up, name))
        return before

    def let_go(self, name: str, reason: str) -> Unit | None:
        """Serve nothing of this name any more. Returns the unit that did, for its requests to be answered."""
        self.leave_out(name, reason)
        self._metrics.gone(name)
        self.serving.pop(name, None)
        return self.units.pop(name, None)

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
        return (unit for name, unit in self.units.copy().items() if name not in self.unserved)

    def activity(self) -> object:
        """Another value whenever a request came or a batch ended or began; None while something else is under way."""
        found = [unit.activity() for unit in self.served()]
        return None if None in found else tuple(found)

    def memory(self) -> list[FamilyMemory]:
        """What the arms of each family take. Any thread."""
        return [unit.memory() for unit in self.served()]

    def failed(self, name: str, reason: str) -> str:
        """This family cannot be loaded: the others go on, unless a reason for the server to end is returned."""
        self.leave_out(name, reason)
        end = self._end()
        if not end:
            self._say({name: self.unserved.reasons[name]})
        return end

    def leave_out(self, name: str, reason: str) -> None:
        """This family is not served, because of `reason`."""
        self.unserved.add(name, reason)
        self._metrics.watch_ready(name, lambda: False)

    def _end(self) -> str:
        """Why the server cannot go on, one line for each of the reasons; empty where it can."""
        reasons = dict.fromkeys(self.unserved.reasons.values())
        goes_on = self._others or next(self.served(), None) is not None
        if not reasons or (goes_on and not self._config.models.strict):
            return ""
        return "\n".join(reasons)

    def _say(self, reasons: Mapping[str, str]) -> None:
        for name, reason in reasons.items():
            _log.error("family %s is not served, the others are: %s", name, reason)


def found_for(config: Config) -> Found:
    """What the repository has of the families that the configuration names. Raises BadConfiguration."""
    root = root_of(config)
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
    families = {name: found.families[name] for name in chosen if name in found.families}
    return Found(families, found.bad)


def configured(family: Family, config: Config) -> Family:
    """The family under the SLO that the operator sets, where one is set."""
    slo = replace(
        family.slo,
        latency_s=config.slo.latency_ms / 1e3 or family.slo.latency_s,
        min_accuracy=config.slo.min_accuracy or family.slo.min_accuracy,
    )
    return replace(family, slo=slo)
