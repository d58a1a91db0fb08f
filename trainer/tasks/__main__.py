"""`gearshift train-tasks`: fine-tune tasks from one network at several depths, measure them, publish a task package."""

import argparse
import json
import signal
import sys
from typing import Any

from surroundings import console
from trainer.errors import TrainError
from trainer.run.restrain import restrain
from trainer.tasks.arguments import asked, parser
from trainer.tasks.table import table


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0; 2 with one line on stderr for what cannot be trained; 130 when interrupted or terminated."""
    options = parser(__doc__).parse_args(arguments)
    default = signal.signal(signal.SIGTERM, signal.default_int_handler)  # or exports would stay
    try:
        outcome = _run(options)
    except TrainError as error:
        print(f"gearshift train-tasks: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(
            f"gearshift train-tasks: out of memory: {error}; lower --frames, --choosing-frames, --measuring-windows or "
            "--event-length-s",
            file=sys.stderr,
        )
        return 2
    except OSError as error:
        print(
            f"gearshift train-tasks: {error.filename or ''} {error.strerror or error}",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("gearshift train-tasks: interrupted; nothing was published", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, default)
    print(json.dumps(outcome) if options.json else table(outcome))
    return 0


def _run(options: argparse.Namespace) -> dict[str, Any]:
    restrain(options.threads, options.nice)
    from trainer.tasks.pipeline import run

    return run(asked(options), options.publish, quiet=options.quiet)


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
