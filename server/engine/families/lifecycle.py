"""Families that come, change and go while others serve. What takes long is done on the tuner's thread."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

from models.artifacts import MANIFEST, ArtifactError, is_plain_name, load_family
from models.backends.base import BackendError
from models.catalog import Family
from server.config import Config
from server.engine.families.asked import Asked
from server.engine.families.families import Families
from server.engine.families.marks import Mark, marks
from server.engine.families.override import AS_PUBLISHED, Override
from server.engine.places import root_of
from server.engine.unit import Unit
from server.errors import BadConfiguration, BadInput, CannotLoad, NotReady, UnknownModel
from server.runtime.arms.work_queue import WorkQueue
from server.texts import shown

_log = logging.getLogger(__name__)

SETTLE_S = 1.0
"""What was checked for a family that goes (s) may still be on its way to it."""
UNLOADED = "it was unloaded by a client's call; load it by one"


class Lifecycle:
    """`changed` is called when readiness may be another; `seen`: the repository before its families were looked for."""

    def __init__(
        self,
        families: Families,
        config: Config,
        tasks: WorkQueue,
        changed: Callable[[], None],
        seen: Mapping[str, Mark],
    ) -> None:
        self._families = families
        self._root = root_of(config)
        self._only = config.models.families
        self._drain_s = config.server.drain_s
        self._tasks = tasks
        self._changed = changed
        self._seen = dict(seen)
        self._unloaded: set[str] = set()
        self._asked = Asked(tasks)
        self._stopping = threading.Event()
        self._coming: Unit | None = None
        self._retiring: list[threading.Thread] = []

    def load(self, name: str, override: Override = AS_PUBLISHED) -> "Future[None]":
        """Serve the family of this name as it is published now. Any thread; done when it serves, or still does.

        What serves goes on until the new is ready. The future raises UnknownModel, BadInput, CannotLoad or NotReady.
        """
        return self._asked.later(f"{shown(name)}: loading", lambda: self._load(name, override))

    def unload(self, name: str) -> "Future[None]":
        """Serve it no more until it is loaded. Any thread; done when it takes no more: what it has is still answered.

        The future raises UnknownModel or NotReady.
        """
        return self._asked.later(f"{shown(name)}: unloading", lambda: self._unload(name))

    def renewed(self, name: str) -> None:
        """The manifest of a family that serves is another: build it anew, soon."""
        self._tasks.add(f"{name}: loading anew", lambda: self._attempt(name))

    def look(self) -> None:
        """Take up families that have come since, and those that could not be served once they are others."""
        for name, mark in marks(self._root).items():
            if self._serves(name) or name in self._unloaded or not self._may_be_served(name):
                continue
            if self._seen.get(name) != mark:
                self._seen[name] = mark
                self._attempt(name)

    def _serves(self, name: str) -> bool:
        return name in self._families.units and name not in self._families.unserved

    def _may_be_served(self, name: str) -> bool:
        return not self._only or name in self._only

    def refuse(self) -> None:
        """Begin nothing more. Any thread."""
        self._stopping.set()
        if (coming := self._coming) is not None:
            coming.stop()
        self._asked.refuse()

    def join(self) -> None:
        """Return when what went has been answered, after `refuse`."""
        until_s = time.monotonic() + self._drain_s + SETTLE_S
        for thread in self._retiring:
            thread.join(max(0.0, until_s - time.monotonic()))

    def _attempt(self, name: str) -> None:
        """Load it, as nobody asked; why it cannot be is said, once."""
        before = self._families.unserved.reasons.get(name)
        try:
            self._load(name, AS_PUBLISHED)
        except (UnknownModel, BadInput, CannotLoad, NotReady) as error:
            if name in self._families.unserved:
                if self._families.unserved.reasons[name] != before:
                    _log.error("family %s is not served: %s", name, error)
            elif name in self._families.units:
                text = "%s: what was published is not taken up, the server goes on with what it has: %s"
                _log.warning(text, name, error)

    def _load(self, name: str, override: Override) -> None:
        published = self._published(name)
        units, amended = self._families.units, self._families.amended
        if self._serves(name) and amended(published, override) == units[name].published:
            return
        self._put(name, published, override)
        self._unloaded.discard(name)

    def _published(self, name: str) -> Family:
        if not self._may_be_served(name):
            raise UnknownModel(
                f"family '{shown(name)}' is not among those that this server is to serve (models.families)"
            )
        folder = self._root / name
        if not is_plain_name(name) or not _holds_a_file(folder, MANIFEST):
            raise UnknownModel(
                f"no family '{shown(name)}' is in the model repository of this server; add it there with "
                "`gearshift models add`"
            )
        try:
            return load_family(folder)
        except ArtifactError as error:
            raise self._failed(name, str(error)) from error

    def _put(self, name: str, published: Family, override: Override) -> None:
        """Prepare it, then let it have the requests. Whoever had them goes on until then, and answers what it has."""
        families = self._families
        if fresh := not self._serves(name):
            families.unserved.coming(name)
        try:
            unit = self._prepared(families.build(published, override))
        except (BadConfiguration, BadInput, BackendError, NotReady) as error:
            raise self._failed(name, str(error)) from error
        except Exception as error:  # whatever a runtime makes of it, the others serve
            _log.debug("family %s cannot be loaded", name, exc_info=error)
            raise self._failed(name, f"{type(error).__name__}: {error}") from error
        before = families.put(name, unit)
        if self._stopping.is_set():  # whoever stops the others may have gone past it
            unit.stop()
        _log.info("%s: %s", name, "serves" if fresh else "serves as it is published now")
        self._changed()
        if before is not None:
            self._retire(name, before)

    def _prepared(self, unit: Unit) -> Unit:
        self._coming = unit
        try:
            unit.start()
            if not self._stopping.is_set():
                unit.prepare()
        except BaseException:
            unit.retire(0.0)
            raise
        finally:
            self._coming = None
        if self._stopping.is_set():
            unit.retire(0.0)
            raise NotReady("the server is stopping; ask another replica")
        return unit

    def _failed(self, name: str, reason: str) -> CannotLoad:
        """It cannot be served; what serves under its name goes on."""
        if not self._serves(name):
            self._families.leave_out(name, reason)
        return CannotLoad(f"model '{shown(name)}' cannot be loaded: {reason}")

    def _unload(self, name: str) -> None:
        families = self._families
        if name not in families.units and name not in families.unserved:
            raise UnknownModel(f"no model '{shown(name)}' is loaded here")
        self._unloaded.add(name)
        before = families.let_go(name, UNLOADED)
        _log.info("%s: unloaded by a client's call", name)
        self._changed()
        if before is not None:
            self._retire(name, before)

    def _retire(self, name: str, unit: Unit) -> None:
        """On a thread of its own: what was checked for it comes first, then its clients are answered."""

        def end() -> None:
            time.sleep(SETTLE_S)
            unit.retire(self._drain_s)
            gc.collect()  # a unit's parts know each other, and hold arms' memory
            _log.info("%s: what served before has answered all it had, and is gone", name)

        thread = threading.Thread(target=end, name=f"retiring-{name}", daemon=True)
        self._retiring = [one for one in self._retiring if one.is_alive()] + [thread]
        thread.start()


def _holds_a_file(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except OSError:  # a name that no file can have
        return False
