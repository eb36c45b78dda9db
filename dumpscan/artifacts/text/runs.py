"""Runs of digits that stand for bytes: base64 (RFC 4648, sections 4 and 5) and hexadecimal."""

from __future__ import annotations

import binascii
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

_PER_PIECE, _PER_CHARACTER = 0.8, 0.01
"""Microseconds to read digits that stand together, and for each of them."""


@dataclass(frozen=True, slots=True)
class Digits:
    """A notation of bytes by digits.

    Attributes:
        name: As in the name of an encoding.
        run: Matches digits, and what may stand between them.
        piece: Matches digits that stand together; its group is the digits.
        group: Digits in the smallest group that stands for whole bytes.
        size: Bytes that such a group stands for.
        alphabet: All digits; the first stands for zero.
        decode: Turns digits into bytes; of an incomplete group at the end, as many as it has.
        has_escapes: Whether backslashes are part of it.
        backwards: Matches digits, and what may stand between them, in text that is read backwards.
    """

    name: str
    run: re.Pattern[bytes]
    piece: re.Pattern[bytes]
    group: int
    size: int
    alphabet: bytes
    decode: Callable[[bytes], bytes]
    backwards: re.Pattern[bytes]
    has_escapes: bool

    def behind(self, before: bytes) -> Digits:  # noqa: ARG002 - digits are the same everywhere
        """Return the notation of what follows other text."""
        return self

    def read(self, text: bytes, at: int, skip: int = 0) -> Run:
        """Read the run at a place in text (see `Run`)."""
        return Run(self, text, at, skip)

    def characters(self, size: int) -> int:
        """Return how many characters `size` bytes take, with what may stand between them."""
        return -(-size // self.size) * self.group * 2

    def groups_before(self, text: bytes, skip: int, most: int) -> tuple[int, int]:
        """Find whole groups of digits at the end of text.

        Args:
            text: The characters before a digit.
            skip: Digits of the same group as that one, before it.
            most: Bytes that the groups may stand for.

        Returns:
            Characters from the first digit of the first group on, and the number of groups; zeros if even the digits of
            the last one are not all there.
        """
        tail = self.backwards.match(text[::-1])
        begin = len(text) - (tail.end() if tail else 0)
        places = [at for piece in self.piece.finditer(text, begin) for at in range(*piece.span(1))]
        groups = min((len(places) - skip) // self.group, -(-most // self.size))
        wanted = groups * self.group + skip
        return (len(text) - places[-wanted], groups) if groups >= 0 and wanted else (0, 0)


def _decode_base64(digits: bytes) -> bytes:
    digits = digits.translate(_STANDARD)
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    try:
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
    except binascii.Error:
        raise RefusedError("no base64") from None


def _decode_hex(digits: bytes) -> bytes:
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode())


_STANDARD = bytes.maketrans(b"-_", b"+/")
BASE64 = Digits(
    "base64",
    # Five dashes are armour and not base64 for URLs. Quoted-printable text (RFC 2045, 6.7) breaks lines behind a `=`.
    re.compile(
        rb"(?:[A-Za-z0-9+/_\s]++|-(?!----)|=\r?\n(?=[A-Za-z0-9+/]{16}|[A-Za-z0-9+/]{1,15}(?:=3D){0,2}\s*-----END))*+"
    ),
    re.compile(rb"([^\s=]+)"),
    4,
    3,
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_",
    _decode_base64,
    re.compile(rb"(?:[A-Za-z0-9+/_\s]++|-(?!----))*+"),
    has_escapes=False,
)
HEX = Digits(
    "hex",
    # As one number, as numbers in a list, as bytes of a string literal, as a value in a file of the registry.
    re.compile(
        rb"""(?:(?:\(byte\)[ ]?)?(?:0[xX]|\\{1,8}x)?(?:[0-9A-Fa-f]{2})++(?:u8|\.toByte\(\))?"""
        rb"""(?:[\s:,;"'+.&-]|\\{1,8}(?:[nrt]|(?![\\x])))*+)++"""
    ),
    re.compile(rb"(?:0[xX]|\\{1,8}x)?((?:[0-9A-Fa-f]{2})+)"),
    2,
    1,
    b"0123456789abcdefABCDEF",
    _decode_hex,
    re.compile(rb"""(?:[\s:,;"'+-]*+(?:[0-9A-Fa-f]{2})++(?:[xX]0|x\\{1,8})?+)*+"""),
    has_escapes=True,
)


class Run:
    """A run of digits in text.

    Args:
        digits: Their notation.
        text: The text.
        at: Where the run begins in it.
        skip: Digits that the first group lacks, because they stand for bytes before those that are wanted.

    Attributes:
        data: The bytes.
        stop: Where in the text the run ends.

    Raises:
        RefusedError: If there are no digits.
    """

    def __init__(self, digits: Digits, text: bytes, at: int, skip: int = 0) -> None:
        run = digits.run.match(text, at)
        pieces = list(digits.piece.finditer(text, at, run.end())) if run else []
        if run is None or not pieces:
            raise RefusedError("no digits")
        self.stop = run.end()
        effort.charge(_PER_PIECE * len(pieces) + _PER_CHARACTER * (self.stop - at))
        self._digits, self._skip = digits, skip
        self._begins = [piece.start(1) for piece in pieces]
        self._counts = list(accumulate((len(piece[1]) for piece in pieces), initial=0))
        joined = b"".join(piece[1] for piece in pieces)
        self.data = digits.decode(digits.alphabet[:1] * skip + joined)[skip:]

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """Return where in the text the digits of the bytes from `begin` to `end` begin and end."""
        group, size = self._digits.group, self._digits.size
        first = (begin + self._skip) * group // size - self._skip
        last = -(-(end + self._skip) * group // size) - self._skip
        return self._index(first), self._index(max(last, first + 1) - 1) + 1

    def _index(self, digit: int) -> int:
        piece = min(bisect_right(self._counts, digit), len(self._begins)) - 1
        return self._begins[piece] + digit - self._counts[piece]
