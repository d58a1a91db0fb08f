"""Environment variables of ours, those that Kubernetes and Docker make of a service's name, and misspelt ones."""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

PREFIX = "GEARSHIFT_"
_REPOSITORY = ("GEARSHIFT__MODELS__REPOSITORY", "GEARSHIFT_REPOSITORY")
_PROTOCOL = r"(TCP|UDP|SCTP)"
_INJECTED = re.compile(
    rf"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_{_PROTOCOL}(_(PROTO|PORT|ADDR|START|END))?|ENV_\w+)"
)
_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+", re.IGNORECASE)
_TOOLS = frozenset({"SHARED", "TRACES"})
"""Read by benchmarks."""


def repository(environment: Mapping[str, str]) -> str:
    """The model repository that the environment chooses, by either name; empty where it chooses none."""
    return next((chosen for name in _REPOSITORY if (chosen := environment.get(name))), "")


def injected(environment: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Variables with our prefix that are an orchestrator's, made for a Service or a linked container of that name.

    `known`: keys of ours in capitals; such a one is the orchestrator's only where its value is an address.
    """
    return [
        name
        for name, value in environment.items()
        if name.startswith(PREFIX) and _is_injected(name.removeprefix(PREFIX), value, known)
    ]


def unknown(
    environment: Iterable[str],
    known: Collection[str],
    newer: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """A line for each variable with our prefix that is nobody's, with the nearest that is known.

    `newer`: of known ones that should not be used any more, those to use instead.
    """
    lines: list[str] = []
    for name in environment:
        key = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and key not in known and key not in _TOOLS:
            nearest = get_close_matches(key.upper(), known, 1, 0.5)
            hint = f"; did you mean {PREFIX}{newer.get(nearest[0], nearest[0])}?" if nearest else ""
            lines.append(f"environment: {name} is no key of ours and does nothing{hint}")
    return lines


def _is_injected(key: str, value: str, known: Collection[str]) -> bool:
    if (key == "PORT" or key.endswith("_PORT")) and _ADDRESS.fullmatch(value):
        return True
    if (key == "NAME" or key.endswith("_NAME")) and value.startswith("/"):
        return key not in known
    return key not in known and _INJECTED.fullmatch(key) is not None
