"""What this server has found of candidates, on disk: one JSON per family, written whole, not trusted if damaged.

A verdict holds for an artefact (its sha256) on a machine (its fingerprint): elsewhere the candidate is tried anew.
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from models.catalog import Variant
from profiler.store import write_whole

SCHEMA = 1
"""Raise it when the file's meaning changes: older files are then set aside."""
KINDS = ("promoted", "postponed", "rejected", "rolled_back")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """`kind`: one of KINDS; `at`: ISO 8601, UTC; `by_hand`: an operator's, which is not watched over.

    `again_at`: when a postponed candidate is tried again, as `at`; `postponed`: how often it was.
    """

    fingerprint: str
    variant: str
    sha256: str
    kind: str
    reason: str
    compared: int = 0
    agreed: int = 0
    by_hand: bool = False
    at: str = ""
    again_at: str = ""
    postponed: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What there is one verdict of."""
        return (self.fingerprint, self.variant, self.sha256)


class Verdicts:
    """One family's, kept in `folder`. A folder that cannot be written costs a warning only."""

    def __init__(self, folder: Path, family: str) -> None:
        self._path = folder / f"{family}.json"
        self._family = family
        self._all = self._load()

    def find(self, fingerprint: str, variant: Variant) -> StoredVerdict | None:
        """What was found of this artefact on this hardware last."""
        return self._all.get((fingerprint, variant.name, variant.content))

    def keep(self, verdict: StoredVerdict) -> None:
        """Store a verdict, in place of an older one, at once."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._all = {**self._all, verdict.key: replace(verdict, at=now)}
        document = {
            "schema": SCHEMA,
            "family": self._family,
            "verdicts": [asdict(one) for one in self._all.values()],
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(document, indent=1).encode())
        except OSError as error:
            text = "verdicts on candidates cannot be stored in %s (%s); the next start tries them again"
            _log.warning(text, self._path, error)

    def _load(self) -> dict[tuple[str, str, str], StoredVerdict]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            _log.warning(
                "verdicts %s cannot be read (%s); candidates are tried again", self._path, error
            )
            return {}
        try:
            return {one.key: one for one in _decoded(json.loads(text), self._family)}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._set_aside(error)
            return {}

    def _set_aside(self, error: Exception) -> None:
        bad = self._path.with_name(f"{self._path.name}.bad")
        text = "verdicts %s cannot be used (%s: %s); set aside as %s, candidates are tried again"
        _log.warning(text, self._path, type(error).__name__, error, bad.name)
        try:
            self._path.replace(bad)
        except OSError as failure:
            _log.warning("%s cannot be renamed (%s); it is ignored", self._path, failure)


def clock_in(wait_s: float) -> str:
    """What the clock on the wall shows in so many seconds: ISO 8601, UTC."""
    return (datetime.now(UTC) + timedelta(seconds=wait_s)).isoformat(timespec="seconds")


def seconds_until(at: str) -> float:
    """Until the clock on the wall shows this; 0 where it has been, or is no time."""
    try:
        return max(0.0, (datetime.fromisoformat(at) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _decoded(content: Any, family: str) -> list[StoredVerdict]:
    """Raises ValueError, TypeError, KeyError or AttributeError for anything that `keep` has not written."""
    found = (content["schema"], content["family"])
    if found != (SCHEMA, family):
        raise ValueError(f"schema and family are {found}")
    return [_verdict(row) for row in content["verdicts"]]


def _verdict(row: dict[str, Any]) -> StoredVerdict:
    words = [row[key] for key in ("fingerprint", "variant", "sha256", "kind", "reason", "at")]
    words.append(row.get("again_at", ""))
    counts = [*(row[key] for key in ("compared", "agreed")), row.get("postponed", 0)]
    if not all(isinstance(word, str) for word in words) or row["kind"] not in KINDS:
        raise ValueError(f"a verdict has fields of the wrong kind: {words}")
    if not all(type(n) is int and n >= 0 for n in counts):
        raise ValueError(f"a verdict counts rows that are none: {counts}")
    return StoredVerdict(**row)
