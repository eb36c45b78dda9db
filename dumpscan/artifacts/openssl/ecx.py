"""Ed25519 and Ed448 keys in OpenSSL: a structure has the public value, and points to the private one.

Keys of X25519 and X448 lie in the same structures. They are passed over, since nearly all are those of single TLS
sessions, which every program that speaks TLS has by the dozen and which are the keys of nobody; those whose public keys
are known are found by those (`dumpscan.artifacts.openssl.known`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dumpscan.artifacts.decoded import Decoded
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.proof import ED448, ED25519, raw_key
from dumpscan.findings import KeyObject
from dumpscan.model.libraries.c_ecx import (
    HAS_PUBLIC,
    MAX_REFERENCES,
    NID_ED448,
    NID_ED25519,
    TYPE_ED448,
    TYPE_ED25519,
    c_ecx,
)
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.artifacts.keys.raw import RawAlgorithm
    from dumpscan.memory.space import Memory

    Words = NDArray[np.uint64]
    Indexes = NDArray[np.int64]

ECX_KEY = Signature("ecx_key_st", b"", 24)
"""The fields privkey, keylen, type and references."""
ECX_KEY_32 = Signature("ecx_key_st", b"", 16)
EVP_PKEY_1_1_1 = Signature("evp_pkey_st", b"", 56)
ENCODING = "openssl-ecx"

_SIGNING: dict[int, RawAlgorithm] = {TYPE_ED25519: ED25519, TYPE_ED448: ED448}
"""By ECX_KEY_TYPE."""
_BY_NID: dict[int, RawAlgorithm] = {NID_ED25519: ED25519, NID_ED448: ED448}
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_SIZES = tuple(np.uint64(each.size) for each in _SIGNING.values())
_TYPE_BEFORE = 6
"""Words from `type` to `save_parameters` of a key of 1.1.1."""
_TWICE = tuple(np.uint64(nid << 32 | nid) for nid in _BY_NID)


class _Key(NamedTuple):
    """A key's structure.

    Attributes:
        address: Of its first byte.
        fields: The structure; `pubkey` is an array, and `privkey` a pointer.
        algorithm: Of the key.
    """

    address: int
    fields: Any
    algorithm: RawAlgorithm


def ecx_keys(words: Words, at: Indexes, values: Words) -> Indexes:
    """Find keys among words.

    Args:
        words: Words of memory.
        at: Indexes of those that may be `keylen`, with a pointer before them.
        values: Those words.

    Returns:
        Indexes of the fields `privkey`.
    """
    index = np.flatnonzero(np.logical_or.reduce([values == size for size in _SIZES]))
    at, size = at.take(index), values.take(index)
    held = at < len(words) - 1
    at, size = at[held], size[held]
    after = words.take(at + 1)
    fits = (after >> _HALF) - np.uint64(1) < np.uint64(MAX_REFERENCES)
    fits &= np.logical_or.reduce([(after & _LOW == kind) & (size == each.size) for kind, each in _SIGNING.items()])
    return at[fits] - 1


def ecx_keys_32(words: NDArray[np.uint32], at: Indexes) -> Indexes:
    """Do the same in memory of a 32-bit program; `at` are the indexes of any words that may be `keylen`."""
    at = at[at < len(words) - 2]
    size, after, references = (words.take(at + step) for step in range(3))
    fits = references - np.uint32(1) < np.uint32(MAX_REFERENCES)
    fits &= np.logical_or.reduce([(after == kind) & (size == each.size) for kind, each in _SIGNING.items()])
    return at[fits] - 1


def evp_keys(words: Words, at: Indexes) -> Indexes:
    """Find keys of 1.1.1 among words.

    Args:
        words: Words of memory.
        at: Indexes of those that may be `save_parameters`, with a pointer before them.

    Returns:
        Indexes of the fields `type`.
    """
    at = at[at >= _TYPE_BEFORE] - _TYPE_BEFORE
    types = words.take(at)
    return at.take(np.flatnonzero(np.logical_or.reduce([types == twice for twice in _TWICE])))


def decode_ecx(memory: Memory, address: int) -> Decoded | None:
    """Decode the key whose field `privkey` is at an address; None if there is none.

    Raises:
        RefusedError: The private value does not give the public one.
    """
    form, skipped = (
        (c_ecx.ecx_key_st, 80) if memory.pointer_size == 8 else (c_ecx.ecx_key_st_32, 68)  # noqa: PLR2004
    )
    data = memory.read(address - skipped, len(form)) if address >= skipped else b""
    if len(data) < len(form):
        return None
    fields = form(data)
    if fields.type not in _SIGNING or not fields.flags & HAS_PUBLIC:
        return None
    return _decoded(memory, _Key(address - skipped, fields, _SIGNING[fields.type]))


def decode_evp(memory: Memory, address: int) -> Decoded | None:
    """Decode the key of 1.1.1 to which the structure at an address points; None if there is none.

    Raises:
        RefusedError: As for `decode_ecx`.
    """
    data = memory.read(address, len(c_ecx.evp_pkey_1_1_1))
    if len(data) < len(c_ecx.evp_pkey_1_1_1):
        return None
    outer = c_ecx.evp_pkey_1_1_1(data)
    algorithm = _BY_NID.get(outer.type)
    place = int(outer.pkey)
    data = memory.read(place, len(c_ecx.ecx_key_1_1_1))
    if algorithm is None or len(data) < len(c_ecx.ecx_key_1_1_1):
        return None
    return _decoded(memory, _Key(place, c_ecx.ecx_key_1_1_1(data), algorithm))


def _decoded(memory: Memory, found: _Key) -> Decoded | None:
    """Prove a key by its public value; None if the private one is not held."""
    size = found.algorithm.size
    private = memory.read(int(found.fields.privkey), size)
    if len(private) < size or not any(private):
        return None
    key = raw_key(found.algorithm, private, bytes(found.fields.pubkey[:size]))
    data = memory.read(found.address, len(found.fields))
    return Decoded(
        finding=read_from(key, data),
        address=found.address,
        length=len(data),
        sha256=sha256(data).hexdigest(),
        encoding=ENCODING,
        key_object=KeyObject(library="openssl", structure="ecx_key_st", has_private=True),
    )
