"""Keys of Curve25519 and Curve448 by public key: libraries keep the private value near it, or elsewhere.

It is right before the public one, or a pointer to it is soon behind that, or, of Ed25519, it is anywhere. Go, OpenSSH
and others keep seed and public key side by side. OpenSSL's `ecx_key_st` has the public key in an array of 57 bytes,
then a pointer to the private one: 63 bytes from its beginning since 3.0, where the array begins at an odd address, and
64 in 1.1.1. GnuTLS and Java keep it in memory of its own, to which something points, or before which the length of an
array stands.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, x448, x25519

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.proof import ED448, ED25519, X448, X25519, raw_key
from dumpscan.artifacts.openssl.known.candidates import Arrays, affords_passes, all_numbers, pointed_to, random_ones
from dumpscan.artifacts.openssl.known.found import Names, found_at
from dumpscan.artifacts.openssl.known.windows import LITTLE, Wanted
from dumpscan.memory.regions import WORD, total_size
from dumpscan.scan.ahead import MAX_SMALL
from dumpscan.scan.engine import Engine
from dumpscan.scan.opening import literal
from dumpscan.scan.passes import aligned_matches
from dumpscan.scan.searcher import Matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.keys.raw import RawAlgorithm
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.artifacts.openssl.known.pointers import Targets
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory, Searchable
    from dumpscan.scan.signature import Signature

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


def find_raw(space: Searchable, targets: Targets, keys: Sequence[PublicKeyTypes], effort: Effort) -> Iterator[Decoded]:
    """Yield the places of private values: those near the public keys, and for Ed25519 keys without one, any others.

    Args:
        space: The memory of a process.
        targets: What its words point to.
        keys: Keys of Ed25519, Ed448, X25519 and X448; others are passed over.
        effort: How far to go.
    """
    sought = [found for found in map(_sought, keys) if found is not None]
    signatures = [literal(f"raw-{number}", each.public) for number, each in enumerate(sought)]
    counts: dict[int, int] = defaultdict(int)
    left = {each.public for each in sought if each.algorithm is ED25519}
    for matches in _places(space, signatures, [each.public for each in sought], effort):
        for number, start in zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True):
            counts[number] += 1
            if counts[number] <= MAX_PLACES:
                for found in (*_beside(space, start, sought[number]), *_pointed_to(space, start, sought[number])):
                    left.discard(sought[number].public)
                    yield found
    if left:
        yield from _elsewhere(space, targets, left, effort)


def _places(
    space: Searchable, signatures: Sequence[Signature], values: Sequence[bytes], effort: Effort
) -> Iterator[Matches]:
    """Look for public values. For little memory it takes longer to compile them than to search without."""
    if not signatures:
        return iter(())
    if total_size(space.regions) > MAX_SMALL:
        return Engine(signatures, literal=True).batches(space, threads=effort.threads)
    return aligned_matches(space, signatures, partial(_find, values), alignment=1)


def _find(values: Sequence[bytes], data: memoryview, _phases: tuple[int, ...]) -> Matches:
    """Find values at every offset (see `aligned_matches`)."""
    whole = bytes(data)
    found = []
    for number, value in enumerate(values):
        at = whole.find(value)
        while at >= 0:
            found.append((at, number))
            at = whole.find(value, at + 1)
    found.sort()
    starts, numbers = zip(*found, strict=True) if found else ((), ())
    return Matches(np.array(numbers, np.uint16), np.array(starts, np.uint64))


class _Sought(NamedTuple):
    """A key that is looked for.

    Attributes:
        algorithm: Its algorithm.
        public: Its public value.
    """

    algorithm: RawAlgorithm
    public: bytes


def _sought(key: PublicKeyTypes) -> _Sought | None:
    match key:
        case ed25519.Ed25519PublicKey():
            return _Sought(ED25519, key.public_bytes_raw())
        case ed448.Ed448PublicKey():
            return _Sought(ED448, key.public_bytes_raw())
        case x25519.X25519PublicKey():
            return _Sought(X25519, key.public_bytes_raw())
        case x448.X448PublicKey():
            return _Sought(X448, key.public_bytes_raw())
        case _:
            return None


def _elsewhere(space: Searchable, targets: Targets, left: set[bytes], effort: Effort) -> Iterator[Decoded]:
    """Yield the places of seeds that something points to, or before which an array's length stands; or all."""
    if not affords_passes(effort, total_size(space.regions)):
        effort.skip("private keys of Ed25519: the dump is too large")
        return
    arrays = Arrays(space, (_ARRAY,), effort.threads)
    every = all_numbers(space, (_SEED,), effort.threads) if effort.deep else ()
    tried: set[bytes] = set()
    for places in chain([arrays.of(_ARRAY)], pointed_to(space, targets, (_SEED,)), every):
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
                public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
                if public in left:
                    left.discard(public)
                    names = _ARRAY_OF_JAVA if places.wanted.array else _ALONE
                    yield found_at(space, raw_key(ED25519, seed, public), address, ED25519.size, names)


def _beside(memory: Memory, start: int, sought: _Sought) -> Iterator[Decoded]:
    size = sought.algorithm.size
    key = _key(memory, start - size, sought)
    if key is not None:
        yield found_at(memory, key, start - size, 2 * size, _names(sought, "seed and public key"))


def _pointed_to(memory: Memory, start: int, sought: _Sought) -> Iterator[Decoded]:
    for at in _POINTERS:
        if (start + at) % _POINTER == 0:
            pointer = int.from_bytes(memory.read(start + at, _POINTER), "little")
            key = _key(memory, pointer, sought)
            if key is not None:
                yield found_at(memory, key, pointer, sought.algorithm.size, _names(sought, "ecx_key_st", "openssl"))


def _names(sought: _Sought, structure: str, library: str | None = None) -> Names:
    return Names(f"{sought.algorithm.name.lower()}-seed", structure, library)


def _key(memory: Memory, address: int, sought: _Sought) -> PrivateKey | None:
    data = memory.read(address, sought.algorithm.size) if address > 0 else b""
    if len(data) < sought.algorithm.size:
        return None
    try:
        return raw_key(sought.algorithm, data, sought.public)
    except RefusedError:
        return None
