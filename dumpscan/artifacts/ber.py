"""Bounds of BER elements of indefinite length, which end where their content does.

Source: ITU-T X.690 (02/2021), 8.1.3.6. NSS, Java and .NET libraries write PKCS#12 so.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import Raw, RefusedError

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory

INDEFINITE = 0x80
_CONSTRUCTED = 0x20
_END = b"\x00\x00"
_MOST_DEPTH = 10
"""Elements of indefinite length within one another; `asn1crypto` goes no deeper."""
_MOST_STEPS = 1 << 14
"""Headers stepped over: a PKCS#12 of 16 MiB in octet strings of 1 KiB, as they are written, has so many."""
_FIRST_WINDOW, _WINDOW = 1 << 10, 16 << 10


def extract(memory: Memory, address: int, *, most: int) -> Raw:
    """Read the element at `address`, of definite length or not.

    Args:
        memory: Where it lies.
        address: Of its first byte.
        most: Bytes that such an element may have in all.

    Raises:
        RefusedError: If it is none, has more bytes, or the memory ends before an indefinite one does.
    """
    if memory.read(address, 2)[1:] != bytes((INDEFINITE,)):
        return der.extract(memory, address, most=most)
    length = _length(memory, address, most)
    return Raw(memory.read(address, length), length)


def _length(memory: Memory, address: int, most: int) -> int:
    """Step over headers until as many elements have ended as began."""
    depth, at = 0, 0
    window, begin = b"", 0
    for _ in repeat(None, _MOST_STEPS):
        if at + der.HEADER_SIZE > begin + len(window):
            window, begin = memory.read(address + at, _WINDOW if at else _FIRST_WINDOW), at
        head = window[at - begin : at - begin + der.HEADER_SIZE]
        if head[:2] == _END:
            depth -= 1
            at += 2
            if not depth:
                return at
        elif head[1:2] == bytes((INDEFINITE,)) and head[0] & _CONSTRUCTED:
            depth += 1
            at += 2
        else:
            at += der.header(head).total
        if depth > _MOST_DEPTH or at > most:
            break
    raise RefusedError("no end")
