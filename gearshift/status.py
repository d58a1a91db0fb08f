"""`gearshift status`: ask a running server, here or elsewhere, how it fares and why it decided as it did."""

import argparse
import json
import os
import signal
import socket
import sys
from math import isfinite
from select import select
from typing import Any

import grpc

from gearshift.status_text import told
from server.rpc.wire import control_pb2 as pb

_SERVICE = "/gearshift.v1.Control/"
_PATIENCE_S = 5.0
"""How long one question may take: connecting, and explaining up to a hundred decisions."""
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
_CLEAR = "\x1b[2J\x1b[H"


class NoStatus(Exception):
    """The server cannot be asked, or does not answer this question; the message says what to do."""


def main(argv: list[str]) -> int:
    """Exit code 0 when told (or a watch was ended by hand), 2 with one message on stderr where there is nothing to."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    options = _parser().parse_args(argv)
    try:
        with grpc.insecure_channel(options.url, options=_OPTIONS) as channel:
            _show(channel, options)
    except NoStatus as error:
        print(f"gearshift status: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # who read it has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        pass
    return 0


def _show(channel: grpc.Channel, options: argparse.Namespace) -> None:
    """Ask and print, once or until interrupted."""
    begin = _CLEAR if options.watch and sys.stdout.isatty() else ""
    interrupted = _interrupts() if options.watch else None
    while True:
        families = _ask_all(channel, options)
        if options.json:
            print(json.dumps({"families": families}, indent=None if options.watch else 2))
        else:
            print(begin + "\n\n".join(told(family) for family in families))
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


def _ask_all(channel: grpc.Channel, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each family's plan, under `frontier` its variants' standing, and under `decisions` its last ones."""
    try:
        request = pb.GetPlanRequest(family=options.family)
        plans = _call(channel, "GetPlan", request, pb.GetPlanResponse).plans
        return [
            {
                **plain(one),
                "frontier": _frontier(channel, one.family),
                "decisions": _decisions(channel, one.family, options),
            }
            for one in plans
        ]
    except grpc.RpcError as error:
        raise NoStatus(_why(error, options.url)) from None


def _frontier(channel: grpc.Channel, family: str) -> dict[str, Any] | None:
    """None where the server is too old to tell."""
    request = pb.GetFrontierRequest(family=family)
    try:
        return plain(_call(channel, "GetFrontier", request, pb.GetFrontierResponse))
    except grpc.RpcError as error:
        call: Any = error  # an RpcError of a call is a Call too; grpc's types do not say so
        if call.code() is grpc.StatusCode.UNIMPLEMENTED:
            return None
        raise


def _decisions(
    channel: grpc.Channel, family: str, options: argparse.Namespace
) -> list[dict[str, Any]]:
    if not options.count:
        return []
    request = pb.GetDecisionsRequest(family=family, count=options.count)
    answer = _call(channel, "GetDecisions", request, pb.GetDecisionsResponse)
    return [plain(one) for one in answer.decisions]


def plain(message: Any) -> dict[str, Any]:
    """A message as plain values by field name: absent messages and what is not finite as None."""
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is None:
        return value if not isinstance(value, float) or isfinite(value) else None
    if field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [plain(one) for one in value]
    return plain(value) if message.HasField(field.name) else None


def _call(channel: grpc.Channel, method: str, request: Any, answer: Any) -> Any:
    call = channel.unary_unary(
        _SERVICE + method,
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return call(request, timeout=_PATIENCE_S)


def _why(error: grpc.RpcError, url: str) -> str:
    call: Any = error  # an RpcError of a call is a Call too; grpc's types do not say so
    code, details = call.code(), call.details()
    match code:
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no server answers at {url} ({details}); start `gearshift serve` or name another with --url"
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"the server at {url} has no {_SERVICE.strip('/')}; it is older than this command: update it"
        case _:
            return f"the server at {url} says {code.name}: {details}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift status", description=__doc__)
    add = parser.add_argument
    add("--url", default="localhost:8001", help="the server's gRPC address (localhost:8001)")
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
