"""The one exception tree.

Every error that a person can meet is one of these. Its message is one line that
says what was found, what was expected and what to do; ``cause`` holds the
technical detail (an exception's text, a service's error code) for whoever
repairs the machine.
"""

from __future__ import annotations

import errno

OF_THE_MACHINE = frozenset(
    {
        errno.EACCES,
        errno.EAGAIN,
        errno.EBUSY,
        errno.EDQUOT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EIO,
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENODEV,
        errno.ENOLCK,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ENOTCONN,
        errno.ENXIO,
        errno.EPERM,
        errno.EREMOTEIO,
        errno.EROFS,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EUCLEAN,
    }
)
"""What the machine, a disk or a server of files is short of, or fails in, by errno: no object is to blame."""


class GlacierSyncError(Exception):
    """The root of the tree. What is of none of its three branches is tried again a limited number of times.

    ``message`` stays one printable line whatever names it quotes: a key or a file
    name may hold line breaks, escape characters and bytes that aren't UTF-8.
    """

    exit_status = 1

    def __init__(self, message: str, *, cause: str = "") -> None:
        self.message = one_line(message)
        self.cause = cause
        super().__init__(self.message)


class ConfigurationError(GlacierSyncError):
    """Wrong use or configuration: nothing was changed, and trying again won't help."""

    exit_status = 2


class TransientError(GlacierSyncError):
    """A listed cause that passes: no space, a service away. Try again later."""

    exit_status = 3


class NoRoomError(TransientError):
    """Too little room on a disk for one object, for now: it keeps its turn until there is more."""


class PermanentError(GlacierSyncError):
    """What trying again can't mend: an invalid bag, a failed audit, a different work."""

    exit_status = 1


def one_line(text: str) -> str:
    """Return text as one printable line: line breaks, control characters and stray bytes escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
