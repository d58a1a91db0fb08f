"""Which arms should be in memory, and on how many threads: a mixed-integer programme over the loads to expect. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal

from server.policy.arms.mixing import LoadLevel, PricedArm, best_set, expected_awg, worth
from server.policy.decision import Arm, ArmProfile


@dataclass(frozen=True, slots=True)
class Layout:
    """How a family's arms share the cores: `instances` batches run at a time, on `threads` threads each."""

    threads: int
    instances: int


@dataclass(frozen=True, slots=True)
class ResidencyBounds:
    """The bounds, and when a change pays.

    What is loaded has `horizon_s` to pay for the time it took; a change is worth it above `gain` of awg (0..1).
    """

    memory_bytes: int
    cores: int
    horizon_s: float = 600.0
    gain: float = 0.002


@dataclass(frozen=True, slots=True)
class ResidentSet:
    """What is, or should be, in memory."""

    layout: Layout
    arms: frozenset[Arm]


@dataclass(frozen=True, slots=True)
class Planned:
    """The residency to have; `awg` expected of it (0..1), `loading` what getting there costs of that, and why it is so.

    `kept`: the present one is as good, or nearly; `better`: worth the change; `first`: there was none, or none that can
    stay.
    """

    residency: ResidentSet
    awg: float
    loading: float
    reason: Literal["kept", "better", "first"]

    @property
    def value(self) -> float:
        """Expected awg, less what loading costs of it."""
        return self.awg - self.loading


PricedArms = Mapping[Layout, Sequence[PricedArm]]


def layouts(cores: int, threads: Iterable[int]) -> list[Layout]:
    """For each number of threads an instance may have, as many instances as the cores hold."""
    return [Layout(t, cores // t) for t in sorted(set(threads)) if 1 <= t <= cores]


def row_s(profile: ArmProfile, slo_s: float, share: float = 0.5) -> float:
    """The least time (s) per row in batches of at most `share` of the SLO: a batch just missed can be waited out.

    Where not even one row is that quick, its time alone; infinite where that breaks the SLO.
    """
    sizes = range(1, profile.max_batch + 1)
    fitting = [b for b in sizes if profile.upper_s[b] <= share * slo_s]
    if not fitting:
        return profile.mean_s[1] if profile.upper_s[1] <= slo_s else inf
    return min(profile.mean_s[b] / b for b in fitting)


def plan(
    offers: PricedArms,
    levels: Sequence[LoadLevel],
    terms: ResidencyBounds,
    present: ResidentSet | None = None,
) -> Planned:
    """The residency with the most accuracy-weighted goodput over `levels`, loading paid; exact.

    At each level the arms in memory are mixed at best (a linear programme, whose optimum lies on their hull). Layouts
    that need more than the cores are passed over. Raises ValueError where nothing fits or no load is given.
    """
    if not sum(level.share for level in levels) > 0.0:
        raise ValueError("no load to plan for; give at least one level with a positive share")
    fitting = {
        layout: [o for o in found if o.memory_bytes <= terms.memory_bytes and isfinite(o.row_s)]
        for layout, found in offers.items()
        if layout.threads * layout.instances <= terms.cores
    }
    plans = [
        _best(layout, found, levels, terms, present) for layout, found in fitting.items() if found
    ]
    if not plans:
        raise ValueError(
            f"no arm that answers within the SLO fits {terms.memory_bytes} bytes and {terms.cores} cores; "
            "raise the memory budget or offer smaller variants"
        )
    best = max(plans, key=lambda p: p.value)
    kept = _as_is(fitting, levels, terms, present)
    if kept is None:
        return best
    return best if best.value - kept.value > terms.gain else kept


def _best(
    layout: Layout,
    offers: Sequence[PricedArm],
    levels: Sequence[LoadLevel],
    terms: ResidencyBounds,
    present: ResidentSet | None,
) -> Planned:
    """The best set of arms under one layout."""
    loading = _loading(layout, offers, terms, present)
    used = best_set(offers, layout.instances, levels, loading, terms.memory_bytes)
    arms = frozenset(o.arm for o in used)
    paid = sum(cost for o, cost in zip(offers, loading, strict=True) if o.arm in arms)
    awg = expected_awg(used, layout.instances, levels)
    return Planned(ResidentSet(layout, arms), awg, paid, "first" if present is None else "better")


def _as_is(
    offers: PricedArms,
    levels: Sequence[LoadLevel],
    terms: ResidencyBounds,
    present: ResidentSet | None,
) -> Planned | None:
    """The present residency's worth under today's loads; None where there is none or it can no longer be."""
    if present is None:
        return None
    found = [o for o in offers.get(present.layout, ()) if o.arm in present.arms]
    too_much = sum(o.memory_bytes for o in found) > terms.memory_bytes
    if too_much or len(found) != len(present.arms):
        return None
    return Planned(present, expected_awg(found, present.layout.instances, levels), 0.0, "kept")


def _loading(
    layout: Layout, offers: Sequence[PricedArm], terms: ResidencyBounds, present: ResidentSet | None
) -> list[float]:
    """What loading each costs of the awg: an instance that loads answers nothing meanwhile.

    What is in memory with other threads must be loaded anew: their number is fixed then.
    """
    here = (
        present.arms if present and present.layout.threads == layout.threads else frozenset[Arm]()
    )
    most = max(worth(o) for o in offers)
    per_s = most / (terms.horizon_s * layout.instances)
    return [0.0 if o.arm in here else per_s * o.load_s for o in offers]
