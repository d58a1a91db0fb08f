"""The one way out for answers: counted, then given to the stream's listener."""

import logging

from server.sharing.runtime.frames import FrameDone
from server.sharing.runtime.ledger import Ledger
from server.sharing.runtime.meter import Meter
from server.sharing.runtime.streams import Dropped, FrameStream, WaitingFrame

_log = logging.getLogger(__name__)


class Answers:
    """Called with no lock held, from any thread."""

    def __init__(self, ledger: Ledger, meter: Meter) -> None:
        self._ledger = ledger
        self._meter = meter

    def give(self, waiting: WaitingFrame, done: FrameDone) -> None:
        """The answer to a frame."""
        self._ledger.answered(done.outcome, done.reason, waiting.tasks)
        self._meter.frame(done.outcome, done.reason)
        try:
            waiting.stream.listener.done(done)
        except Exception:  # noqa: BLE001 - one listener's fault must not cost the others their answers
            _log.exception("the listener of stream %d failed", waiting.stream.id)

    def drop(self, dropped: Dropped) -> None:
        """A frame will not be run."""
        waiting = dropped.waiting
        self.give(waiting, FrameDone(waiting.frame.id, "dropped", reason=dropped.reason))

    def skip(self, waiting: WaitingFrame) -> None:
        """Nothing is due on a frame."""
        self.give(waiting, FrameDone(waiting.frame.id, "skipped"))

    def room(self, stream: FrameStream) -> None:
        """A stream that refused a frame has room again."""
        try:
            stream.listener.ready()
        except Exception:  # noqa: BLE001 - as above
            _log.exception("the listener of stream %d failed", stream.id)
