"""Data types of SSH: strings with their length before them, and numbers as strings; and the text of its key files.

Source: RFC 4251, 5. Lengths are 32-bit big-endian, in bytes.
"""

from __future__ import annotations

import base64

from dumpscan.artifacts.decoded import RefusedError

COUNT_SIZE = 4
_MAX_NUMBER = 2049
"""Bytes of the largest number in a key: 16384 bits and a sign."""
_LINE = 70
"""Characters of base64 in a line, as `ssh-keygen` and `puttygen` write it."""


class Strings:
    """Reads what a message is made of, piece by piece.

    Args:
        data: The message, or what memory holds of it.
        offset: Where to begin, in bytes.

    Attributes:
        offset: Where the next piece begins.
    """

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self.offset = offset

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        begin = self.offset
        self.offset += size
        if self.offset > len(self._data):
            raise RefusedError("the data ends within a string")
        return self._data[begin : self.offset]

    def count(self) -> int:
        """Return the next number of 32 bits."""
        return int.from_bytes(self.take(COUNT_SIZE), "big")

    def string(self) -> bytes:
        """Return the next string."""
        return self.take(self.count())

    def number(self) -> int:
        """Return the next number, which is a string in two's complement."""
        data = self.string()
        if len(data) > _MAX_NUMBER:
            raise RefusedError("a number of no key's size")
        return int.from_bytes(data, "big", signed=True)

    def rest(self) -> bytes:
        """Return all that follows."""
        return self.take(len(self._data) - self.offset)


def string_pattern(text: bytes) -> str:
    """Return the pattern of a string for `dumpscan.scan.opening.opening`."""
    return (len(text).to_bytes(COUNT_SIZE, "big") + text).hex(" ")


def key_file(begin: bytes, data: bytes, end: bytes) -> bytes:
    """Write a key as the text of a file: base64 between two lines."""
    body = base64.b64encode(data)
    return b"\n".join((begin, *(body[at : at + _LINE] for at in range(0, len(body), _LINE)), end, b""))
