"""What the load generator refuses. Each message says what, where and what to do; the command
exits with 2."""


class LoadtestError(Exception):
    """A run that cannot start."""


class BadOption(LoadtestError):
    """An option out of range, or two that do not go together."""


class BadTrace(LoadtestError):
    """An arrivals file that cannot be read or makes no sense."""


class BadTarget(LoadtestError):
    """A server or model that cannot be driven: absent, unknown, not ready, or refusing the very
    first request."""
