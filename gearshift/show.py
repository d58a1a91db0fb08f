"""`gearshift models show`: what one family takes, promises and has, and what its arms cost on this machine."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gearshift.frontier_text import Mark, picture
from models.artifacts import ArtifactError, folder_of, read_present, size_of
from models.artifacts.samples import SAMPLES
from models.catalog import Family, TensorSpec, Variant
from models.managing.action import Action
from profiler import store
from profiler.hardware.fingerprint import detect
from profiler.measuring.dominance import frontier
from profiler.profiles import MachineProfile, Profile
from profiler.reporting import plot
from profiler.reporting.table import accuracy_of
from server.texts import lines

_LABELS_SHOWN = 5


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("family", help="its name in the repository")
    add("--profiles", type=Path, help="folder of the stored profiles (default: the user's cache)")
    add("--plot", type=Path, metavar="FILE.png", help="draw accuracy against latency")


def _run(root: Path, given: argparse.Namespace) -> str:
    folder = folder_of(root, given.family)
    family, fingerprint = read_present(folder), detect().fingerprint()
    found = store.load(given.profiles or store.default_folder(), family, fingerprint)
    machine = None if found is None else _of_one_thread_count(found)
    parts = [*_facts(folder, family), "", *_variants(folder, family), ""]
    if machine is None or not machine.profiles:
        missing = (
            f"no profiles of this machine ({fingerprint}) are stored; measure its arms with "
            f"`gearshift profile --family {family.name} --repository {root}`"
        )
        if given.plot is not None:
            raise ArtifactError(f"{given.plot} cannot be drawn: {missing}")
        return lines("\n".join([*parts, missing]))
    parts += _frontier(family, machine)
    if given.plot is not None:
        plot.draw(family, machine, given.plot)
        parts.append(f"wrote {given.plot}")
    return lines("\n".join(parts))


def _facts(folder: Path, family: Family) -> Iterator[str]:
    yield f"{family.name}: {family.description}".rstrip(": ")
    yield f"folder   {folder}"
    for word, specs in (("input", family.inputs), ("output", family.outputs)):
        yield from (f"{word:<8} {spec.name}: {spec.datatype} {_shape(spec)}" for spec in specs)
    for size in family.sizes:
        yield f"size     {size.name}: {size.typical} as a rule, {size.most} at most"
    one_row = "one row a request, run by itself"
    yield f"rows     {one_row if family.one_row else f'{family.max_batch} at most in a batch'}"
    slo = family.slo
    least = f", accuracy {slo.min_accuracy:g} at least" if slo.min_accuracy else ""
    yield f"SLO      {1e3 * slo.latency_s:g} ms for {100 * slo.percentile:g} % of requests{least}, class {slo.name}"
    if family.labels:
        more = "; ..." if len(family.labels) > _LABELS_SHOWN else ""
        yield f"labels   {len(family.labels)}: {'; '.join(family.labels[:_LABELS_SHOWN])}{more}"
    own = (folder / SAMPLES).is_file()
    yield f"samples  {f'its own ({SAMPLES})' if own else 'none: arms are measured with made rows'}"


def _shape(spec: TensorSpec) -> str:
    names = iter(spec.sizes)
    dims = [str(d) if d >= 0 else next(names) or "?" for d in spec.shape[1:]]
    pad = "" if spec.pad is None else f", padded with {spec.pad:g}"
    return f"[{', '.join(['rows', *dims])}]{pad}"


def _variants(folder: Path, family: Family) -> Iterator[str]:
    width = max(7, *(len(v.name) for v in family.variants))
    yield f"{'variant':<{width}}  {'precision':<9}  {'accuracy':>8}  {'MiB':>8}  how it is known"
    for v in family.variants:
        yield f"{v.name:<{width}}  {v.precision:<9}  {v.accuracy.value:>8.2%}  {_size(folder, v):>8}  {_known(v)}"


def _size(folder: Path, variant: Variant) -> str:
    return f"{size_of(folder, variant) / 2**20:.2f}" if _is_there(folder, variant) else "missing"


def _is_there(folder: Path, variant: Variant) -> bool:
    return all((folder / f).is_file() for f in (variant.artifact, *(d.file for d in variant.data)))


def _known(variant: Variant) -> str:
    known = variant.accuracy
    interval = f" +/-{known.interval:.2%}" if known.interval else ""
    rows = f", {known.n} rows" if known.n else ""
    return f"{known.source}{rows}{interval}{' (candidate)' * variant.candidate}"


def _of_one_thread_count(machine: MachineProfile) -> MachineProfile:
    """The profiles of the thread count that most arms have, of equals the smallest: others are not comparable."""
    counts = [p.threads for p in machine.profiles]
    most = max(sorted(set(counts)), key=counts.count, default=1)
    return replace(machine, profiles=tuple(p for p in machine.profiles if p.threads == most))


def _frontier(family: Family, machine: MachineProfile) -> Iterator[str]:
    row = family.row_units
    arms = sorted(machine.profiles, key=lambda p: p.latency_s(row))
    best = frontier([(p.label, p.latency_s(row), accuracy_of(family, p)) for p in arms])
    letters = {name: chr(ord("A") + i % 26) for i, name in enumerate(best)}
    yield (
        f"accuracy (%) against the median latency of one row (ms, log scale) on this machine "
        f"({machine.fingerprint}), {arms[0].threads} thread(s); letters: the frontier"
    )
    yield from picture([_mark(family, p, letters.get(p.label, "")) for p in arms])
    yield ""
    width = max(len(p.label) for p in arms)
    for p in arms:
        late = ", above the SLO" if p.latency_s(row) > family.slo.latency_s else ""
        place = "on the frontier" if p.label in letters else "beaten by a faster one"
        yield (
            f"{letters.get(p.label, 'o')}  {p.label:<{width}}  {1e3 * p.latency_s(row):>9.3f} ms  "
            f"{accuracy_of(family, p):>7.2%}  {place}{late}"
        )
    if left := [v.name for v in family.variants if v.name not in {p.variant for p in arms}]:
        yield (
            f"not measured here: {', '.join(left)} (`gearshift profile --family {family.name}` does, or says why not)"
        )


def _mark(family: Family, profile: Profile, letter: str) -> Mark:
    latency_ms = 1e3 * profile.latency_s(family.row_units)
    return Mark(letter, latency_ms, 100 * accuracy_of(family, profile))


SHOW = Action(
    "show", "one family whole, and its frontier by this machine's profiles", _add_options, _run
)
