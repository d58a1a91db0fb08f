"""What can go wrong while building, as one error for the command line to print."""


class BuildError(Exception):
    """A family that could not be built; the message says what failed, where and what to do."""
