"""Big numbers as libraries hold them, laid out by hand: independent of the package's layouts."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from support.artifact_samples import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    Header = Callable[[int, int], bytes]

HEAP = 0x5560_0000_0000
SIZE = 64 << 10


def limbs(value: int) -> bytes:
    return value.to_bytes(-(-value.bit_length() // 64) * 8, "little")


def bignum(pointer: int, count: int, flags: int = 5) -> bytes:
    """OpenSSL's and BoringSSL's header."""
    return struct.pack("<QiiiI", pointer, count, count + 1, 0, flags)


def boring(pointer: int, count: int) -> bytes:
    return bignum(pointer, count, 1)


def mpz(pointer: int, count: int) -> bytes:
    return struct.pack("<iiQ", count + 1, count, pointer)


def mpi(pointer: int, count: int) -> bytes:
    return struct.pack("<iIQQ", 1, 0, count, pointer)


def mpi_3_5(pointer: int, count: int) -> bytes:
    return struct.pack("<QhHi", pointer, 1, count, 0)


def go_slice(pointer: int, count: int) -> bytes:
    return struct.pack("<QQQ", pointer, count, count + 4)


class Heap:
    """A heap that is filled from its beginning."""

    def __init__(self, base: int = HEAP, size: int = SIZE) -> None:
        self.base = base
        self.data = bytearray(size)
        self.used = 0x100

    def put(self, data: bytes, align: int = 16) -> int:
        """Place bytes and return their address."""
        at = -(-self.used // align) * align
        self.data[at : at + len(data)] = data
        self.used = at + len(data) + 8
        return self.base + at

    def number(self, value: int, header: Header) -> int:
        """Place a number and its header, and return the header's address."""
        data = limbs(value)
        return self.put(header(self.put(data), len(data) // 8))

    def headers(self, values: list[int], header: Header) -> int:
        """Place numbers whose headers follow one another, and return the address of the first."""
        parts = []
        for value in values:
            data = limbs(value)
            parts.append(header(self.put(data), len(data) // 8))
        return self.put(b"".join(parts))

    def memory(self) -> Space:
        return Space({self.base: bytes(self.data)})
