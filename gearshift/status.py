"""`gearshift status`: ask a running server, here or elsewhere, how it fares and why it decided as it did."""

import argparse
import json
import os
import signal
import socket
import sys
from itertools import starmap
from math import isfinite
from select import select
from typing import Any

import grpc

from gearshift.asking import OPTIONS, NoAnswer, ask, code_of, plain, why
from gearshift.status_text import not_served, text_of
from server.texts import lines
from surroundings.server_address import BadAddress, add_options, resolved
from wire import control_pb2 as pb
from wire import inference_pb2 as models

_SERVICE = "/gearshift.v1.Control/"
_INDEX = "/inference.GRPCInferenceService/RepositoryIndex"
_CLEAR = "\x1b[2J\x1b[H"
_NO_FAMILY = "no family is served here; `gearshift tasks plan` tells of shared tasks"


def main(argv: list[str]) -> int:
    """Exit code 0 when told (or a watch was ended by hand), 2 with one message on stderr where there is nothing to."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    options = _parser().parse_args(argv)
    try:
        options.url = resolved(options.url, options.config, os.environ)
        with grpc.insecure_channel(options.url, options=OPTIONS) as channel:
            _show(channel, options)
    except (NoAnswer, BadAddress) as error:
        print(f"gearshift status: {lines(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _show(channel: grpc.Channel, options: argparse.Namespace) -> None:
    """Ask and print, once or until interrupted."""
    begin = _CLEAR if options.watch and sys.stdout.isatty() else ""
    interrupted = _interrupts() if options.watch else None
    while True:
        unserved = _unserved(channel, options)
        families = [] if options.family in unserved else _ask_all(channel, options)
        if options.json:
            answer = {"families": families, "unserved": unserved}
            print(json.dumps(answer, indent=None if options.watch else 2))
        else:
            parts = [*map(text_of, families), *starmap(not_served, unserved.items())]
            print(begin + lines("\n\n".join(parts) or _NO_FAMILY))
        sys.stdout.flush()
        if interrupted is None or select([interrupted], [], [], options.watch)[0]:
            return


def _interrupts() -> socket.socket:
    """Readable once the user has interrupted: an exception could be lost inside a call, a byte cannot."""
    interrupted, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.detach())
    signal.signal(signal.SIGINT, _noted)
    return interrupted


def _noted(_signal: int, _frame: object) -> None:
    """The socket has its byte already."""


def _unserved(channel: grpc.Channel, options: argparse.Namespace) -> dict[str, str]:
    """Families in the repository that cannot be served, or the one that was asked for, and why."""
    try:
        answer = ask(
            channel, _INDEX, models.RepositoryIndexRequest(), models.RepositoryIndexResponse
        )
    except grpc.RpcError as error:
        if code_of(error) is grpc.StatusCode.UNIMPLEMENTED:
            return {}
        raise NoAnswer(why(error, options.url, _SERVICE)) from None
    return {
        one.name: one.reason
        for one in answer.models
        if one.state == "UNAVAILABLE" and options.family in ("", one.name)
    }


def _ask_all(channel: grpc.Channel, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each family's plan, under `frontier` its variants' standing, and under `decisions` its last ones."""
    try:
        request = pb.GetPlanRequest(family=options.family)
        plans = ask(channel, _SERVICE + "GetPlan", request, pb.GetPlanResponse).plans
        return [
            {
                **plain(one),
                "frontier": _frontier(channel, one.family),
                "decisions": _decisions(channel, one.family, options),
            }
            for one in plans
        ]
    except grpc.RpcError as error:
        raise NoAnswer(why(error, options.url, _SERVICE)) from None


def _frontier(channel: grpc.Channel, family: str) -> dict[str, Any] | None:
    """None where the server is too old to tell."""
    request = pb.GetFrontierRequest(family=family)
    try:
        return plain(ask(channel, _SERVICE + "GetFrontier", request, pb.GetFrontierResponse))
    except grpc.RpcError as error:
        if code_of(error) is grpc.StatusCode.UNIMPLEMENTED:
            return None
        raise


def _decisions(
    channel: grpc.Channel, family: str, options: argparse.Namespace
) -> list[dict[str, Any]]:
    if not options.count:
        return []
    request = pb.GetDecisionsRequest(family=family, count=options.count)
    answer = ask(channel, _SERVICE + "GetDecisions", request, pb.GetDecisionsResponse)
    return [plain(one) for one in answer.decisions]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift status", description=__doc__)
    add = parser.add_argument
    add_options(parser)
    add("--family", default="", help="only this one; default: all that it serves")
    add("--count", type=_count, default=5, help="decisions told per family, 0 to 100 (5)")
    add("--json", action="store_true", help="for scripts: all that the server tells")
    add("--watch", type=_seconds, metavar="S", help="again every S seconds, until interrupted")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 100")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (seconds > 0.0 and isfinite(seconds)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
