"""Policies of others by import path: `module:attribute` names a PolicyFactory in a module of the operator's own."""

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from server.policy.decision import (
    ArmProfile,
    Decision,
    Idle,
    Outlook,
    Policy,
    PolicyFactory,
    Run,
    Terms,
    Ticket,
    WaitUntil,
)

_HERE = ""
"""On Python's path: the current directory, whichever it is."""


class NoSuchModule(ValueError):
    """The module that an import path names is nowhere; the message says so."""


class PolicyFailed(ValueError):
    """A policy of somebody's own raised when it was asked, or what it said cannot be done; one line says what."""


class OwnPolicy:
    """A policy by import path, called `name`: what it says is looked at before anybody does it."""

    def __init__(self, name: str, policy: Policy, arms: Sequence[ArmProfile]) -> None:
        self.name = name
        self._policy = policy
        self._arms = arms

    def __call__(self, tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
        """As the policy says. Raises PolicyFailed."""
        try:
            decision = self._policy(tickets, outlook, now_s)
            wrong = _wrong(decision, tickets, now_s) or _wrong_run(decision, self._arms)
        except (Exception, SystemExit) as error:
            raise PolicyFailed(
                f"policy {self.name} raised when it was asked: {_words(error)}"
            ) from error
        if wrong:
            raise PolicyFailed(f"policy {self.name} {wrong}")
        return decision


def is_path(name: str) -> bool:
    """Whether a policy's name is an import path: `package.module:attribute`."""
    module, _, attribute = name.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), attribute))


def imported(name: str) -> PolicyFactory:
    """The factory at this import path, found from the current directory too, after what is installed.

    Raises ValueError, in one line, where there is none: NoSuchModule where it is the module that is missing. What is
    returned raises ValueError too, where the factory raises anything or returns no policy; else an OwnPolicy.
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
    except (Exception, SystemExit) as error:
        raise ValueError(f"policy {name} raised when it was built: {_words(error)}") from error
    if callable(policy):
        return OwnPolicy(name, cast(Policy, policy), arms)
    kind = type(policy).__name__
    raise ValueError(f"{name} built no policy: what it returned is of type {kind}")


def _wrong(decision: object, tickets: Sequence[Ticket], now_s: float) -> str:
    """Why this is no answer to what it was asked; "": it is one."""
    if not isinstance(decision, Run | WaitUntil | Idle):
        return f"made no decision: what it returned is of type {type(decision).__name__}"
    named = [drop.ticket for drop in decision.dropped]
    if isinstance(decision, Run):
        named += decision.tickets
    if not all(ticket in tickets for ticket in named):
        return "named a ticket that does not wait"
    if len({ticket.id for ticket in named}) < len(named):
        return "named a ticket twice"
    if isinstance(decision, WaitUntil) and not decision.at_s > now_s:
        return "waits until a time that has come already"
    return ""


def _wrong_run(decision: Decision, arms: Sequence[ArmProfile]) -> str:
    """Why this cannot be run; "": it can, or is nothing to run."""
    if not isinstance(decision, Run):
        return ""
    profile = decision.profile
    if profile not in arms:
        return "runs an arm that it was not given"
    if not 0 < decision.rows <= profile.max_batch:
        return f"runs {decision.rows} rows on {profile.arm.variant}, which takes 1 to {profile.max_batch}"
    if not all(ticket.accepts(profile) for ticket in decision.tickets):
        return f"runs a ticket on {profile.arm.variant}, which it does not accept"
    reason, terms = cast(object, decision.reason), cast(object, decision.terms)
    if isinstance(reason, str) and isinstance(terms, Terms | None):
        return ""
    return "gives a reason that is no text, or terms that are none"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
