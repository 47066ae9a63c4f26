"""The lines of tag files, read in blocks: bounded in memory and time, whatever a file holds."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from glacier_sync.bags.names import shown

LONGEST_LINE = 1 << 16
MOST_BLANK_LINES = 1000

_REFUSED_ENCODINGS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
"""Codecs that are no character sets; and UTF-7, which alone can write names that no file can have, and whose decoder
takes time by the square of a file's size."""

Tell = Callable[[str, str, int], None]
"""Called with what was found, what was expected, and the line, from 1; 0 is the whole file."""


class UnreadableLinesError(Exception):
    """Raised where a tag file can't be read on, after the reason was told."""


def is_supported_encoding(name: str) -> bool:
    """Tell whether text can be read that is declared to be in an encoding."""
    try:
        codec = codecs.lookup(name)
        # Codecs that aren't of text are refused only when there is something to decode.
        bytes(4).decode(name, "replace")
    except (LookupError, ValueError):
        return False
    return codec.incrementaldecoder is not None and codec.name.replace("_", "-") not in _REFUSED_ENCODINGS


def blocks_of_lines(
    chunks: Iterable[memoryview | bytes], encoding: str, tell: Tell, *, names: bool = True
) -> Iterator[list[str]]:
    """Yield a tag file's lines, without their ends, in blocks (RFC 8493 §2.3). Raises UnreadableLinesError.

    Lines end with LF, CR or both. In a file of ``names`` in UTF-8, bytes that aren't
    valid are kept as names on disk keep them.
    """
    held = ""
    blank = number = 0
    for text in _texts(chunks, encoding, tell, names=names):
        lines = f"{held}{text}".split("\n")
        long = None
        if max(map(len, lines)) > LONGEST_LINE:
            long = next(at for at, line in enumerate(lines) if len(line) > LONGEST_LINE)
        held = lines.pop()
        blank += lines.count("")
        if blank > MOST_BLANK_LINES:
            tell(f"has over {MOST_BLANK_LINES} blank lines", "a list", 0)
            raise UnreadableLinesError
        yield lines[:long]
        if long is not None:
            tell(f"has over {LONGEST_LINE} characters", "a line of a list", number + long + 1)
            raise UnreadableLinesError
        number += len(lines)
    if held:
        yield [held]


def _texts(chunks: Iterable[memoryview | bytes], encoding: str, tell: Tell, *, names: bool) -> Iterator[str]:
    """Decode a file without a byte-order mark, every line's end being LF."""
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    codec = codecs.getincrementaldecoder(encoding)("surrogateescape" if is_utf8 and names else "strict")
    decoder = io.IncrementalNewlineDecoder(codec, translate=True)
    begun = False
    for chunk in chain(chunks, [b""]):
        try:
            text = decoder.decode(bytes(chunk), not chunk)
        except ValueError as error:
            found = f"isn't in the declared encoding {shown(encoding)} ({error})"
            tell(found, "the whole file in it", 0)
            raise UnreadableLinesError from error
        if text and not begun:
            begun = True
            if text.startswith("\ufeff"):
                text = text[1:]
                if is_utf8:
                    tell("begins with a byte-order mark", "none in UTF-8", 0)
        yield text
