"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """Take SIGINT and SIGHUP as a terminal's user sends them, also where this run's caller ignores them.

    A signal that is ignored stays so in every program that is started, and a shell
    can't trap it any more.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
