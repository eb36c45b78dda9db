r"""Runs of bytes that are written one by one, in notations where not every byte takes as many characters.

Those are decimal numbers in arrays of source code and JSON (`[48, 130, 4`, `{"0":48,"1":130`), and strings of bytes as
Python, C, JavaScript or URLs write them, where what can be printed stands for itself (`0\x82\x04`, `0\202\004`,
`0%82%04`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

_PER_UNIT = 0.6
"""Microseconds to read what stands for one byte."""
_MAX_BYTE = 0xFF
_MIN_SIGNED = -0x80
_LETTERS = dict(zip(b"0abtnvfre", b"\0\a\b\t\n\v\f\r\x1b", strict=True))
"""What letters stand for behind a backslash; other characters stand for themselves."""


@dataclass(frozen=True, slots=True)
class Units:
    """A notation of bytes by units of different lengths. It is read from where an object opens.

    Attributes:
        name: As in the name of an encoding.
        unit: Matches what stands for one byte, with what may stand before the next.
        value: Returns the byte of such a match; None if it is none.
        quotes: The quotation marks behind which a string begins.
        size: Bytes that a unit stands for.
        has_escapes: Whether backslashes are part of it.
    """

    name: str
    unit: re.Pattern[bytes]
    value: Callable[[re.Match[bytes]], int | None]
    quotes: tuple[bytes, ...] = ()
    size = 1
    has_escapes = True

    def behind(self, before: bytes) -> Units:
        """Return the notation of what follows other text: a string ends at the mark that it begins behind."""
        quote = next((quote for quote in self.quotes if before.endswith(quote)), None)
        return replace(self, unit=_string_unit(quote), quotes=()) if quote else self

    def characters(self, size: int) -> int:  # noqa: ARG002 - nothing is read backwards
        """Return how many characters before an opening are of interest."""
        return 0

    def groups_before(self, text: bytes, skip: int, most: int) -> tuple[int, int]:  # noqa: ARG002 - as above
        """Find whole groups before an opening: none."""
        return 0, 0

    def read(self, text: bytes, at: int, skip: int = 0) -> UnitRun:  # noqa: ARG002 - there are no parts of groups
        """Read the run at a place in text (see `UnitRun`)."""
        return UnitRun(self, text, at)


class UnitRun:
    """A run of units in text.

    Args:
        units: Their notation.
        text: The text.
        at: Where the run begins in it.

    Attributes:
        data: The bytes.
        stop: Where in the text the run ends.

    Raises:
        RefusedError: If there are no units.
    """

    def __init__(self, units: Units, text: bytes, at: int) -> None:
        data = bytearray()
        self._ends: list[int] = []
        self._begins: list[int] = []
        self.stop = at
        while match := units.unit.match(text, self.stop):
            value = units.value(match)
            if value is None:
                break
            data.append(value)
            self._begins.append(match.start("unit"))
            self._ends.append(match.end("unit"))
            self.stop = match.end()
        effort.charge(_PER_UNIT * len(data))
        if not data:
            raise RefusedError("no bytes")
        self.data = bytes(data)

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """Return where in the text the units of the bytes from `begin` to `end` begin and end."""
        return self._begins[begin], self._ends[max(end, begin + 1) - 1]


def _number(match: re.Match[bytes]) -> int | None:
    value = int(match["number"])
    return value & _MAX_BYTE if _MIN_SIGNED <= value <= _MAX_BYTE else None


def _escaped(match: re.Match[bytes]) -> int | None:
    """Return the byte of a match that has hexadecimal or octal digits, a letter behind a backslash or a character."""
    if match["hex"] is not None:
        return int(match["hex"], 16)
    groups = match.groupdict()
    if (digits := groups.get("octal")) is not None:
        value = int(digits, 8)
        return value if value <= _MAX_BYTE else None
    if (letter := groups.get("letter")) is not None:
        return _LETTERS.get(letter[0], letter[0])
    return match["character"][0]


@cache
def _string_unit(quote: bytes) -> re.Pattern[bytes]:
    """Match a byte of a string, with what stands between two literals that make one string."""
    joined = rb"""(?:%b[ \t]{0,4}[+.&_\\]{0,2}\s{0,64}[+.&]?\s{0,8}b?%b)?""" % (quote, quote) if quote else b""
    return re.compile(
        rb"""(?P<unit>\\(?:x(?P<hex>[0-9A-Fa-f]{2})|(?P<octal>[0-7]{1,3})|(?P<letter>[abefnrtv\\'"?/]))"""
        rb"""|(?P<character>(?!%b)[ -\[\]-~]))%b""" % (quote or b"\0", joined)
    )


NUMBERS = Units(
    "decimal",
    re.compile(
        rb"""(?:"[0-9]{1,5}"\s?:\s?)?(?P<unit>(?P<number>-?[0-9]{1,3})(?![0-9.]))(?:u8|[uU])?(?:[\s,;]|\\{1,8}[nrt]){0,64}"""
    ),
    _number,
)
"""Numbers in lists, and as `JSON.stringify` writes a `Uint8Array`; signed ones as Java has them."""
STRING = Units("string", _string_unit(b""), _escaped, (b'"', b"'"))
"""Strings of bytes in Python and C, and in their likes."""
UNICODE_STRING = Units(
    "json-string",
    re.compile(rb"""(?P<unit>\\(?:u00(?P<hex>[0-9A-Fa-f]{2})|(?P<letter>[bfnrt\\"/]))|(?P<character>[ !#-\[\]-~]))"""),
    _escaped,
)
"""Strings of JSON and JavaScript in which every character is a byte."""
URL = Units(
    "urlencoded",
    re.compile(rb"""(?P<unit>%(?P<hex>[0-9A-Fa-f]{2})|(?P<character>[!'()*./0-9:;A-Z_a-z~-]))"""),
    _escaped,
)
"""Bytes of a URL."""
QUOTED_PRINTABLE = Units(
    "quoted-printable",
    re.compile(rb"""(?P<unit>=(?P<hex>[0-9A-F]{2})|(?P<character>[\t !-<>-~]))(?:=\r?\n)?"""),
    _escaped,
)
"""Bytes of a part of a mail (RFC 2045, 6.7)."""
