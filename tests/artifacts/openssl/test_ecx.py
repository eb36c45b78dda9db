"""Ed25519 and Ed448 keys as OpenSSL holds them, laid out by hand: no certificate names them."""

from __future__ import annotations

import struct
from hashlib import sha512

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dumpscan.artifacts.openssl.detectors import GROUP_DETECTORS
from dumpscan.findings import PrivateKey
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import Space, key_id
from support.number_samples import Heap

Key = ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | x25519.X25519PrivateKey
SEED = sha512(b"a seed").digest()[:57]
KEYS: dict[str, tuple[Key, int, int]] = {
    "Ed25519": (ed25519.Ed25519PrivateKey.from_private_bytes(SEED[:32]), 2, 1087),
    "Ed448": (ed448.Ed448PrivateKey.from_private_bytes(SEED), 3, 1088),
    "X25519": (x25519.X25519PrivateKey.from_private_bytes(SEED[:32]), 0, 1034),
}
"""Key, ECX_KEY_TYPE, NID."""


def _values(name: str) -> tuple[bytes, bytes]:
    key = KEYS[name][0]
    return (
        key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()),
        key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
    )


def _ecx_key(private_at: int, public: bytes, kind: int, *, flags: int = 1) -> bytes:
    return struct.pack("<QQB57s6xQQIi", 0x7F00_0000_1000, 0, flags, public, private_at, len(public), kind, 1)


def _ecx_key_32(private_at: int, public: bytes, kind: int) -> bytes:
    return struct.pack("<IIB57s2xIIIi", 0xF7F0_1000, 0, 1, public, private_at, len(public), kind, 1)


def _found(memory: Space) -> list[PrivateKey]:
    collector = Collector()
    Scanner((), GROUP_DETECTORS).scan(memory, collector)
    return [finding for finding in collector.findings() if isinstance(finding, PrivateKey)]


def _is_right(found: PrivateKey, name: str, address: int, length: int) -> bool:
    (place,) = found.locations
    assert found.key_id == key_id(KEYS[name][0])
    assert (found.algorithm, found.proof) == (name, ("public value = that of the private value",))
    assert place.key_object is not None
    assert (place.key_object.library, place.key_object.structure) == ("openssl", "ecx_key_st")
    return (place.virtual_address, place.length, place.encoding) == (address, length, "openssl-ecx")


@pytest.mark.parametrize("name", ["Ed25519", "Ed448"])
def test_a_key_of_openssl_3_is_found_where_its_structure_is(name: str) -> None:
    private, public = _values(name)
    heap = Heap()
    address = heap.put(_ecx_key(heap.put(private, 8), public, KEYS[name][1]), 8)
    (found,) = _found(heap.memory())
    assert _is_right(found, name, address, 104)


@pytest.mark.parametrize("name", ["Ed25519", "Ed448"])
def test_a_key_of_openssl_1_1_1_is_found_where_its_structure_is(name: str) -> None:
    private, public = _values(name)
    heap = Heap()
    address = heap.put(struct.pack("<57s7xQ", public, heap.put(private)))
    nid = KEYS[name][2]
    heap.put(struct.pack("<iii4xQQQQQ", nid, nid, 1, 0x7F00_0000_1000, 0, 0, address, 1))
    (found,) = _found(heap.memory())
    assert _is_right(found, name, address, 72)


@pytest.mark.parametrize("name", ["Ed25519", "Ed448"])
def test_a_key_of_a_32_bit_program_is_found(name: str) -> None:
    private, public = _values(name)
    base = 0x5655_0004
    structure = _ecx_key_32(base + 0x44, public, KEYS[name][1])
    data = bytes(0x44) + private.ljust(60, b"\0") + structure + bytes(64)
    (found,) = _found(Space({base: data}, pointer_size=4))
    assert _is_right(found, name, base + 0x44 + 60, 84)


def test_what_the_private_value_does_not_give_is_no_key() -> None:
    private, public = _values("Ed25519")
    for changed in (public[:-1] + bytes([public[-1] ^ 1]), bytes(32), private):
        heap = Heap()
        heap.put(_ecx_key(heap.put(private), changed, 2))
        assert not _found(heap.memory())
    for flags, kind in ((0, 2), (1, 3), (1, 4)):  # no public value; of another length; no such type
        heap = Heap()
        heap.put(_ecx_key(heap.put(private), public, kind, flags=flags))
        assert not _found(heap.memory())
    heap = Heap()
    heap.put(_ecx_key(0x1234_5678_9000, public, 2))  # leads nowhere
    assert not _found(heap.memory())


def test_keys_of_single_sessions_are_passed_over() -> None:
    """Whoever speaks TLS has some on X25519 in the same structure."""
    private, public = _values("X25519")
    heap = Heap()
    heap.put(_ecx_key(heap.put(private), public, 0))
    assert not _found(heap.memory())
