"""Ed25519 by public key: libraries keep the seed right before it, a pointer to it soon behind it, or it elsewhere.

Go, OpenSSH and others keep seed and public key side by side. OpenSSL's `ecx_key_st` has the public key in an array of
57 bytes, then a pointer to the private one: 63 bytes from its beginning since 3.0, where the array begins at an odd
address, and 64 in 1.1.1. GnuTLS and Java keep it in memory of its own, to which something points, or before which the
length of an array stands.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import ED25519, raw_key
from dumpscan.artifacts.openssl.known.candidates import affords_passes, all_numbers, pointed_to, random_ones
from dumpscan.artifacts.openssl.known.found import Names, found_at
from dumpscan.artifacts.openssl.known.windows import LITTLE, WORD, Wanted
from dumpscan.memory.regions import total_size
from dumpscan.scan.engine import Engine
from dumpscan.scan.opening import literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric import ed25519

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.artifacts.openssl.known.pointers import Targets
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory, Searchable

MAX_PLACES = 1024
"""Places of one public key that are looked at."""
_POINTERS = range(56, 73)
"""Bytes from a public key's beginning to a pointer to its private one."""
_POINTER = 8
_SEED = Wanted(LITTLE, ED25519.size // WORD)
_ARRAY = replace(_SEED, array=ED25519.size)
_DERIVING = 60
"""Microseconds to calculate a public key."""
_ALONE = Names("ed25519-seed", "seed")
_ARRAY_OF_JAVA = Names("ed25519-seed", "seed", "java")
_BESIDE = Names("ed25519-seed", "seed and public key")
_POINTED_TO = Names("ed25519-seed", "ecx_key_st", "openssl")


def find_ed25519(
    space: Searchable, targets: Targets, keys: Sequence[ed25519.Ed25519PublicKey], effort: Effort
) -> Iterator[Decoded]:
    """Yield the places of seeds: those beside the public keys, and for keys of which there is none, any others."""
    values = [key.public_bytes(Encoding.Raw, PublicFormat.Raw) for key in keys]
    signatures = [literal(f"ed25519-{number}", value) for number, value in enumerate(values)]
    counts: dict[int, int] = defaultdict(int)
    left = set(values)
    for matches in Engine(signatures, literal=True).batches(space, threads=effort.threads) if signatures else ():
        for number, start in zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True):
            counts[number] += 1
            if counts[number] <= MAX_PLACES:
                for found in (*_beside(space, start, values[number]), *_pointed_to(space, start, values[number])):
                    left.discard(values[number])
                    yield found
    if left:
        yield from _elsewhere(space, targets, left, effort)


def _elsewhere(space: Searchable, targets: Targets, left: set[bytes], effort: Effort) -> Iterator[Decoded]:
    """Yield the places of seeds that something points to, or before which an array's length stands; or all."""
    if not affords_passes(effort, total_size(space.regions)):
        effort.skip("private keys of Ed25519: the dump is too large")
        return
    likely = pointed_to(space, targets, (_SEED,), (_ARRAY,), effort.threads)
    tried: set[bytes] = set()
    for places in chain(likely, all_numbers(space, (_SEED,), effort.threads) if effort.deep else ()):
        for addresses, values in random_ones(space, places):
            for address, row in zip(addresses.tolist(), values, strict=True):
                seed = row.tobytes()
                if not left:
                    return
                if seed in tried:
                    continue
                if not effort.affords(_DERIVING):
                    effort.skip("some numbers as private keys of Ed25519: there are too many")
                    return
                tried.add(seed)
                public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
                if public in left:
                    left.discard(public)
                    names = _ARRAY_OF_JAVA if places.wanted.array else _ALONE
                    yield found_at(space, raw_key(ED25519, seed, public), address, ED25519.size, names)


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
