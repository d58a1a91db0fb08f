"""A graph and what its repository's config says of it: the graph wins where they contradict each other."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from models.adding.configs.triton import CONFIG, ModelConfig
from models.adding.found import plain_name
from models.adding.reading import Input, Shapes, Signature
from models.adding.sizing import AskedSize
from models.artifacts import ArtifactError
from models.catalog import Family
from models.datatypes import DATATYPES
from models.labels import read_labels

Report = Callable[[str], None]
Sizes = Mapping[str, AskedSize]


def fixed(
    config: ModelConfig, graph: Signature, asked: tuple[Shapes, Sizes], report: Report
) -> tuple[Shapes, Sizes]:
    """(inputs' shapes, sizes): those `asked` for, and those that the config states where the graph leaves them free."""
    _report_unknown("input", config.inputs, [i.name for i in graph.inputs], report)
    shapes, sizes = dict(asked[0]), dict(asked[1])
    for one in graph.inputs:
        stated = config.inputs.get(one.name)
        if stated is None:
            continue
        dims = config.behind_rows(stated)
        if odd := _contradiction((one.datatype, one.dims), (stated.datatype, dims)):
            report(f"{CONFIG}: input {one.name!r} {odd}")
        elif one.name not in asked[0] and not asked[1].keys() & set(one.sizes):
            _fix(one, dims, shapes, sizes, report)
    return shapes, sizes


def stated_inputs(config: ModelConfig) -> Mapping[str, Input]:
    """The inputs as the config states them, for models that do not; free sizes are called by their axes."""
    found: dict[str, Input] = {}
    for name, stated in config.inputs.items():
        dims = config.behind_rows(stated)
        sizes = tuple(f"{plain_name(name)}_{a}" for a, d in enumerate(dims, start=1) if d < 0)
        if stated.datatype in DATATYPES:
            found[name] = Input(name, stated.datatype, dims, sizes)
    return found


def configured(config: ModelConfig, family: Family, most: int | None, report: Report) -> Family:
    """The family with the config's largest batch and labels, where the model agrees; `most`: the rows that it takes at
    once, None where any number."""
    _report_unknown("output", config.outputs, [o.name for o in family.outputs], report)
    for one in family.outputs:
        stated = config.outputs.get(one.name)
        if stated is None:
            continue
        said = (stated.datatype, config.behind_rows(stated))
        if odd := _contradiction((one.datatype, one.shape[1:]), said):
            report(f"{CONFIG}: output {one.name!r} {odd}")
    return _labelled(config, _batched(config, family, most, report), report)


def _fix(
    one: Input,
    dims: Sequence[int],
    shapes: dict[str, tuple[int | str, ...]],
    sizes: dict[str, AskedSize],
    report: Report,
) -> None:
    """Fix the input's sizes that its graph leaves free and its config does not: all of them, or some."""
    free = [stated for found, stated in zip(one.dims, dims, strict=True) if found < 0]
    if not free or max(free) < 0:
        return
    if min(free) < 0:
        sizes |= {n: AskedSize(d, d) for n, d in zip(one.sizes, free, strict=True) if d > 0}
    else:
        shapes[one.name] = tuple(dims)
    report(
        f"{CONFIG}: input {one.name!r} is served with {list(dims)} behind the rows; its graph takes other sizes, too: "
        "add the graph itself to serve them"
    )


def _batched(config: ModelConfig, family: Family, limit: int | None, report: Report) -> Family:
    most = min(config.max_batch, limit or config.max_batch)
    if not most or most == family.max_batch:
        return family
    if family.one_row:
        report(
            f"{CONFIG}: max_batch_size {most} is not taken, as the graph takes one row a request"
        )
        return family
    report(
        f"{CONFIG}: max_batch_size {most} is taken; `gearshift models edit --max-batch` changes it"
    )
    return replace(family, max_batch=most)


def _labelled(config: ModelConfig, family: Family, report: Report) -> Family:
    if config.labels is None:
        return family
    try:
        labels = read_labels(config.labels)
    except ArtifactError as error:
        report(f"{CONFIG}: no labels are taken: {error}")
        return family
    if family.labels and family.labels != labels:
        report(f"{CONFIG}: the labels of {config.labels.name} are not the graph's, which are taken")
        return family
    if not any(o.shape[1:] == (len(labels),) for o in family.outputs):
        report(
            f"{CONFIG}: no output has a score for each of the {len(labels)} labels of {config.labels.name}; "
            "none are taken"
        )
        return family
    return replace(family, labels=labels)


def _report_unknown(
    what: str, stated: Collection[str], known: Collection[str], report: Report
) -> None:
    if odd := sorted(set(stated) - set(known)):
        names = ", ".join(map(repr, odd))
        report(f"{CONFIG}: {what} {names} is not served, as the graph has {', '.join(known)}")


def _contradiction(found: tuple[str, Sequence[int]], stated: tuple[str, Sequence[int]]) -> str:
    """In what a config contradicts the graph: (datatype, dimensions behind the rows) of either; empty where in
    nothing."""
    if stated[0] and stated[0] != found[0]:
        return f"is {found[0]} by the graph, not {stated[0]}; the graph is right"
    fits = len(found[1]) == len(stated[1]) and all(
        f == s or f < 0 or s < 0 for f, s in zip(found[1], stated[1], strict=True)
    )
    if fits:
        return ""
    return f"has {list(found[1])} behind the rows by the graph, not {list(stated[1])}; the graph is right"
