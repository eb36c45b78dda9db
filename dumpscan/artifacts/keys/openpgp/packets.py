"""Packets of OpenPGP and the numbers in them.

Source: RFC 9580, 3.2 (multiprecision integers) and 4.2 (packet headers).
"""

from __future__ import annotations

from dataclasses import dataclass

from dumpscan.artifacts.decoded import RefusedError

SIGNATURE, SECRET_KEY, SECRET_SUBKEY, USER_ID = 2, 5, 7, 13
"""Types of packets (RFC 9580, 5)."""
HEADER_SIZE = 6
"""Bytes that hold any header."""
_PACKET, _NEW_FORMAT = 0x80, 0x40
_INDETERMINATE = 3
_TWO_OCTETS, _PARTIAL, _FIVE_OCTETS = 192, 224, 255
_MAX_BITS = 16384


@dataclass(frozen=True, slots=True)
class Header:
    """Type and length of a packet.

    Attributes:
        tag: Its type.
        size: Bytes of the header itself.
        content: Bytes that follow it.
    """

    tag: int
    size: int
    content: int


def header(data: bytes, offset: int = 0) -> Header:
    """Read the header at `offset`, of the old format or the new.

    Raises:
        RefusedError: If `data` ends within it, or the length is not given at once.
    """
    head = data[offset : offset + HEADER_SIZE].ljust(HEADER_SIZE, b"\0")
    first, second = head[0], head[1]
    if not first & _PACKET or offset >= len(data):
        raise RefusedError("no packet")
    if not first & _NEW_FORMAT:
        if first & 3 == _INDETERMINATE:
            raise RefusedError("a packet without a length")
        size = 1 << (first & 3)
        return Header(first >> 2 & 15, 1 + size, int.from_bytes(head[1 : 1 + size], "big"))
    tag = first & 63
    if second < _TWO_OCTETS:
        return Header(tag, 2, second)
    if second < _PARTIAL:
        return Header(tag, 3, (second - _TWO_OCTETS << 8) + head[2] + _TWO_OCTETS)
    if second == _FIVE_OCTETS:
        return Header(tag, 6, int.from_bytes(head[2:6], "big"))
    raise RefusedError("a packet in parts")


class Fields:
    """Reads what a packet is made of, piece by piece.

    Args:
        data: The packet's content.

    Attributes:
        offset: Where the next piece begins.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        begin = self.offset
        self.offset += size
        if self.offset > len(self._data):
            raise RefusedError("the data ends within a field")
        return self._data[begin : self.offset]

    def number(self, size: int) -> int:
        """Return the next number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def integer(self) -> int:
        """Return the next multiprecision integer, whose length must be exact."""
        bits = self.number(2)
        value = self.number((bits + 7) // 8) if bits <= _MAX_BITS else 0
        if not bits or value.bit_length() != bits:
            raise RefusedError("no multiprecision integer")
        return value

    def string(self) -> bytes:
        """Return the next string that has its length in one byte before it."""
        return self.take(self.number(1))

    def rest(self) -> bytes:
        """Return all that follows."""
        return self.take(len(self._data) - self.offset)
