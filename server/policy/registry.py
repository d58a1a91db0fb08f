"""Policies by name, as configuration files and command lines give them."""

from server.policy.choose import adaptive
from server.policy.decision import PolicyFactory
from server.policy.static import largest, static

_NAMED: dict[str, PolicyFactory] = {"adaptive": adaptive, "largest": largest}


def policy(name: str) -> PolicyFactory:
    """The factory called `name`. Raises ValueError, listing what is known, for any other name."""
    if name in _NAMED:
        return _NAMED[name]
    kind, _, variant = name.partition(":")
    if kind == "static" and variant:
        return static(variant)
    raise ValueError(f"unknown policy {name!r}; known: {', '.join(_NAMED)}, static:VARIANT")
