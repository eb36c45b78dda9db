"""PuTTY's private key files where text is wide or escaped: in UTF-16, in JSON, as lines of source code.

A file that lies in memory as it is on disk is found without this (`dumpscan.artifacts.keys.ssh.putty`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.artifacts.carrier import Bytes, Span
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.text.characters import ASCII, Characters, TextCarrier
from dumpscan.artifacts.text.openings import text_opening
from dumpscan.artifacts.text.rewriting import ESCAPED_LINE_END, MAX_PREFIX, CleanText, surroundings

if TYPE_CHECKING:
    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import Detector
    from dumpscan.artifacts.text.characters import Coding
    from dumpscan.memory.space import Memory

_OPENING = "PuTTY-User-Key"
_WITH_PLUS = re.compile(rb"PuTTY-User-Key-File-[23](?::|%3[aA])\+")
"""In URLs of forms, a `+` is a blank."""
_HEAD = 256
"""Characters that hold the first two lines."""
_MAX_CHARACTERS = 64 << 10
"""Of a file, with what its escapes take: one of RSA with 16384 bits has 14,000."""
_MICROSECONDS = 100


class PuttyText:
    """Text of a file, cleared (see `Unwrapped`).

    Args:
        characters: The text.
        clean: The same, cleared.

    Attributes:
        content: The file, with more text behind it.
    """

    finding = None
    opening = 0
    is_covered = False
    is_bundle = False

    def __init__(self, characters: Characters, clean: CleanText) -> None:
        self.content = Bytes(clean.data.replace(ESCAPED_LINE_END, b"\n"))
        self._characters = characters
        self._clean = clean

    def accepts(self, decoded: Decoded) -> bool:
        """Whether an object is the file."""
        return decoded.address == 0

    def span(self, begin: int, end: int) -> Span:
        """Return where the text of the characters from `begin` to `end` lies."""
        address, length = self._characters.place(self._clean.origin(begin), self._clean.end(end))
        encoding = "+".join((*self._clean.notations(end), "ppk"))
        return Span(address, length, encoding + self._characters.coding.suffix)


def _read(memory: Memory, address: int, coding: Coding) -> PuttyText:
    """Read the file whose first character is at `address`."""
    effort.charge(_MICROSECONDS)
    characters = Characters(memory, address, coding)
    around = surroundings(characters.before(MAX_PREFIX), characters.take(_HEAD))
    text = characters.take(_MAX_CHARACTERS)
    clean = CleanText(text, around, plus_is_space=_WITH_PLUS.match(text) is not None)
    if coding == ASCII and clean.data == text:
        raise RefusedError("a file as it is on disk")
    return PuttyText(characters, clean)


DETECTORS: tuple[Detector, ...] = tuple(
    (text_opening("putty-text", list(_OPENING), size), TextCarrier(size, _read)) for size in (1, 2, 4)
)
