"""`gearshift tasks`: what shared tasks a running server has and how it runs them; add, remove, set their budget."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from gearshift.asking import OPTIONS, NoAnswer, ask, plain, why
from gearshift.tasks_text import changed, listing, standing
from server.texts import lines
from surroundings.server_address import BadAddress, add_options, resolved
from wire import tasks_pb2 as pb

_SERVICE = "/gearshift.v1.Tasks/"
_PATIENCE_S = 60.0
"""How long a change may take: a task's heads are loaded and measured, and the plan is made anew."""


@dataclass(frozen=True, slots=True)
class _Action:
    """What a word on the command line asks, and its answer as text."""

    method: str
    request: Callable[[argparse.Namespace], Message]
    text: Callable[[dict[str, Any]], str]


_ACTIONS = {
    "list": _Action("ListTasks", lambda _: pb.ListTasksRequest(), listing),
    "plan": _Action("GetTaskPlan", lambda _: pb.GetTaskPlanRequest(), standing),
    "add": _Action("AddTask", lambda o: pb.AddTaskRequest(task=o.task), changed),
    "remove": _Action("RemoveTask", lambda o: pb.RemoveTaskRequest(task=o.task), changed),
    "budget": _Action("SetTaskBudget", lambda o: pb.SetTaskBudgetRequest(budget=o.budget), changed),
}

_WORDS: dict[str, tuple[Any, ...]] = {
    "list": ("the package's tasks, and which are in service (this is what no action means)",),
    "plan": ("the plan with its reasons, and how it fares",),
    "add": ("take a task into service, or its new version", ("NAME", str)),
    "remove": ("take a task out of service", ("NAME", str)),
    "budget": ("plan within so many device seconds a second, all streams together", ("X", float)),
}
"""Action -> what it is, and the argument it takes."""


def main(argv: list[str]) -> int:
    """Exit code 0 when told or done, 2 with one message on stderr where not."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    options = _parser().parse_args(argv)
    action = _ACTIONS[options.action or "list"]
    try:
        options.url = resolved(options.url, options.config, os.environ)
        with grpc.insecure_channel(options.url, options=OPTIONS) as channel:
            answer = plain(_asked(channel, action, options))
    except (NoAnswer, BadAddress) as error:
        print(f"gearshift tasks: {lines(str(error))}", file=sys.stderr)
        return 2
    print(json.dumps(answer, indent=2) if options.json else lines(action.text(answer)))
    return 0


def _asked(channel: grpc.Channel, action: _Action, options: argparse.Namespace) -> Message:
    answer = getattr(pb, f"{action.method}Response")
    try:
        path = _SERVICE + action.method
        return ask(channel, path, action.request(options), answer, _PATIENCE_S)
    except grpc.RpcError as error:
        raise NoAnswer(why(error, options.url, _SERVICE)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift tasks", description=__doc__)
    _add_common(parser, address=None, as_json=False)
    later = argparse.ArgumentParser(add_help=False)  # the same options behind the action
    _add_common(later, address=argparse.SUPPRESS, as_json=argparse.SUPPRESS)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    for name, (what, *argument) in _WORDS.items():
        of_action = actions.add_parser(name, parents=[later], help=what, description=what)
        for metavar, kind in argument:
            of_action.add_argument("task" if kind is str else "budget", metavar=metavar, type=kind)
    return parser


def _add_common(
    parser: argparse.ArgumentParser, *, address: str | None, as_json: bool | str
) -> None:
    add_options(parser, "--address", default=address)
    parser.add_argument(
        "--json",
        action="store_true",
        default=as_json,
        help="for scripts: all that the server tells",
    )
