"""Certificates that lie in memory as they came over the wire: cut into TLS records, with record headers within them.

A Certificate message that is longer than a record goes on in the next one, wherever that cuts (RFC 8446, 5.1; RFC 5246,
6.2.1). Peers that ask for small fragments (RFC 6066, 4) and Windows, which sends its whole first flight in one record,
cut certificates in two or more.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts.decoded import Raw, RefusedError
from dumpscan.memory.space import read_before

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory

MARK = b"\x16\x03"
"""Content type `handshake` and the major version, which all of SSL 3.0 to TLS 1.3 write."""
_HEADER = re.compile(rb"\x16\x03[\x00-\x04]([\x00-\x40].)", re.DOTALL)
HEADER_SIZE = 5
_MOST_FRAGMENT = 1 << 14
_LENGTH_SIZE = 3
"""A certificate's length goes before it in the list of certificates."""
_MOST_RECORDS = 256
"""Records that an object is cut into; one of 64 KiB in the smallest fragments of RFC 6066 needs half of them."""
_MOST_CHAINS = 8
"""Places that look like the first header and are tried."""


class _Fragment(NamedTuple):
    """A run of the object's own bytes, as offsets in those that lie in memory."""

    begin: int
    end: int


def extract(memory: Memory, address: int, size: int, *, whole: bool) -> Raw | None:
    """Find an object's bytes with the record headers in them.

    Args:
        memory: Where it lies.
        address: Of its first byte.
        size: Bytes that it says it has; headers are not counted.
        whole: Whether that many bytes make sense without a cut. Then a header in them counts only if the record before
            ends there.

    Returns:
        The bytes with the headers; None if no record ends in the object.
    """
    more = memory.read(address, size + HEADER_SIZE * _MOST_RECORDS)
    fragments = _fragments(more, size)
    if fragments is None or (whole and not _follows_a_record(memory, address, fragments[0].end)):
        return None
    length = fragments[-1].end
    return Raw(more[:length], length)


def without_headers(data: bytes, size: int) -> bytes:
    """Return the `size` bytes of an object that lies in `data` with record headers in it.

    Raises:
        RefusedError: If there is no object of that size in just these records.
    """
    fragments = _fragments(data, size)
    if fragments is None or fragments[-1].end != len(data):
        raise RefusedError("no object in TLS records")
    return b"".join(data[begin:end] for begin, end in fragments)


def is_listed(memory: Memory, address: int, size: int) -> bool:
    """Whether the three bytes before an object are its length, as in a Certificate message."""
    listed = memory.read(address - _LENGTH_SIZE, _LENGTH_SIZE) if address >= _LENGTH_SIZE else b""
    return listed == size.to_bytes(_LENGTH_SIZE, "big")


def _fragments(data: bytes, size: int) -> list[_Fragment] | None:
    """Cut `data` at record headers so that the fragments have `size` bytes together; None if that cannot be."""
    for header in islice(_HEADER.finditer(data, 0, size - 1 + HEADER_SIZE), _MOST_CHAINS):
        fragments = _chain(data, size, header.start())
        if fragments is not None:
            return fragments
    return None


def _chain(data: bytes, size: int, first: int) -> list[_Fragment] | None:
    """Follow headers from the first, each of which says where the next one is."""
    fragments, left, at = [_Fragment(0, first)], size - first, first
    while left:
        header = _HEADER.match(data, at)
        length = int.from_bytes(header[1], "big") if header else 0
        if not 0 < length <= _MOST_FRAGMENT or len(fragments) > _MOST_RECORDS:
            return None
        begin = at + HEADER_SIZE
        at = begin + length
        fragments.append(_Fragment(begin, begin + min(length, left)))
        left -= min(length, left)
    return fragments if fragments[-1].end <= len(data) else None


def _follows_a_record(memory: Memory, address: int, boundary: int) -> bool:
    """Whether some record that begins before the object ends `boundary` bytes into it."""
    before = read_before(memory, address, HEADER_SIZE + _MOST_FRAGMENT)
    return any(
        header.end() + int.from_bytes(header[1], "big") == len(before) + boundary for header in _HEADER.finditer(before)
    )
