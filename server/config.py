"""The one typed configuration: one TOML file, environment and flag overrides, every mistake reported at once."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from server.errors import BadConfiguration
from surroundings.documents import toml_in
from surroundings.variables import PREFIX, injected, unknown


@dataclass(frozen=True, slots=True)
class Config:
    """What an operator may set. Empty paths mean the user's cache; 0 means `measure and choose`."""

    host: str = "0.0.0.0"
    port: int = 8001
    http_port: int = 8002
    repository: str = ""
    profiles: str = ""
    families: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    policy: str = "adaptive"
    slo_ms: float = 0.0
    min_accuracy: float = 0.0
    slo_classes: tuple[str, ...] = ("default", "interactive=4", "batch=0.25")
    reply_margin_ms: float = 2.0
    queue_capacity: int = 1024
    workers: int = 0
    threads: int = 0
    profile_budget_s: float = 20.0
    watch_every_s: float = 0.25
    max_message_mib: int = 64
    max_unsent_mib: int = 32
    max_connections: int = 1024
    max_streams: int = 512
    max_calls: int = 2048
    stall_s: float = 10.0
    max_idle_s: float = 900.0
    max_age_s: float = 0.0
    keepalive_s: float = 60.0
    drain_s: float = 10.0
    reject_non_finite: bool = True
    log_level: str = "INFO"
    journal_every: int = 100
    log_decisions_every_s: float = 0.0
    rehearse_every_s: float = 0.0
    shadow_share: float = 0.05
    trial_rows: int = 64
    probation_s: float = 600.0
    share_package: str = ""
    share_tasks: tuple[str, ...] = ()
    share_budget: float = 0.5
    share_objective: str = "mean"
    share_x_vote: int = 3
    share_late_ms: float = 200.0
    share_queue: int = 16
    share_stall_s: float = 10.0
    strict: bool = False


_AT_LEAST = {
    "port": 0, "http_port": 0, "slo_ms": 0, "min_accuracy": 0, "reply_margin_ms": 0, "queue_capacity": 1, "workers": 0,
    "threads": 0, "profile_budget_s": 0.01, "watch_every_s": 0, "max_message_mib": 1, "drain_s": 0,
    "max_unsent_mib": 1, "max_connections": 1, "max_streams": 1, "max_calls": 1, "stall_s": 0.1,
    "max_idle_s": 0, "max_age_s": 0, "keepalive_s": 0,
    "journal_every": 1, "log_decisions_every_s": 0, "rehearse_every_s": 0,
    "shadow_share": 0, "trial_rows": 1, "probation_s": 0,
    "share_budget": 1e-6, "share_x_vote": 1, "share_late_ms": 1, "share_queue": 1, "share_stall_s": 0.01,
}  # fmt: skip
_AT_MOST = {
    "port": 65535,
    "http_port": 65535,
    "min_accuracy": 1,
    "max_message_mib": 2047,
    "max_unsent_mib": 65536,
    "max_connections": 1_000_000,
    "max_streams": 1_000_000,
    "workers": 64,
    "threads": 256,
    "shadow_share": 1,
    "share_x_vote": 10,
    "share_queue": 1024,
}
_ONE_OF = {
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
    "share_objective": ("mean", "maxmin"),
}


def read_config(
    path: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    tell: Callable[[str], object] = lambda _: None,
) -> Config:
    """Defaults, then the file, then GEARSHIFT_… variables, then flags (None = not given).

    Raises BadConfiguration listing every mistake, each with its place and key. A value that another one overrides keeps
    nothing from starting; it and variables that mean nothing here are told, a line each, all of Kubernetes' in one.
    """
    problems: list[str] = []
    given = (
        (str(path), _file(path, problems)),
        ("environment", _environment(environment, tell)),
        ("command line", {k: v for k, v in flags.items() if v is not None}),
    )
    values: dict[str, object] = {}
    overridden: list[str] = []
    for at, (place, here) in enumerate(given):
        later = {key for _, keys in given[at + 1 :] for key in keys}
        for key, value in here.items():
            _take(place, key, value, values, overridden if key in later else problems)
    if problems:
        told = "\n".join(f"  - {p}" for p in (*problems, *overridden))
        raise BadConfiguration(f"bad configuration:\n{told}")
    for problem in overridden:
        tell(f"{problem}; it is overridden and not used")
    return Config(**values)  # type: ignore[arg-type] - _take has checked each value's type


def class_weights(slo_classes: Iterable[str]) -> dict[str, float]:
    """Weight by name of classes given as `NAME` or `NAME=WEIGHT`. Raises ValueError naming the one that is no good."""
    weights: dict[str, float] = {}
    for text in slo_classes:
        name, given, weight = text.partition("=")
        try:
            weights[name.strip()] = float(weight) if given else 1.0
        except ValueError:
            raise ValueError(f"'{text}': the weight must be a number") from None
        if not name.strip() or not 0.0 < weights[name.strip()] < math.inf:
            raise ValueError(f"'{text}': expected NAME or NAME=WEIGHT, the weight above 0")
    return weights


def _file(path: Path | None, problems: list[str]) -> Mapping[str, object]:
    if path is None:
        return {}
    try:
        return toml_in(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return {}


def _environment(
    environment: Mapping[str, str], tell: Callable[[str], object]
) -> dict[str, object]:
    known = {field.name.upper(): field.name for field in fields(Config)}
    foreign = injected(environment, known)
    if foreign:
        tell(
            f"environment: passed over {len(foreign)} variables that an orchestrator makes of a service's name "
            f"({foreign[0]}, ...); to set a key, call the Service something else or give the flag"
        )
    ours = {
        name: text
        for name, text in environment.items()
        if name.startswith(PREFIX) and name not in foreign
    }
    for line in unknown(ours, known):
        tell(line)
    given = {name.removeprefix(PREFIX): text for name, text in ours.items()}
    return {known[key]: text for key, text in given.items() if key in known}


def _take(
    place: str, key: str, value: object, values: dict[str, object], problems: list[str]
) -> None:
    if key not in _READERS:
        problems.append(f"{place}: unknown key '{key}'; known: {', '.join(sorted(_READERS))}")
        return
    try:
        values[key] = _checked(key, _READERS[key](value))
    except (TypeError, ValueError) as error:
        problems.append(f"{place}: {key} = {value!r}: {error}")


def _checked(key: str, value: object) -> object:
    if isinstance(value, int | float) and key in _AT_LEAST:
        least, most = _AT_LEAST[key], _AT_MOST.get(key, 1_000_000_000)
        if not least <= value <= most:
            raise ValueError(f"must be between {least} and {most}")
    if key == "slo_classes" and isinstance(value, tuple):
        class_weights(value)
    if key in _ONE_OF and value not in _ONE_OF[key]:
        raise ValueError(f"must be one of {', '.join(_ONE_OF[key])}")
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("must be a whole number")
    try:
        return int(value)
    except ValueError:
        raise ValueError("must be a whole number") from None


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("must be a number")
    try:
        number = float(value)
    except ValueError:
        raise ValueError("must be a number") from None
    if not math.isfinite(number):
        raise ValueError("must be finite")
    return number


def _truth(value: object) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    truth = value if isinstance(value, bool) else words.get(str(value).lower())
    if truth is None:
        raise ValueError("must be true or false")
    return truth


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("must be a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise TypeError("must be a list of texts")


_BY_TYPE: dict[object, Callable[[object], object]] = {
    int: _integer, float: _real, bool: _truth, str: _text, tuple[str, ...]: _texts,
}  # fmt: skip
_READERS: dict[str, Callable[[object], object]] = {f.name: _BY_TYPE[f.type] for f in fields(Config)}
