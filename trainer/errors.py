"""What stops the trainer, as one error for the command line to print."""


class TrainError(Exception):
    """A run that cannot start or go on; the message says what, where and what to do, and the command exits with 2."""


class Diverged(TrainError):
    """A run that went wrong by itself: with these settings it will again."""


class Stopped(Exception):
    """The operator wants the trainer to end now; what it was at is saved, where it was to be."""
