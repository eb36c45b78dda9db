"""How keys follow from the secrets of TLS: HKDF-Expand-Label of TLS 1.3, and the PRF of TLS 1.2.

Source: RFC 8446, 7.1 and 7.3; RFC 5246, 5 and 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import digest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MASTER_SIZE = 48
"""Bytes of a master secret of TLS 1.2."""
RANDOM_SIZE = 32
"""Bytes of each side's random."""

_LABEL = b"tls13 "
_FIRST_BLOCK = b"\1"


@dataclass(frozen=True, slots=True)
class Hash:
    """A hash of TLS.

    Attributes:
        name: As `hashlib` calls it.
        size: Bytes of its result, and of the secrets of suites that use it.
    """

    name: str
    size: int


SHA256 = Hash("sha256", 32)
SHA384 = Hash("sha384", 48)
HASHES = (SHA256, SHA384)


@dataclass(frozen=True, slots=True)
class Suite:
    """What matters of cipher suites that differ in nothing else here.

    Attributes:
        name: Of the cipher, as RFC 8446 has it in the names of suites.
        hash: The hash of the key schedule.
        key_size: Bytes of a traffic key.
        cipher: `AES-GCM` or `ChaCha20-Poly1305`.
    """

    name: str
    hash: Hash
    key_size: int
    cipher: str = "AES-GCM"


AES_128 = Suite("TLS_AES_128_GCM_SHA256", SHA256, 16)
AES_256 = Suite("TLS_AES_256_GCM_SHA384", SHA384, 32)
CHACHA20 = Suite("TLS_CHACHA20_POLY1305_SHA256", SHA256, 32, "ChaCha20-Poly1305")
SUITES_13 = {0x1301: AES_128, 0x1302: AES_256, 0x1303: CHACHA20}
"""The suites of TLS 1.3 by their numbers (RFC 8446, B.4)."""


def label_info(label: bytes, size: int, context: bytes = b"") -> bytes:
    """Return HkdfLabel, and the number of the block behind it that HKDF-Expand hashes (RFC 8446, 7.1)."""
    whole = _LABEL + label
    return b"".join(
        (size.to_bytes(2, "big"), bytes((len(whole),)), whole, bytes((len(context),)), context, _FIRST_BLOCK)
    )


def expand_label(secret: bytes, hash_: Hash, label: bytes, size: int, context: bytes = b"") -> bytes:
    """Compute HKDF-Expand-Label of at most one block (RFC 8446, 7.1)."""
    return digest(secret, label_info(label, size, context), hash_.name)[:size]


def derive_secret(secret: bytes, hash_: Hash, label: bytes, transcript: bytes) -> bytes:
    """Compute Derive-Secret, given the hash of the messages (RFC 8446, 7.1)."""
    return expand_label(secret, hash_, label, hash_.size, transcript)


def traffic_key(secret: bytes, suite: Suite) -> bytes:
    """Compute the key that protects records under a traffic secret."""
    return expand_label(secret, suite.hash, b"key", suite.key_size)


def traffic_iv(secret: bytes, suite: Suite) -> bytes:
    """Compute the initialisation vector that goes with it."""
    return expand_label(secret, suite.hash, b"iv", 12)


def key_block(master: bytes, client_random: bytes, server_random: bytes, hash_: Hash, size: int) -> bytes:
    """Compute the first bytes of the key block of TLS 1.2 (RFC 5246, 6.3)."""
    seed = b"key expansion" + server_random + client_random
    return b"".join(_blocks(master, seed, hash_, size))[:size]


def _blocks(secret: bytes, seed: bytes, hash_: Hash, size: int) -> Iterator[bytes]:
    """Yield the blocks of P_hash (RFC 5246, 5)."""
    chained = seed
    for _ in range(0, size, hash_.size):
        chained = digest(secret, chained, hash_.name)
        yield digest(secret, chained + seed, hash_.name)
