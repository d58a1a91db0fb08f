"""Arms from a file: a CSV of measured latencies, or a profile stored by `gearshift profile`."""

import csv
import json
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from models.artifacts import ArtifactError, load_family
from profiler.profiles import Point, Profile, repaired
from server.policy.decision import Arm, ArmProfile

P95_OVER_MEDIAN = 1.07
"""Assumed where a CSV has no `latency_ms_p95`: what the profiles that do have one show."""
COLUMNS = ("variant", "accuracy", "batch", "latency_ms_p50")


def read_arms(path: Path, repository: Path, threads: int | None = None) -> list[ArmProfile]:
    """The arms of a profile; `.json` is a stored one, its accuracies come from the family in `repository`.

    `threads`: which of a stored profile's thread counts to take; None is the smallest in it.
    Raises ValueError naming the file, the line where there is one, and what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot read the profile: {error}") from error
    stored = path.suffix == ".json"
    arms = _stored(path, text, repository, threads) if stored else _table(path, text)
    if not arms:
        raise ValueError(f"{path}: no arms in it; expected a row per variant and batch size")
    return arms


def _table(path: Path, text: str) -> list[ArmProfile]:
    rows = csv.DictReader(text.splitlines())
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; expected {','.join(COLUMNS)}[,latency_ms_p95]"
        )
    points: dict[str, list[Point]] = {}
    accuracies: dict[str, float] = {}
    for number, row in enumerate(rows, start=2):
        try:
            point, accuracy = _point(row)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path}, line {number}: {error}; expected numbers as in the header"
            ) from error
        if accuracies.setdefault(row["variant"], accuracy) != accuracy:
            raise ValueError(
                f"{path}, line {number}: {row['variant']} has two accuracies; give each variant one"
            )
        points.setdefault(row["variant"], []).append(point)
    return [
        _arm(path, Arm(name, "file"), accuracies[name], found) for name, found in points.items()
    ]


def _point(row: Mapping[str, str]) -> tuple[Point, float]:
    batch, accuracy, p50_s = (
        int(row["batch"]),
        float(row["accuracy"]),
        float(row["latency_ms_p50"]) / 1e3,
    )
    given = row.get("latency_ms_p95")
    p95_s = float(given) / 1e3 if given else p50_s * P95_OVER_MEDIAN
    if batch < 1 or not 0.0 <= accuracy <= 1.0 or not isfinite(p50_s) or not 0.0 < p50_s <= p95_s:
        raise ValueError("batch must be >= 1, accuracy within 0..1 and 0 < p50 <= p95")
    return Point(batch, 1, p50_s, p95_s, p95_s, p50_s), accuracy


def _arm(path: Path, arm: Arm, accuracy: float, points: Iterable[Point]) -> ArmProfile:
    try:
        fitted = repaired(list(points))
    except ValueError as error:
        raise ValueError(f"{path}: profile of {arm.variant}: {error}") from error
    profile = Profile(arm.variant, "", arm.backend, arm.device, 1, fitted)
    most = profile.largest_measured
    return ArmProfile(arm, accuracy, profile.mean_table(most), profile.upper_table(most))


def _stored(path: Path, text: str, repository: Path, threads: int | None) -> list[ArmProfile]:
    try:
        content: Any = json.loads(text)
        family = load_family(repository / str(content["family"]), verify=False)
        contents = {variant.name: variant.content for variant in family.variants}
        found = {
            (Arm(row["variant"], row["backend"], row["device"]), int(row["threads"])): [
                Point(**point) for point in row["points"]
            ]
            for row in content["profiles"]
            if row.get("sha256") in {None, contents.get(row["variant"])}
        }
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: not a stored profile ({type(error).__name__}: {error})"
        ) from error
    except ArtifactError as error:
        raise ValueError(f"{path}: {error}; --repository tells where the family lies") from error
    accuracies = {variant.name: variant.accuracy.value for variant in family.variants}
    return [
        _arm(path, arm, accuracies[arm.variant], points)
        for arm, points in _with_threads(path, found, threads).items()
        if arm.variant in accuracies
    ]


def _with_threads(
    path: Path, found: Mapping[tuple[Arm, int], list[Point]], threads: int | None
) -> dict[Arm, list[Point]]:
    """Each arm's points with so many threads (None: the smallest count there is), the same for all."""
    present = sorted({count for _, count in found})
    wanted = present[0] if threads is None and present else threads
    kept = {arm: points for (arm, count), points in found.items() if count == wanted}
    left = sorted({arm.variant for arm, _ in found if arm not in kept})
    if left:
        raise ValueError(
            f"{path}: {', '.join(left)} not profiled with {wanted} thread(s); --threads takes one of "
            f"{', '.join(map(str, present))}, or profile the family again"
        )
    return kept
