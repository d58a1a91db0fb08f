"""Policies of others by import path: `module:attribute` names a PolicyFactory in a module of the operator's own."""

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from server.policy.decision import ArmProfile, Policy, PolicyFactory

_HERE = ""
"""On Python's path: the current directory, whichever it is."""


class NoSuchModule(ValueError):
    """The module that an import path names is nowhere; the message says so."""


def is_path(name: str) -> bool:
    """Whether a policy's name is an import path: `package.module:attribute`."""
    module, _, attribute = name.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), attribute))


def imported(name: str) -> PolicyFactory:
    """The factory at this import path, found from the current directory too, after what is installed.

    Raises ValueError, in one line, where there is none: NoSuchModule where it is the module that is missing. What is
    returned raises ValueError too, where the factory raises anything or returns no policy.
    """
    path, _, attribute = name.partition(":")
    module = _module(path)
    try:
        factory = getattr(module, attribute)
    except AttributeError:
        raise ValueError(f"module {path} has no attribute {attribute}") from None
    if callable(factory):
        return partial(_built, name, factory)
    raise ValueError(f"{name} cannot be called: it is of type {type(factory).__name__}")


def _module(path: str) -> object:
    if _HERE not in sys.path:
        sys.path.append(_HERE)  # for good, as `python -m` does: the module may import others later
    importlib.invalidate_caches()
    try:
        return importlib.import_module(path)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{path}.".startswith(f"{missing}."):
            text = f"there is no module {path} on Python's path or in the current directory"
            raise NoSuchModule(text) from None
        raise ValueError(f"module {path} cannot be imported: {_words(error)}") from error


def _built(name: str, factory: Callable[..., object], arms: Sequence[ArmProfile]) -> Policy:
    try:
        policy = factory(arms)
    except Exception as error:
        raise ValueError(f"policy {name} raised when it was built: {_words(error)}") from error
    if callable(policy):
        return cast(Policy, policy)
    kind = type(policy).__name__
    raise ValueError(f"{name} built no policy: what it returned is of type {kind}")


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
