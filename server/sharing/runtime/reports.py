"""What was said of frames, kept a while, and what was really there: event F1 as measured, task by task."""

import threading
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from server.errors import BadInput
from server.sharing.planner import measured
from server.sharing.runtime.frames import StreamId
from server.sharing.runtime.views import LabelledWindow, MeasuredScores

FRAMES = 4096
"""Verdicts kept of a task on a stream: almost seven minutes at 10 frames a second."""
WINDOWS = 256
"""Labelled windows that a task's measured F1 is of, the latest."""


@dataclass(slots=True)
class _Said:
    """Of one task on one stream: (frame id, positive), oldest first."""

    verdicts: deque[tuple[int, bool]] = field(
        default_factory=lambda: deque[tuple[int, bool]](maxlen=FRAMES)
    )


class Reports:
    """Written by the worker, read by whoever has labels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: defaultdict[tuple[StreamId, str], _Said] = defaultdict(_Said)
        self._windows: defaultdict[str, deque[measured.Window]] = defaultdict(
            lambda: deque(maxlen=WINDOWS)
        )

    def said(self, stream: StreamId, frame_id: int, verdicts: Iterable[tuple[str, bool]]) -> None:
        """These tasks had a score on a frame: (task, positive)."""
        with self._lock:
            for task, positive in verdicts:
                self._said[stream, task].verdicts.append((frame_id, positive))

    def label(
        self, stream: StreamId, task: str, windows: Sequence[LabelledWindow], x_vote: int
    ) -> int:
        """Compare with what was said; how many windows could be: those before or after the verdicts kept cannot.

        Raises BadInput where a window ends before it begins.
        """
        for window in windows:
            if window.last_frame < window.first_frame:
                raise BadInput(
                    f"window {window.first_frame} to {window.last_frame} ends before it begins; "
                    "give the first and the last frame's id"
                )
        with self._lock:
            of_task = self._said.get((stream, task))
            if of_task is None:
                return 0
            said = list(of_task.verdicts)
            known = [
                w for w in windows if said[0][0] <= w.last_frame and w.first_frame <= said[-1][0]
            ]
            for window in known:
                of = [p for id_, p in said if window.first_frame <= id_ <= window.last_frame]
                report = measured.reported(of, x_vote)
                self._windows[task].append(measured.Window(window.event, report))
        return len(known)

    def measured(self, task: str) -> MeasuredScores | None:
        """None where no window was labelled yet."""
        with self._lock:
            windows = tuple(self._windows.get(task, ()))
        return MeasuredScores(measured.measured_scores(windows), len(windows)) if windows else None

    def forget_task(self, task: str) -> None:
        """It has gone, or is another now."""
        with self._lock:
            self._windows.pop(task, None)
            for key in [key for key in self._said if key[1] == task]:
                del self._said[key]

    def keep(self, streams: Collection[StreamId]) -> None:
        """The others have ended, and a frame of theirs may have run on; what was measured on them stays."""
        with self._lock:
            for key in [key for key in self._said if key[0] not in streams]:
                del self._said[key]
