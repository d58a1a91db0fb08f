"""By which rules arms are vetted, and what a verdict by other rules is still worth."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files

from profiler.profiles import Profile, Vetted

_DECIDING = {
    "models": ("padding.py", "tolerances.py"),
    "models.backends": ("graph_nodes.py",),
    "models.backends.rows": (),
    "profiler.measuring": ("conformance.py", "extremes.py", "rows.py"),
}
"""Package -> its modules that a verdict follows from; none named: all."""


@cache
def rules() -> str:
    """What tells today's rules from others: another whenever a module changes that verdicts follow from, or `onnx`."""
    return sha256(b"\0".join(_sources())).hexdigest()[:16]


def _sources() -> Iterator[bytes]:
    yield version("onnx").encode()
    for package, modules in _DECIDING.items():
        found = {file.name: file for file in files(package).iterdir() if file.name.endswith(".py")}
        for name in modules or sorted(found):
            yield found[name].read_bytes()


def holds(vetted: Vetted) -> bool:
    """Whether it is by today's rules."""
    return vetted.by == rules()


def under(profile: Profile, vetted: Vetted) -> Profile | None:
    """A profile with another verdict: timings of batches that may be run no more are left out.

    None where it must be measured anew: too little of it is left, or larger batches may be run than were.
    """
    if profile.vetted.alone and not vetted.alone:
        return None
    most = 1 if vetted.alone else profile.largest_measured
    points = tuple(point for point in profile.points if point.batch <= most)
    return replace(profile, vetted=vetted, points=points) if points else None


def believed(profile: Profile, known: Vetted) -> Profile | None:
    """A stored profile beside what is `known` of the arm now: by today's rules where either is.

    With neither it has yet to be vetted; None where that would not do.
    """
    if holds(profile.vetted):
        return profile
    if holds(known):
        return under(profile, known)
    return None if profile.vetted.alone else profile
