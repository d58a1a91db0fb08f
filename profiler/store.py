"""Profiles on disk: one JSON per family and fingerprint, written whole, not trusted if damaged."""

import json
import logging
import os
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from models.backends import has_graphs
from models.backends.openvino_graphs.sizes import is_plan
from models.catalog import Family
from profiler.hardware.fingerprint import Hardware
from profiler.profiles import MachineProfile, Point, Profile, Vetted, repaired
from surroundings.folders import kept

SCHEMA = 5
"""Raise it when the file's meaning changes: older files are then set aside and measured anew."""

_log = logging.getLogger(__name__)


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/gearshift/profiles`, or the same under `~/.cache`."""
    return kept("profiles")


def path_of(folder: Path, family: str, fingerprint: str) -> Path:
    """Where the profiles of this family on this machine are kept."""
    return folder / f"{family}-{fingerprint}.json"


def load(folder: Path, family: Family, fingerprint: str) -> MachineProfile | None:
    """The stored profiles of artefacts that are still the same, or None.

    A damaged or foreign file is set aside with a warning.
    """
    path = path_of(folder, family.name, fingerprint)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("stored profiles %s cannot be read (%s); measuring again", path, error)
        return None
    try:
        return _decoded(json.loads(text), family, fingerprint)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        _set_aside(path, error)
        return None


def save(folder: Path, family: Family, machine: MachineProfile, hardware: Hardware) -> bool:
    """Write `machine`, each profile with its artefact's sha256. Where it cannot: warning, False."""
    path = path_of(folder, machine.family, machine.fingerprint)
    text = json.dumps(_encoded(family, machine, hardware), indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        _warn_unwritable(str(folder), error.strerror or str(error))
        return False
    return True


@cache
def _warn_unwritable(folder: str, reason: str) -> None:
    """Once for each folder and reason: profiles are stored again and again while arms are measured."""
    _log.warning(
        "profiles cannot be stored in %s (%s); the next start measures again", folder, reason
    )


def write_whole(path: Path, content: bytes) -> None:
    """Temporary file, fsync, rename, fsync of the folder: readers see the old file or the new."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _set_aside(path: Path, error: Exception) -> None:
    bad = path.with_name(f"{path.name}.bad")
    reason = f"{type(error).__name__}: {error}"
    _log.warning(
        "stored profiles %s cannot be used, another version's or damaged (%s); set aside as %s, measuring again",
        path,
        reason,
        bad.name,
    )
    try:
        path.replace(bad)
    except OSError as failure:
        _log.warning("%s cannot be renamed (%s); it is ignored", path, failure)


def _encoded(family: Family, machine: MachineProfile, hardware: Hardware) -> dict[str, Any]:
    sums = {v.name: v.content for v in family.variants}
    return {
        "schema": SCHEMA,
        "fingerprint": machine.fingerprint,
        "family": machine.family,
        "created": machine.created,
        "hardware": hardware.described(),
        "profiles": [
            {"sha256": sums[p.variant], **asdict(p)} for p in machine.profiles if p.variant in sums
        ],
    }


def _decoded(content: Any, family: Family, fingerprint: str) -> MachineProfile:
    """Raises ValueError, TypeError, KeyError or AttributeError for anything not `_encoded`."""
    found = (content["schema"], content["family"], content["fingerprint"])
    if found != (SCHEMA, family.name, fingerprint):
        raise ValueError(f"schema, family and fingerprint are {found}")
    sums = {v.name: v.content for v in family.variants}
    rows = [dict(row) for row in content["profiles"]]
    same = [row for row in rows if sums.get(row["variant"]) == row.pop("sha256")]
    profiles = tuple(profile for row in same if _tells_graphs(profile := _profile(row)))
    return MachineProfile(fingerprint, family.name, str(content["created"]), profiles)


def _profile(row: dict[str, Any]) -> Profile:
    words = [row[key] for key in ("variant", "precision", "backend", "device")]
    words.append(row["note"])
    numbers = [row[key] for key in ("threads", "load_s", "memory_bytes", "seconds")]
    if not all(isinstance(w, str) for w in words) or not all(n >= 0 for n in numbers):
        raise ValueError(f"a profile has fields of the wrong kind: {words}, {numbers}")
    points = repaired([Point(**point) for point in row.pop("points")])
    graphs = tuple(row.pop("graphs", ()))
    if graphs and not is_plan(graphs):
        raise ValueError(f"a profile says of its graphs {graphs}, by which no batch can run")
    return Profile(points=points, vetted=_vetted(row.pop("vetted")), graphs=graphs, **row)


def _tells_graphs(profile: Profile) -> bool:
    """Whether it says how its batches ran, where that decides what they cost: older profiles do not."""
    return bool(profile.graphs) or not has_graphs(profile.backend)


def _vetted(row: dict[str, Any]) -> Vetted:
    words, difference = [row["rows"], row["alone"], row.get("by", "")], row["difference"]
    if not all(isinstance(w, str) for w in words) or not difference >= 0:
        raise ValueError(f"what was found of an arm has fields of the wrong kind: {row}")
    return Vetted(words[0], words[1], difference, words[2])
