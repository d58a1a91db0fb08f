"""What can go wrong while training, as one error for the command line to print."""


class TrainError(Exception):
    """Training that cannot begin, go on or publish; the message says what, where and what to do."""
