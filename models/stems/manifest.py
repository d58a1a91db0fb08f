"""`tasks.toml`: text to Package and back. Every value is checked; nothing here touches the disk."""

import json
from collections.abc import Sequence

from models.artifacts.tables import ArtifactError, Table, table_text
from models.stems.package import Base, Head, Package, Point, SharedTask
from surroundings.documents import toml_in

REMEDY = "correct it or publish the package again"


def parse(text: str, where: str) -> Package:
    """The package that `text` describes; `where` names it in messages. Raises ArtifactError."""
    try:
        top = Table(where, toml_in(text), REMEDY)
    except ValueError as error:
        raise ArtifactError(f"{where} is no TOML: {error}; publish the package again") from error
    base = _base(top.table("base"))
    package = Package(  # a base may be there before its first task
        base,
        top.number("stream_fps", None, 1e-3, 1e6),
        tuple(_task(t, base) for t in top.tables_if_any("tasks")),
    )
    top.done()
    if twice := _twice([t.name for t in package.tasks]):
        raise top.wrong("tasks", f"names {twice} more than once")
    return package


def _base(table: Table) -> Base:
    base = Base(
        name=table.name("name"),
        shape=table.sizes("shape"),
        artifact=table.name("artifact"),
        sha256=table.digest("sha256"),
        points=tuple(_point(t) for t in table.tables("points")),
    )
    table.done()
    first = base.points[0]
    if first.frozen != 0 or first.shape != base.shape:
        raise table.wrong("points", f"must begin with the input: frozen 0, shape {[*base.shape]}")
    _check_ascending(table, "points", [p.frozen for p in base.points])
    if twice := _twice([p.tensor for p in base.points]):
        raise table.wrong("points", f"name the tensor {twice[0]!r} more than once")
    return base


def _point(table: Table) -> Point:
    point = Point(
        table.whole("frozen", None, 0),
        table.text("tensor"),
        table.sizes("shape"),
        table.digest("stem"),
    )
    table.done()
    return point


def _task(table: Table, base: Base) -> SharedTask:
    name = table.name("name")
    task = SharedTask(
        name=name,
        meaning=table.text("meaning", ""),
        event_length_s=table.number("event_length_s", None, 1e-3, 1e6),
        event_frequency=table.number("event_frequency", None, 0, 1),
        correlation=table.number("correlation", None, 0, 1),
        heads=tuple(_head(t, name, base) for t in table.tables("heads")),
        origin=table.text("origin", ""),
    )
    table.done()
    _check_ascending(table, "heads", [h.frozen for h in task.heads])
    if task.origin and not _is_object(task.origin):
        raise table.wrong("origin", f"must be the text of a JSON object, not {task.origin!r}")
    return task


def _head(table: Table, task: str, base: Base) -> Head:
    head = Head(
        frozen=table.whole("frozen", None, 0),
        stem=table.digest("stem"),
        artifact=table.name("artifact"),
        sha256=table.digest("sha256"),
        threshold=table.number("threshold", 0.5, 0, 1),
        true_positive=table.number("true_positive", None, 0, 1),
        false_positive=table.number("false_positive", None, 0, 1),
    )
    table.done()
    point = next((p for p in base.points if p.frozen == head.frozen), None)
    if point is None:
        raise table.wrong(
            "frozen",
            f"is {head.frozen}, the base has points at {[p.frozen for p in base.points]}",
        )
    if head.stem != point.stem:
        raise table.wrong(
            "stem",
            f"of task {task} is {head.stem}, the base's point {point.frozen} has {point.stem}: the head was trained "
            "behind another stem; train it on this base, or publish it with its own",
        )
    return head


def _check_ascending(table: Table, key: str, frozen: Sequence[int]) -> None:
    if list(frozen) != sorted(set(frozen)):
        raise table.wrong(key, f"must be ascending by 'frozen', none twice, not {list(frozen)}")


def _twice(names: list[str]) -> list[str]:
    return sorted({n for n in names if names.count(n) > 1})


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def render(package: Package) -> str:
    """`tasks.toml` as text; `parse` gives the same package back."""
    base = package.base
    parts = [table_text("", {"stream_fps": package.stream_fps})]
    parts.append(table_text("[base]", _values(base, ("name", "shape", "artifact", "sha256"))))
    for point in base.points:
        fields = ("frozen", "tensor", "shape", "stem")
        parts.append(table_text("[[base.points]]", _values(point, fields)))
    for task in package.tasks:
        fields = ("name", "meaning", "event_length_s", "event_frequency", "correlation", "origin")
        parts.append(table_text("[[tasks]]", _values(task, fields)))
        fields = ("frozen", "stem", "artifact", "sha256", "threshold")
        fields += ("true_positive", "false_positive")
        parts += [table_text("[[tasks.heads]]", _values(h, fields)) for h in task.heads]
    return "\n".join(parts)


def _values(value: object, fields: Sequence[str]) -> dict[str, object]:
    return {field: getattr(value, field) for field in fields}
