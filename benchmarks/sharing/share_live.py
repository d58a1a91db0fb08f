"""Tasks arriving one by one on real streams: Gearshift's plan beside sharing as much as can be and sharing nothing.

Three servers get the same tasks, frames and budget, one after the other at every number of tasks; they differ in what
their package lets them choose: every branch, each task's deepest one, or its whole network alone. Event F1 is measured
from the labels of the frames sent, through gRPC. Needs the demo package (`make tasks`) and its data's test split.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tqdm import tqdm

from benchmarks import rig
from benchmarks.sharing.share_client import Desk, Labelled, Seen, watched
from benchmarks.sharing.share_report import markdown, plot
from models.artifacts import ArtifactError, default_repository
from models.stems import Head, Package, SharedTask, load_package, publish_package
from trainer.data import load
from trainer.errors import TrainError
from trainer.tasks.asked import Work, asked_before, checked
from trainer.tasks.footage import footage


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the three: its server."""

    name: str
    desk: Desk


def main() -> int:
    """Write benchmarks/results/share_live.{json,md,png}. Exit code 2 where the package or its data are missing."""
    options = _options()
    try:
        package = load_package(options.repository / options.package)
        work = _work(package, options)
    except (ArtifactError, TrainError) as error:
        print(f"share_live: {error}\nmake the package with `make tasks`", file=sys.stderr)
        return 2
    streams = [_labelled(work, package, options, seed) for seed in range(options.streams)]
    names = [task.name for task in package.tasks][: options.tasks]
    with ExitStack() as stack:
        arms = [
            Arm(name, _served(stack, options, package, choose, names[0]))
            for name, choose in RIVALS.items()
        ]
        rounds = [_round(arms, names[:n], streams) for n in _counts(names, options)]
    result = {"machine": rig.machine(), "settings": _settings(options), "rounds": rounds}
    rig.write(options.out, result, markdown(result))
    plot(result, rig.RESULTS / f"{options.out}.png")
    return 0


def _every(task: SharedTask) -> tuple[Head, ...]:
    return task.heads


def _deepest(task: SharedTask) -> tuple[Head, ...]:
    return task.heads[-1:]


def _alone(task: SharedTask) -> tuple[Head, ...]:
    return task.heads[:1]


RIVALS: dict[str, Callable[[SharedTask], tuple[Head, ...]]] = {
    "gearshift": _every,
    "max-sharing": _deepest,
    "no-sharing": _alone,
}
"""Which branches each lets its tasks have; `_alone` is the network with nothing frozen."""


def _round(arms: list[Arm], names: list[str], streams: list[Labelled]) -> dict[str, Any]:
    """Every arm with these tasks on the same streams, in an order that changes from round to round."""
    turn = len(names) % len(arms)
    seen: dict[str, Any] = {}
    for arm in tqdm([*arms[turn:], *arms[:turn]], desc=f"{len(names)} tasks", leave=False):
        added_s = [arm.desk.add(name) for name in names if name not in arm.desk.tasks]
        found = watched(arm.desk, streams, names)
        seen[arm.name] = asdict(found) | {"added_s": added_s}
        tqdm.write(f"{len(names)} tasks, {arm.name}: {_line(found)}")
    return {"tasks": names, "arms": {arm.name: seen[arm.name] for arm in arms}}


def _line(seen: Seen) -> str:
    return (
        f"F1 {seen.measured_f1:.3f} (predicted {seen.predicted_f1:.3f}), {seen.task_fps:.0f} task-frames/s, "
        f"device {seen.busy:.1%}, dropped {seen.dropped}"
    )


def _served(
    stack: ExitStack,
    options: argparse.Namespace,
    package: Package,
    choose: Callable[[SharedTask], tuple[Head, ...]],
    first: str,
) -> Desk:
    """A server whose package has only these branches, with its first task in service."""
    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gearshift-share-")))
    folder = options.repository / package.base.name
    tasks = tuple(replace(task, heads=choose(task)) for task in package.tasks)
    files: dict[str | tuple[str, int], Path] = {package.base.name: folder / package.base.artifact}
    for task in tasks:
        files |= {(task.name, head.frozen): folder / head.artifact for head in task.heads}
    publish_package(root, replace(package, tasks=tasks), files)
    config = root / "gearshift.toml"
    config.write_text(
        f'[sharing]\npackage = "{package.base.name}"\ntasks = ["{first}"]\n'
        f"budget = {options.budget}\nx_vote = {options.x_vote}\n"
    )
    server = stack.enter_context(
        rig.serving(str(config), "--repository", str(root), all_arms=False)
    )
    return stack.enter_context(Desk.of(server, [first]))


def _work(package: Package, options: argparse.Namespace) -> Work:
    """The package's tasks again, as its training knew them. Raises TrainError where the data are not there."""
    asked = asked_before(package.tasks[0].origin)
    return checked(asked, load(options.data or asked.data))


def _labelled(work: Work, package: Package, options: argparse.Namespace, seed: int) -> Labelled:
    """A stream of test pictures, and which of its windows are events of which task."""
    windows = round(options.seconds * package.stream_fps / work.scenery.window_frames)
    shown = footage(work.dataset.test, work.scenery, windows, options.seed + seed)
    events = {task.name: shown.events(task) for task in work.tasks}
    return Labelled(
        np.ascontiguousarray(shown.frames), shown.window_frames, package.stream_fps, events
    )


def _counts(names: list[str], options: argparse.Namespace) -> Iterator[int]:
    yield from (n for n in range(1, len(names) + 1) if not options.at or n in options.at)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """All but where things lie on this machine."""
    return {key: value for key, value in vars(options).items() if key not in {"repository", "data"}}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--repository", type=Path, default=default_repository())
    add("--package", default="share-demo")
    add("--data", default="", help="where the data are now; default: as when the package was made")
    add("--tasks", type=int, default=8, help="so many of the package's tasks arrive")
    add(
        "--at",
        type=lambda text: [int(n) for n in text.split(",")],
        help="only at these numbers of tasks",
    )
    add("--streams", type=int, default=8)
    add("--seconds", type=float, default=20.0, help="of every stream, at every number of tasks")
    add("--budget", type=float, default=0.014, help="device seconds a second, all streams together")
    add("--x-vote", type=int, default=3, help="the most votes a plan may ask for")
    add("--seed", type=int, default=100)
    add("--out", default="share_live")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
