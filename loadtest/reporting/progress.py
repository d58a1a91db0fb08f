"""One line a second on stderr while a run goes on: what was sent, what is open, how well it
goes."""

import sys
from collections.abc import Callable
from typing import TextIO

import numpy as np

from loadtest.client import Drive
from loadtest.records import OK


def line(run: Drive, rows_seen: int, slo_s: float | None, total_s: float, sent_before: int) -> str:
    """The state of the run in one line; rates and percentiles cover the rows since `rows_seen`."""
    rows = run.ledger.tail(rows_seen)
    answered = rows[rows["code"] == OK]
    latency_s = answered["done_s"] - answered["scheduled_s"]
    timely = len(latency_s) if slo_s is None else int((latency_s <= slo_s).sum())
    p99 = f"{np.percentile(latency_s, 99) * 1e3:7.1f} ms" if len(latency_s) else "      -   "
    share = f"{timely / len(rows):6.1%}" if len(rows) else "   -  "
    return (
        f"{min(run.now_s(), total_s):5.0f}/{total_s:.0f} s  sent {run.sent - sent_before:6d}/s  "
        f"in flight {max(0, run.sent - run.answered):5d}  in time {share}  p99 {p99}"
    )


def watcher(
    slo_s: float | None, total_s: float, out: TextIO | None = None
) -> Callable[[Drive], None]:
    """What `drive` runs beside the load: on a terminal the line renews itself, elsewhere every
    tenth is kept."""
    stream = sys.stderr if out is None else out
    end, every = ("", 1) if stream.isatty() else ("\n", 10)

    def watch(run: Drive) -> None:
        seen = sent = ticks = 0
        while not run.over.wait(1.0):
            ticks += 1
            if ticks % every == 0:
                text = line(run, seen, slo_s, total_s, sent)
                stream.write(("\r" if not end else "") + text + end)
                stream.flush()
            seen, sent = run.answered, run.sent
        if not end and ticks:
            stream.write("\n")

    return watch
