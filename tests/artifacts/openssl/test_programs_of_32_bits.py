"""Numbers and structures of libraries in 32-bit programs: pointers and limbs of 4 bytes, at multiples of 4."""

from __future__ import annotations

import struct
from hashlib import sha512
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.openssl.detectors import GROUP_DETECTORS
from dumpscan.findings import PrivateKey
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import Space, key_id, rsa_key

if TYPE_CHECKING:
    from collections.abc import Callable

    Header = Callable[[int, int], bytes]

BASE = 0x0804_0004
FIELD = 2**521 - 1
HEADERS: dict[str, Header] = {
    "openssl": lambda at, count: struct.pack("<IiiiI", at, count, count + 1, 0, 5),
    "gmp": lambda at, count: struct.pack("<iiI", count + 1, count, at),
    "mbedtls": lambda at, count: struct.pack("<iII", 1, count, at),
    "mbedtls-3.5": lambda at, count: struct.pack("<IhH", at, 1, count),
    "go": lambda at, count: struct.pack("<III", at, count, count + 2),
}


class _Heap:
    def __init__(self) -> None:
        self.data = bytearray(96)

    def put(self, data: bytes) -> int:
        """Place bytes and return their address, which is no multiple of 8 where the one before was."""
        self.data += bytes(4 + (-len(self.data) % 4))
        address = BASE + len(self.data)
        self.data += data
        return address

    def number(self, value: int, header: Header) -> int:
        """Place a number and its header, and return the header's address."""
        count = -(-value.bit_length() // 32)
        return self.put(header(self.put(value.to_bytes(4 * count, "little")), count))

    def found(self, pointer_size: int = 4) -> list[PrivateKey]:
        collector = Collector()
        memory = Space({BASE: bytes(self.data) + bytes(64)}, pointer_size=pointer_size)
        Scanner((), GROUP_DETECTORS).scan(memory, collector)
        return [finding for finding in collector.findings() if isinstance(finding, PrivateKey)]


def _rsa() -> list[int]:
    numbers = rsa_key(1024).private_numbers()
    public = numbers.public_numbers
    return [public.n, public.e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp]


@pytest.mark.parametrize("library", HEADERS)
def test_an_rsa_key_is_found_by_its_numbers(library: str) -> None:
    heap = _Heap()
    for value in _rsa():
        heap.number(value, HEADERS[library])
    (found,) = heap.found()
    assert found.key_id == key_id(rsa_key(1024))
    (place,) = found.locations
    assert place.key_object is not None
    assert (place.key_object.library, place.key_object.missing_parts) == (library.split("-", maxsplit=1)[0], ())
    assert not heap.found(pointer_size=8)


def test_the_structure_of_openssl_is_named() -> None:
    heap = _Heap()
    address = heap.put(struct.pack("<8I", *(heap.number(value, HEADERS["openssl"]) for value in _rsa())))
    (place,) = heap.found()[0].locations
    assert place.key_object is not None
    assert (place.virtual_address, place.length, place.key_object.structure) == (address, 32, "rsa_st")


@pytest.mark.parametrize("z", [1, 0x1234567890ABCDEF1234567890ABCDEF])
def test_a_point_has_as_many_limbs_as_32_bit_words_are_needed(z: int) -> None:
    """Montgomery form on P-521 has R = 2^544 there, and 2^576 in 64-bit programs."""
    key = ec.derive_private_key(int.from_bytes(sha512(b"32 bits").digest() + b"1", "big"), ec.SECP521R1())
    public = key.public_key().public_numbers()
    heap = _Heap()
    coordinates = [public.x * z**2, public.y * z**3, z]
    numbers = [heap.number((part << 544) % FIELD, HEADERS["openssl"]) for part in coordinates]
    point = heap.put(struct.pack("<IiIIIi", 0xF700_0000, 716, *numbers, 0))
    scalar = heap.number(key.private_numbers().private_value, HEADERS["openssl"])
    address = heap.put(struct.pack("<III", 0xF700_1000, point, scalar))
    (found,) = heap.found()
    assert (found.key_id, found.proof) == (key_id(key), ("Q = d*G",))
    (place,) = found.locations
    assert place.key_object is not None
    assert (place.virtual_address, place.key_object.structure) == (address, "ec_key_st")
