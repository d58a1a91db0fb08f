"""What a profile means, in words: which arms pay here and when, which do not and why. Prints nothing."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from models.backends import missing
from models.catalog import Family
from profiler.measuring.dominance import PAYS_NOT, beats, contender, frontier, seems_to_beat
from profiler.measuring.summary import OWN_TAIL, assumed, has_own, pooled_runs
from profiler.profiles import Profile
from profiler.reporting.table import accuracy_of

SLACKS = (1.0, 0.75, 0.5, 0.25, 0.1)
"""Shares of the SLO that may be left when a request is looked at."""


def explained(family: Family, profiles: Sequence[Profile], failed: Mapping[str, str]) -> str:
    """Several short sections, one under the other."""
    in_time = f"p95 within {_ms(family.slo.latency_s)}"
    sections = (
        ("measured", _measured(profiles)),
        ("frontier for a lone request (batch 1)", _frontier_alone(family, profiles)),
        (f"frontier by throughput, {in_time}", _loads(family, profiles)),
        ("most accurate arm for the time that is left (batch 1, p95)", _slacks(family, profiles)),
        ("do not pay here, and what beats them at every batch size", _dominated(profiles)),
        ("not certain yet", _races(family, profiles)),
        ("rows and answers", _vetted(profiles)),
        ("failed", (f"{name}: {reason}" for name, reason in failed.items())),
        ("not installed", missing_runtimes(family)),
    )
    return "\n\n".join(f"{title}\n{_lines(rows)}" for title, rows in sections)


def missing_runtimes(family: Family) -> list[str]:
    """Runtimes that could run a variant of this family but are not here, each with how to install it."""
    found = {r.name: r for v in family.variants for r in missing(v)}
    return [
        f"{name}: pip install {f'gearshift[{r.extra}]' if r.extra else r.package!r}"
        for name, r in found.items()
    ]


def best_within(profile: Profile, limit_s: float) -> tuple[int, float] | None:
    """(batch, rows/s) of the arm's best throughput whose p95 is within `limit_s`; None where none is."""
    batches = range(1, profile.largest_measured + 1)
    fitting = [b for b in batches if profile.latency_s(b, 0.95) <= limit_s]
    if not fitting:
        return None
    batch = max(fitting, key=lambda b: (profile.throughput_rps(b), -b))
    return batch, profile.throughput_rps(batch)


def _measured(profiles: Sequence[Profile]) -> Iterator[str]:
    points = [point for profile in profiles for point in profile.points]
    if not points:
        return
    widths, runs = [point.half_width for point in points], [point.n for point in points]
    yield f"{len(profiles)} arms, {len(points)} batch sizes, {sum(runs)} runs, {_range(runs)} a batch size;"
    yield f"the medians' 95 % intervals are +/-{median(widths):.1%} in the middle, {max(widths):.1%} at worst"
    yield from _tails(runs)
    yield "seconds, and batch sizes with runs and intervals, by arm:"
    for p in profiles:
        sizes = " ".join(f"{q.batch}({q.n}, +/-{q.half_width:.0%})" for q in p.points)
        yield f"{p.label}: {p.seconds:.1f} s; {sizes}"


def _tails(runs: Sequence[int]) -> Iterator[str]:
    """Where p95, p99 and means come from."""
    own95, own99 = (sum(has_own(q, n) for n in runs) for q in (0.95, 0.99))
    if own99 == len(runs):
        return
    pooled = pooled_runs(runs)
    least = [f"{assumed(q):.2f} for p{100 * q:.0f}" for q in (0.95, 0.99) if not has_own(q, pooled)]
    also = f", and at least {' and '.join(least)} (assumed: too few runs)" if least else ""
    yield f"p95 is from own runs at {own95} batch sizes ({OWN_TAIL} runs or more), p99 at {own99} ({5 * OWN_TAIL});"
    yield f"at the others inherited: the median times what {pooled} runs of all arms show{also}"


def _range(runs: Sequence[int]) -> str:
    return f"{min(runs)} to {max(runs)} ({median(runs):g} in the middle)"


def _races(family: Family, profiles: Sequence[Profile]) -> Iterator[str]:
    """Arms that the medians put out, and the intervals do not."""
    paying = [p for p in profiles if PAYS_NOT not in p.note]
    found = [contender(p, accuracy_of(family, p)) for p in paying]
    for other in found:
        faster = [c for c in found if seems_to_beat(c, other) and not beats(c, other)]
        if faster:
            best = min(faster, key=lambda c: (c.p50_s[0], c.name))
            yield f"{other.name}: {best.name} seems faster at every batch size; the intervals overlap"


def _vetted(profiles: Sequence[Profile]) -> Iterator[str]:
    """How far answers are from the reference's, and which arms run row by row."""
    for p in profiles:
        if p.vetted.difference:
            yield f"{p.label}: differs from the reference by {p.vetted.difference:.2g} at most"
        if p.vetted.alone:
            yield f"{p.label}: {p.vetted.alone}"


def _frontier_alone(family: Family, profiles: Sequence[Profile]) -> Iterator[str]:
    spots = [(p.label, p.latency_s(1), accuracy_of(family, p)) for p in profiles]
    for name in frontier(spots):
        _, alone_s, accuracy = next(s for s in spots if s[0] == name)
        sure = next(p for p in profiles if p.label == name).half_width_at(1)
        yield f"{name}: {_ms(alone_s)} (+/-{sure:.0%}), accuracy {accuracy:.2%}"


def _loads(family: Family, profiles: Sequence[Profile]) -> Iterator[str]:
    """The arms worth mixing, by the load that each can carry alone on one worker."""
    best = {p.label: best_within(p, family.slo.latency_s) for p in profiles}
    spots = [
        (p.label, 1.0 / found[1], accuracy_of(family, p))
        for p in profiles
        if (found := best[p.label]) is not None
    ]
    accuracies = {name: accuracy for name, _, accuracy in spots}
    by_name = {p.label: p for p in profiles}
    for name in reversed(frontier(spots)):
        found = best[name]
        if found is not None:
            batch, rate = found
            sure = by_name[name].half_width_at(batch)
            text = f"up to {rate:.0f} rows/s (+/-{sure:.0%}) a worker: {name} x {batch}"
            yield f"{text}, accuracy {accuracies[name]:.2%}"


def _slacks(family: Family, profiles: Sequence[Profile]) -> Iterator[str]:
    for share in SLACKS:
        slack_s = share * family.slo.latency_s
        fitting = [p for p in profiles if p.latency_s(1, 0.95) <= slack_s]
        best = max(
            fitting, key=lambda p: (accuracy_of(family, p), -p.latency_s(1, 0.95)), default=None
        )
        took = f"{best.label}, p95 {_ms(best.latency_s(1, 0.95))}" if best else "none: it is late"
        yield f"{_ms(slack_s)}: {took}"


def _dominated(profiles: Sequence[Profile]) -> Iterator[str]:
    yield from (f"{p.label}: {p.note.removeprefix(PAYS_NOT)}" for p in profiles if p.note)
    pairs = [(p.precision, p.backend) for p in profiles]
    paying = {(p.precision, p.backend) for p in profiles if PAYS_NOT not in p.note}
    for precision, backend in sorted(set(pairs) - paying):
        yield f"=> {precision} on {backend} pays with no variant"


def _lines(rows: Iterator[str] | Sequence[str]) -> str:
    return "\n".join(f"  {row}" for row in rows) or "  none"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"
