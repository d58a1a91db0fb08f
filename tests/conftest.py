"""What holds for every test: interrupts are heard, also where a suite in a shell's background would ignore them."""

import signal

import surroundings  # noqa: F401 - before any library that it keeps quiet


def pytest_configure() -> None:
    """Ignored signals stay ignored in every process that a test starts; handled ones do not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
