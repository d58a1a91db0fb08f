"""`gearshift serve`: read the configuration, run the server until SIGTERM or SIGINT, drain."""

import argparse
import gc
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from server.config import Config, read_config
from server.errors import BadConfiguration


def main(argv: list[str]) -> int:
    """Exit code 0 after a drain, 2 with one message on stderr where it cannot start, 1 where a thread of it died."""
    options = vars(_parser().parse_args(argv))
    path = options.pop("config")
    try:
        config = read_config(path, os.environ, options)
        return _serve(config)
    except BadConfiguration as error:
        print(f"gearshift serve: {error}", file=sys.stderr)
        return 2


def _serve(config: Config) -> int:
    logging.basicConfig(
        level=config.log_level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core would log beside our own messages
    log = logging.getLogger("server")
    from server.app import App

    app = App(config)
    failures: list[str] = []
    crashes: list[object] = []
    ending, end = socket.socketpair()
    end.setblocking(False)

    def fail(reason: str) -> None:
        failures.append(reason)
        end.send(b"\0")

    def crash(args: threading.ExceptHookArgs) -> None:
        """A server without one of its threads would leave requests unanswered: stop, loudly."""
        log.critical("a thread died; stopping", exc_info=args.exc_value)
        crashes.append(args)
        end.send(b"\0")

    # A byte on a socket wakes this thread whichever thread the kernel gave the signal to. An Event would not, and a
    # handler that sets one deadlocks where it interrupts that Event's own wait().
    signal.set_wakeup_fd(end.fileno())
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _noted)
    threading.excepthook = crash
    _calm_collector()
    app.start(fail)
    log.info(
        "gRPC on %s:%d, metrics on http://%s:%d/metrics",
        config.host,
        app.port,
        config.host,
        app.http_port,
    )
    ending.recv(1)
    log.info("draining (at most %.0f s)", config.drain_s)
    app.stop()
    log.info("stopped")
    if failures:
        raise BadConfiguration(failures[0])
    return 1 if crashes else 0


def _calm_collector() -> None:
    """Requests leave no cycles: keep the collector from walking everything loaded so far every few hundred of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _noted(_signal: int, _frame: object) -> None:
    """The wake-up descriptor has its byte already."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift serve", description=__doc__)
    parser.add_argument(
        "config", nargs="?", type=Path, help="a TOML file (see gearshift.example.toml)"
    )
    parser.add_argument("--repository", help="model repository (default: the user's cache)")
    parser.add_argument("--profiles", help="where profiles are kept (default: the user's cache)")
    parser.add_argument("--families", help="comma-separated; default: all in the repository")
    parser.add_argument("--host")
    parser.add_argument("--port", help="gRPC port, 0 for any")
    parser.add_argument("--http-port", dest="http_port", help="metrics and health port, 0 for any")
    parser.add_argument("--policy", help="adaptive, or static:VARIANT")
    parser.add_argument(
        "--slo-ms", dest="slo_ms", help="override every family's default latency bound"
    )
    parser.add_argument("--min-accuracy", dest="min_accuracy")
    parser.add_argument("--workers", help="batches run at a time per family")
    parser.add_argument("--threads", help="intra-op threads per worker")
    parser.add_argument("--log-level", dest="log_level")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
