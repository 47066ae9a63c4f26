"""Root without root's rights: tests of what may not be read or written run as root too."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION = 0x20080522
_OVERRIDES = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""

_GET_SECUREBITS, _SET_SECUREBITS = 27, 28
_NO_ROOT, _NO_SETUID_FIXUP = 1 << 0, 1 << 2

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("thread", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def ordinary_rights() -> Iterator[None]:
    """Have this thread meet the modes of files and folders, as any user does who owns them.

    So do the threads and programs that it starts.
    """
    sets = (_Sets * 2)()
    _call("capget", _sets_of_this_thread(), sets)
    whole = sets[0].effective
    secure = _call("prctl", _GET_SECUREBITS, 0, 0, 0, 0)
    if whole & _OVERRIDES:
        # Else root's programs have all rights again, and access(2) counts them in any case.
        _call("prctl", _SET_SECUREBITS, secure | _NO_ROOT | _NO_SETUID_FIXUP, 0, 0, 0)
        sets[0].effective = whole & ~_OVERRIDES
        _call("capset", _sets_of_this_thread(), sets)
    try:
        yield
    finally:
        if whole & _OVERRIDES:
            sets[0].effective = whole
            _call("capset", _sets_of_this_thread(), sets)
            _call("prctl", _SET_SECUREBITS, secure, 0, 0, 0)


def _sets_of_this_thread() -> object:
    return ctypes.byref(_Header(_VERSION, 0))


def _call(name: str, *arguments: object) -> int:
    result = int(getattr(_libc, name)(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result
