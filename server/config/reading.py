"""Reading the configuration: one TOML file, environment and flag overrides, every mistake reported at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from server.config.keys import Key
from server.config.sections import KEYS, Config
from server.config.unknown import unknown_key, unknown_section
from server.errors import BadConfiguration
from surroundings.documents import toml_in
from surroundings.variables import PREFIX, injected, unknown

Tell = Callable[[str], object]
"""What is told one line at a time and keeps nothing from starting."""

_FLAT = {key.flat: key for key in KEYS}
_SECTIONS = {
    section.name: {key.name: key for key in KEYS if key.section == section.name}
    for section in fields(Config)
}
_VARIABLES = {key.flat_variable: key for key in KEYS} | {key.variable: key for key in KEYS}
_NEWER = {key.flat.upper(): key.variable.removeprefix(PREFIX) for key in KEYS}
"""Variables by their old names, without what all begin with -> the same by their new ones."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as it stands in one source: in which, by what name, for which key."""

    place: str
    name: str
    key: Key
    value: object

    def __str__(self) -> str:
        return f"{self.place}: {self.name} = {self.value!r}"


def read_config(
    path: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    tell: Tell = lambda _: None,
) -> Config:
    """Defaults, then the file, then GEARSHIFT__… variables, then flags by their keys' flat names (None = not given).

    Raises BadConfiguration listing every mistake, each with its place and key. A value that another one overrides keeps
    nothing from starting; it, old names, and variables that mean nothing here are told, a line each, all of Kubernetes'
    in one.
    """
    problems: list[str] = []
    sources = (
        _in_file(path, problems, tell),
        _in_environment(environment, tell),
        [_Given("command line", k, _FLAT[k], v) for k, v in flags.items() if v is not None],
    )
    values: dict[Key, object] = {}
    overridden: list[str] = []
    for at, source in enumerate(sources):
        later = {given.key for one in sources[at + 1 :] for given in one}
        for key, givens in _by_key(source).items():
            found, wrong = _settled(givens)
            if found:
                values[key] = found[0]
            (overridden if key in later else problems).extend(wrong)
    if problems:
        listed = "\n".join(f"  - {p}" for p in (*problems, *overridden))
        raise BadConfiguration(f"bad configuration:\n{listed}")
    for problem in overridden:
        tell(f"{problem}; it is overridden and not used")
    return _config(values)


def _config(values: Mapping[Key, object]) -> Config:
    sections: dict[str, Any] = {}
    for section in fields(Config):
        kind: Any = section.type
        own = {key.name: value for key, value in values.items() if key.section == section.name}
        sections[section.name] = kind(**own)
    return Config(**sections)


def _by_key(source: Iterable[_Given]) -> dict[Key, list[_Given]]:
    found: dict[Key, list[_Given]] = {}
    for given in source:
        found.setdefault(given.key, []).append(given)
    return found


def _settled(givens: Sequence[_Given]) -> tuple[list[object], list[str]]:
    """What one source says of a key, by its name and its old one perhaps, and what is wrong with that."""
    found: list[object] = []
    wrong: list[str] = []
    for given in givens:
        try:
            found.append(given.key.read(given.value))
        except (TypeError, ValueError) as error:
            wrong.append(f"{given}: {error}")
    if any(value != found[0] for value in found[1:]):
        others = " and ".join(f"{given.name} = {given.value!r}" for given in givens)
        wrong.append(f"{givens[0].place}: {others} are one key with two values; keep one of them")
    return found, wrong


def _in_file(path: Path | None, problems: list[str], tell: Tell) -> list[_Given]:
    if path is None:
        return []
    try:
        table = toml_in(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return []
    found: list[_Given] = []
    for name, value in table.items():
        if isinstance(value, dict) and name in _SECTIONS:
            found += _in_section(str(path), name, value, problems)
        elif key := _FLAT.get(name):
            tell(f"{path}: {name} is an old name; write {key.name} in [{key.section}]")
            found.append(_Given(str(path), name, key, value))
        else:
            problems.append(f"{path}: {_no_key(name, value)}")
    return found


def _in_section(
    place: str, section: str, table: Mapping[str, object], problems: list[str]
) -> list[_Given]:
    keys = _SECTIONS[section]
    problems += [f"{place}: {unknown_key(name, section)}" for name in table if name not in keys]
    return [
        _Given(place, keys[name].dotted, keys[name], value)
        for name, value in table.items()
        if name in keys
    ]


def _no_key(name: str, value: object) -> str:
    if name in _SECTIONS:
        return f"{name} = {value!r}: must be a section: [{name}]"
    return unknown_section(name) if isinstance(value, dict) else unknown_key(name)


def _in_environment(environment: Mapping[str, str], tell: Tell) -> list[_Given]:
    known = [name.removeprefix(PREFIX) for name in _VARIABLES]
    foreign = injected(environment, known)
    if foreign:
        tell(
            f"environment: passed over {len(foreign)} variables that an orchestrator makes of a service's name "
            f"({foreign[0]}, ...); to set a key, call the Service something else or give the flag"
        )
    ours = {name: text for name, text in environment.items() if name not in foreign}
    for line in unknown(ours, known, _NEWER):
        tell(line)
    given = [
        _Given("environment", name, _VARIABLES[name], text)
        for name, text in ours.items()
        if name in _VARIABLES
    ]
    for one in given:
        if one.name == one.key.flat_variable:
            tell(f"environment: {one.name} is an old name; write {one.key.variable}")
    return given
