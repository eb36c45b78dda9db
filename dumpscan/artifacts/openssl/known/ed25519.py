"""Ed25519 by public key: libraries keep the seed right before it, or a pointer to the seed soon behind it.

Go, OpenSSH and others keep seed and public key side by side. OpenSSL's `ecx_key_st` has the public key in an array of
57 bytes, then a pointer to the private one: 63 bytes from its beginning since 3.0, where the array begins at an odd
address, and 64 in 1.1.1.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import ED25519, raw_key
from dumpscan.artifacts.openssl.known.found import Names, found_at
from dumpscan.scan.engine import Engine
from dumpscan.scan.opening import literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric import ed25519

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory, Searchable

MAX_PLACES = 1024
"""Places of one public key that are looked at."""
_POINTERS = range(56, 73)
"""Bytes from a public key's beginning to a pointer to its private one."""
_POINTER = 8
_BESIDE = Names("ed25519-seed", "seed and public key")
_POINTED_TO = Names("ed25519-seed", "ecx_key_st", "openssl")


def find_ed25519(space: Searchable, keys: Sequence[ed25519.Ed25519PublicKey], effort: Effort) -> Iterator[Decoded]:
    """Yield the places of seeds."""
    values = [key.public_bytes(Encoding.Raw, PublicFormat.Raw) for key in keys]
    signatures = [literal(f"ed25519-{number}", value) for number, value in enumerate(values)]
    counts: dict[int, int] = defaultdict(int)
    for matches in Engine(signatures, literal=True).batches(space, threads=effort.threads) if signatures else ():
        for number, start in zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True):
            counts[number] += 1
            if counts[number] <= MAX_PLACES:
                yield from _beside(space, start, values[number])
                yield from _pointed_to(space, start, values[number])


def _beside(memory: Memory, start: int, public: bytes) -> Iterator[Decoded]:
    address = start - ED25519.size
    key = _key(memory, address, public)
    if key is not None:
        yield found_at(memory, key, address, 2 * ED25519.size, _BESIDE)


def _pointed_to(memory: Memory, start: int, public: bytes) -> Iterator[Decoded]:
    for at in _POINTERS:
        if (start + at) % _POINTER == 0:
            pointer = int.from_bytes(memory.read(start + at, _POINTER), "little")
            key = _key(memory, pointer, public)
            if key is not None:
                yield found_at(memory, key, pointer, ED25519.size, _POINTED_TO)


def _key(memory: Memory, address: int, public: bytes) -> PrivateKey | None:
    data = memory.read(address, ED25519.size) if address > 0 else b""
    if len(data) < ED25519.size:
        return None
    try:
        return raw_key(ED25519, data, public)
    except RefusedError:
        return None
