"""Packages as control calls need them, and what goes wrong with them in the words of clients."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from models.artifacts import ArtifactError
from models.backends.base import BackendError
from models.stems.package import Package, SharedTask
from server.errors import BadPackage, BudgetTooSmall, ComputeFailed, NotReady, UnknownTask
from server.sharing.control.planning import NO_TASKS, Situation
from server.sharing.planner.plan import Infeasible, Plan
from server.sharing.runtime.networks import Source
from server.sharing.runtime.program import Program
from server.texts import shown


def first_program(source: Source) -> Program:
    """A package without tasks in service. Raises BadPackage, NotReady, ComputeFailed."""
    with reporting("the task package"):
        package = source.read()
        return Program(NO_TASKS, package, source.open(package))


def same_base(new: Package, old: Package) -> Package:
    """`new`. Raises BadPackage where it is another network's."""
    if new.base != old.base:
        raise BadPackage(
            f"the base network '{old.base.name}' on disk is another now; restart the server to serve it"
        )
    return new


def points_of(plan: Plan) -> set[int]:
    """Where its tasks branch."""
    return {choice.frozen for choice in plan.choices}


def together_with(package: Package, tasks: Sequence[SharedTask]) -> Package:
    """The package with these tasks as they are here: in service, whatever became of them on disk."""
    served = {task.name: task for task in tasks}
    present = tuple(served.pop(task.name, task) for task in package.tasks)
    return replace(package, tasks=(*present, *served.values()))


def task_in(package: Package, name: str) -> SharedTask:
    """Raises UnknownTask."""
    for task in package.tasks:
        if task.name == name:
            return task
    names = [task.name for task in package.tasks]
    raise UnknownTask(f"package '{package.base.name}' has no task '{shown(name)}'; it has {names}")


def too_small(now: Situation, error: Infeasible) -> BudgetTooSmall:
    """The refusal, with the smallest budget of all streams together."""
    smallest_s = error.smallest * now.share
    text = (
        f"tasks {list(now.tasks)} on {now.share} stream(s) do not fit {now.setup.budget_s:g} device seconds a second; "
        f"the smallest budget that has a plan is {smallest_s:.6g}: raise it, or remove a task or a stream"
    )
    return BudgetTooSmall(text, smallest_s)


@contextmanager
def reporting(what: str) -> Generator[None]:
    """Say what could not be loaded or run."""
    try:
        yield
    except ArtifactError as error:
        raise BadPackage(f"{what} cannot be used: {error}") from error
    except OSError as error:
        raise NotReady(f"{what} cannot be read: {error}") from error
    except BackendError as error:
        raise ComputeFailed(f"{what} cannot be run: {error}") from error
