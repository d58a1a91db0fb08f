"""`gearshift serve`: read the configuration, run the server until SIGTERM or SIGINT, drain."""

import argparse
import gc
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.adding.found import is_model
from server.config import KEYS, Config, Key, read_config
from server.errors import BadConfiguration
from server.texts import lines, shown
from surroundings import console
from surroundings.addresses import joined
from surroundings.compiled import is_compiled
from surroundings.memory import share_one_arena

_log = logging.getLogger("server")

_WHAT = (
    "a TOML file (docs/configuration.md), or a model to serve for as long as the server runs, as "
    "`gearshift models add` takes it"
)
_NO_THREADS_BETWEEN = "-event_engine_listener"
"""gRPC's core is to read sockets on the front's own thread, as it did before it had others for that: a sixth less CPU a
request (docs/decisions/0021)."""
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def main(argv: list[str]) -> int:
    """Exit code 0 after a drain, 2 with one message on stderr where it cannot start, 1 where a thread of it died."""
    options = vars(_parser().parse_args(argv))
    path: Path | None = options.pop("config")
    notes: list[str] = []
    with ExitStack() as ending:
        try:
            if path is not None and is_model(path):
                options["repository"] = _repository_of(path, options["repository"], ending)
                path = None
            config = read_config(path, os.environ, options, notes.append)
            code = _serve(config, notes)
        except BadConfiguration as error:
            print(f"gearshift serve: {error}", file=sys.stderr)
            code = 2
    _end_at_once_if_held(code)
    return code


def _repository_of(model: Path, given: str | None, ending: ExitStack) -> str:
    """The folder of families that `model` is, or one made of the model, which goes when the server ends.

    Raises BadConfiguration.
    """
    if given is not None:
        raise BadConfiguration(
            f"{model} is a model, and --repository names a folder of families; give one of the two, or add the model "
            f"to it: gearshift models add {model} --repository {given}"
        )
    from models.adding.adding import add_all
    from models.artifacts import ArtifactError, family_names
    from models.build.errors import BuildError

    if model.is_dir() and family_names(model):
        return str(model)
    root = ending.enter_context(TemporaryDirectory(prefix="gearshift-"))
    try:
        add_all(model, Path(root), lambda text: print(f"gearshift serve: {text}", file=sys.stderr))
    except (ArtifactError, BuildError) as error:
        raise BadConfiguration(str(error)) from error
    except OSError as error:
        raise BadConfiguration(f"{error.filename or root}: {error.strerror or error}") from error
    return root


def _end_at_once_if_held(code: int) -> None:
    """A thread that a runtime does not give back would abort the process where the interpreter ends in good order."""
    held = ("guarded", "tuner", "worker-")
    if any(thread.name.startswith(held) for thread in threading.enumerate()):
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)


def _serve(config: Config, notes: list[str]) -> int:
    logging.basicConfig(level=config.server.log_level, stream=sys.stderr)
    logging.getLogger().handlers[0].setFormatter(_Escaping(_FORMAT))
    for line in notes:
        _log.warning("%s", line)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core would log beside our own messages
    os.environ.setdefault("GRPC_EXPERIMENTS", _NO_THREADS_BETWEEN)
    share_one_arena()
    from server.app import App
    from server.policy.dispatch import choose

    app = App(config)
    ending = _Ending()
    _calm_collector()
    app.start(ending.fail)
    _announce(config.server.host, (app.port, app.http_port), app.rest_port)
    _log.info("front: %s; policy: %s", app.front, "compiled" if is_compiled(choose) else "Python")
    ending.wait()
    if (leave_s := config.server.shutdown_delay_s) and ending.is_asked:
        app.leave()
        _log.info("not ready any more; refusing in %.0f s, or at the next signal", leave_s)
        ending.wait(leave_s)
    _log.info("draining (at most %.0f s)", config.server.drain_s)
    app.stop()
    ending.ignore()
    _log.info("stopped")
    if ending.failure:
        raise BadConfiguration(ending.failure)
    return 1 if ending.crashed else 0


def _announce(host: str, ports: tuple[int, int], rest_port: int | None) -> None:
    _log.info("gRPC on %s, metrics on http://%s/metrics", *(joined(host, one) for one in ports))
    if rest_port is not None:
        _log.info("REST on http://%s/v2", joined(host, rest_port))


class _Ending:
    """Why the server should stop: a signal, a family that cannot be served, or a thread that died.

    A byte on a socket wakes the main thread whichever thread the kernel gave the signal to. An Event would not, and a
    handler that sets one deadlocks where it interrupts that Event's own wait().
    """

    def __init__(self) -> None:
        self.failure = ""
        self.crashed = False
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, _noted)
        threading.excepthook = self.crash

    @property
    def is_asked(self) -> bool:
        """Whether the reason is a signal."""
        return not self.failure and not self.crashed

    def wait(self, patience_s: float | None = None) -> None:
        """Block until there is a reason, or another one, or these seconds are over."""
        self._woken.settimeout(patience_s)
        with suppress(TimeoutError):
            self._woken.recv(1)

    def ignore(self) -> None:
        """Signals change nothing from now on: one that comes while the interpreter ends would be its exit code."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_IGN)

    def fail(self, reason: str) -> None:
        """Stop with exit code 2 and this message."""
        self.failure = reason
        self._wake.send(b"\0")

    def crash(self, args: threading.ExceptHookArgs) -> None:
        """Stop, loudly: a server without one of its threads would leave requests unanswered."""
        _log.critical("a thread died; stopping", exc_info=args.exc_value)
        self.crashed = True
        self._wake.send(b"\0")


def _calm_collector() -> None:
    """Requests leave no cycles (a test holds us to it): the collector need not walk all that is loaded so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class _Escaping(logging.Formatter):
    """Whatever clients and publishers call things, a log has one line a message and no escape codes."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = shown(record.message, 10 * len(record.message))
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return lines(super().formatException(ei))


def _noted(_signal: int, _frame: object) -> None:
    """The wake-up descriptor has its byte already."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gearshift serve", description=__doc__)
    parser.add_argument("config", nargs="?", type=Path, help=_WHAT)
    for key in KEYS:
        if key.about.flag:
            _add_flag(parser, key)
    return parser


def _add_flag(parser: argparse.ArgumentParser, key: Key) -> None:
    flag = "--" + key.flat.replace("_", "-")
    text = key.about.text.replace("%", "%%")
    if key.kind is bool:
        parser.add_argument(flag, action="store_true", default=None, help=text)
        return
    listed = " (comma-separated)" if isinstance(key.default, tuple) else ""
    parser.add_argument(flag, help=text + listed)


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
