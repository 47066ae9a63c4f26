"""Names on disk as text that a terminal, a log and a CSV cell can hold."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""Return ``text`` with what can't be printed escaped: ``\n``, ``\x1b``, ``\xff``.

    A byte of a file name that isn't UTF-8 (a surrogate, as os.fsdecode makes it)
    is shown as ``\xNN``. Text that is visible already is returned unchanged.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
