"""What stops the trainer, as one error for the command line to print."""


class TrainError(Exception):
    """A run that cannot start or go on; the message says what, where and what to do, and the command exits with 2."""
