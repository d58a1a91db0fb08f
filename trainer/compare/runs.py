"""The file of a comparison's finished runs."""

import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

from trainer.compare.outcomes import Cell, Finished, outcome_of
from trainer.errors import TrainError

_log = logging.getLogger(__name__)


class Runs:
    """Append-only JSON lines of finished runs, synced line by line, so that an interrupted comparison goes on.

    A last line torn by a kill is dropped with a warning. Raises TrainError where the file cannot be read or written or
    holds anything else. Of two lines for the same cell and settings, the later counts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[tuple[Cell, str], Finished] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes() if path.exists() else b""
            content = self._without_torn_end(content)
        except OSError as error:
            raise TrainError(
                f"cannot use {path} for results: {error}; name another --out"
            ) from error
        for number, line in enumerate(content.splitlines(), 1):
            self._keep(self._parsed(line, number))

    def find(self, cell: Cell, settings: str) -> Finished | None:
        """The finished run of this cell under these settings, if there is one."""
        return self._found.get((cell, settings))

    def add(self, run: Finished) -> None:
        """Append and sync. Raises TrainError where the disk does not take it."""
        line = json.dumps(
            {**asdict(run.cell), "settings": run.settings, "outcome": asdict(run.outcome)}
        )
        try:
            with self._path.open("ab") as file:
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TrainError(
                f"cannot write to {self._path}: {error}; free some space and go on"
            ) from error
        self._keep(run)

    def _keep(self, run: Finished) -> None:
        self._found[run.cell, run.settings] = run

    def _parsed(self, line: bytes, number: int) -> Finished:
        try:
            fields = json.loads(line)
            cell = Cell(str(fields["selector"]), float(fields["budget"]), int(fields["seed"]))
            return Finished(cell, str(fields["settings"]), outcome_of(fields["outcome"]))
        except (ValueError, TypeError, KeyError) as error:
            raise TrainError(
                f"{self._path}, line {number}, is not a finished run ({error}); "
                "remove the line, or name another --out"
            ) from error

    def _without_torn_end(self, content: bytes) -> bytes:
        """Make the file end with a whole line; a line that a kill cut short lacks its end."""
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            _log.warning("%s: its last line is torn and was dropped", self._path)
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
                os.fsync(file.fileno())
        return whole
