"""One family's stored profiles on this machine: what is known already, and a place for what is measured now."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from models.catalog import Family
from profiler import store
from profiler.hardware.fingerprint import Hardware
from profiler.profiles import MachineProfile, Profile
from server.policy.decision import Arm


class StoredProfiles:
    """Profiles of `family` on `hardware`, kept in `folder`. A folder that cannot be written costs a warning only."""

    def __init__(self, folder: Path, family: Family, hardware: Hardware) -> None:
        self._folder = folder
        self._family = family
        self._hardware = hardware
        self._sums = {
            v.name: v.content for v in family.variants
        }  # of the artefacts that profiles are of
        self.fingerprint = hardware.fingerprint()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        known = store.load(folder, family, self.fingerprint)
        self._machine = known or MachineProfile(self.fingerprint, family.name, now, ())

    def adopt(self, family: Family) -> None:
        """The family has other variants now. Profiles of an artefact that was replaced are forgotten."""
        new = {v.name: v.content for v in family.variants}
        gone = {name for name, sha256 in new.items() if self._sums.get(name, sha256) != sha256}
        kept = tuple(p for p in self._machine.profiles if p.variant not in gone)
        self._machine = replace(self._machine, profiles=kept)
        self._family, self._sums = family, {**self._sums, **new}

    def on(self, hardware: Hardware) -> "StoredProfiles":
        """Those of other hardware, in the same folder."""
        return StoredProfiles(self._folder, self._family, hardware)

    def find(self, arm: Arm, threads: int) -> Profile | None:
        """The stored profile of this arm with so many threads."""
        return self._machine.find(arm.variant, arm.backend, arm.device, threads)

    def keep(self, profile: Profile) -> None:
        """Store a new profile at once: a start that is cut short has not measured in vain."""
        self._machine = self._machine.merged(profile)
        store.save(self._folder, self._family, self._machine, self._hardware)
