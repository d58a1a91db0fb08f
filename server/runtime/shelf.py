"""One family's stored profiles on this machine: what is known already, and a place for what is measured now."""

from datetime import UTC, datetime
from pathlib import Path

from models.catalog import Family, Variant
from profiler import store
from profiler.hardware import Hardware
from profiler.measure import Loaded
from profiler.profiles import MachineProfile, Profile


class Shelf:
    """Profiles of `family` on `hardware`, kept in `folder`. A folder that cannot be written costs a warning only."""

    def __init__(self, folder: Path, family: Family, hardware: Hardware) -> None:
        self._folder = folder
        self._family = family
        self._hardware = hardware
        fingerprint = hardware.fingerprint()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        known = store.load(folder, family, fingerprint)
        self._machine = known or MachineProfile(fingerprint, family.name, now, ())

    def find(self, variant: Variant, loaded: Loaded) -> Profile | None:
        """The stored profile of this variant, opened this way."""
        return self._machine.find(variant.name, loaded.backend.name, loaded.device, loaded.threads)

    def keep(self, profile: Profile) -> None:
        """Store a new profile at once: a start that is cut short has not measured in vain."""
        self._machine = self._machine.merged(profile)
        store.save(self._folder, self._family, self._machine, self._hardware)
