"""Policies by name, as configurations and command lines give them: ours, published ones to compare with, your own."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from server.policy.decision import ArmProfile, PolicyFactory
from server.policy.dispatch.choose import adaptive
from server.policy.dispatch.static import largest, most_accurate, pinned, static
from server.policy.dispatch.tuning import DEFAULT, NAMED
from server.policy.imported import NoSuchModule, imported, is_path
from server.policy.reference.aimd import clipper
from server.policy.reference.drop import with_early_drop, with_nexus_drop
from server.policy.reference.fixed import fixed
from server.policy.reference.infaas import infaas
from server.policy.reference.maxacc import maxacc
from server.policy.reference.maxbatch import maxbatch
from server.policy.reference.model_switching import model_switching
from server.policy.reference.proteus import proteus
from server.policy.reference.ramsis import ramsis
from server.policy.reference.slackfit import slackfit

DROP = "+drop"
"""Behind a reference's name: the same with early drop."""
NEXUS = "+nexus"
"""Behind a reference's name: the same with Nexus' early drop, which also drops for the sake of larger batches."""
VARIANT = "VARIANT"
"""Stands for any variant in the names that take one."""

Make = Callable[[], PolicyFactory]
Kept = Callable[[PolicyFactory], PolicyFactory]
"""A policy made of another: kept to the arms of one variant, or with early drop."""

_ON_ALL_ARMS: dict[str, Make] = {
    "maxacc": maxacc,
    "maxbatch": maxbatch,
    "slackfit": slackfit,
}
_BY_SLACK = {"fixed", "maxbatch", "slackfit"}
"""They run as large a batch as their head has time for: Nexus' early drop gives them a head with more of it."""
_PLANNERS: dict[str, Make] = {
    "infaas": infaas,
    "model_switching": model_switching,
    "proteus": proteus,
    "proteus_eager": partial(proteus, patient=False),
    "ramsis": ramsis,
}
"""They give up late tickets, and more, by themselves."""


def policy(name: str) -> PolicyFactory:
    """A new factory, with a memory of its own, of the policy called `name`; or the one at the path `module:attribute`.

    Raises ValueError: for any other name listing what is known, for a path what is wrong with what it leads to.
    """
    _, _, variant = name.removesuffix(DROP).removesuffix(NEXUS).partition(":")
    made = _catalogue([variant] if variant else []).get(name)
    if made is not None:
        return made()
    if not is_path(name):
        raise ValueError(f"unknown policy {name!r}; known: {', '.join(names())}")
    try:
        return imported(name)
    except NoSuchModule as error:
        text = f"unknown policy {name!r}: {error}; known: {', '.join(names())}"
        raise ValueError(text) from None


def names(arms: Sequence[ArmProfile] | None = None) -> tuple[str, ...]:
    """Every name there is with these arms; without them, VARIANT stands where a variant's name belongs."""
    variants = [VARIANT] if arms is None else sorted({arm.arm.variant for arm in arms})
    return tuple(_catalogue(variants))


def _catalogue(variants: Sequence[str]) -> dict[str, Make]:
    """All policies by name; those that keep to one variant, once for each of `variants`."""
    found: dict[str, Make] = {name: partial(_tuned, name) for name in NAMED}
    found["largest"] = lambda: largest
    found |= {f"static:{variant}": partial(static, variant) for variant in variants}
    found |= _PLANNERS
    for name, make, kept in _references(variants):
        found[name] = partial(_kept, kept, make)
        found[name + DROP] = partial(_dropping, with_early_drop, kept, make)
        if name.partition(":")[0] in _BY_SLACK:
            found[name + NEXUS] = partial(_dropping, with_nexus_drop, kept, make)
    return found


def _tuned(name: str) -> PolicyFactory:
    return adaptive if NAMED[name] is DEFAULT else partial(adaptive, tuning=NAMED[name])


def _references(variants: Sequence[str]) -> Iterator[tuple[str, Make, Kept]]:
    for variant in variants:
        yield f"fixed:{variant}", fixed, partial(pinned, variant)
        yield f"clipper:{variant}", clipper, partial(pinned, variant)
    yield "clipper", clipper, most_accurate
    for name, make in _ON_ALL_ARMS.items():
        yield name, make, _all


def _kept(kept: Kept, make: Make) -> PolicyFactory:
    return kept(make())


def _dropping(drop: Kept, kept: Kept, make: Make) -> PolicyFactory:
    """Early drop by the arms that the reference is kept to."""
    return kept(drop(make()))


def _all(factory: PolicyFactory) -> PolicyFactory:
    return factory
