"""Where libraries hold keys that were found as files write them: as numbers in forms that no file has."""

from __future__ import annotations

from hashlib import sha512
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from dumpscan.artifacts.openssl.ec import CURVES
from dumpscan.artifacts.openssl.known.ec import MONTGOMERY, PLAIN, Scalars
from dumpscan.artifacts.openssl.known.exact import places_of
from dumpscan.artifacts.openssl.known.found import Names, number_found
from dumpscan.artifacts.openssl.known.rsa import PRIME
from dumpscan.artifacts.openssl.known.windows import BIG, FORMS, LITTLE, Wanted
from dumpscan.memory.regions import WORD, total_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Searchable

EXPANDED = Names("ed25519-expanded", "scalar and prefix", "ring")
"""What ring and rustls keep of an Ed25519 key: no file has it."""
_PASS_PER_MIB = 300
"""Microseconds of a pass over a MiB."""
_MIB = 1 << 20
_BITS = 8 * WORD


class _Number(NamedTuple):
    """A number of a key, and how it lies in memory."""

    key: PrivateKey
    wanted: Wanted
    names: Names
    data: bytes


def find_places(
    space: Searchable, keys: Iterable[tuple[PrivateKey, PrivateKeyTypes]], effort: Effort
) -> Iterator[Decoded]:
    """Yield where numbers of keys lie, at multiples of 8, in any form but big-endian: that is how files write them.

    Args:
        space: The memory of a process.
        keys: RSA keys, keys on the curves of `CURVES` and Ed25519 keys, as they were found and as the library has them.
        effort: How far to go.
    """
    numbers = [number for found, key in keys for number in _numbers(found, key)]
    if not numbers:
        return
    if not effort.affords(_PASS_PER_MIB * total_size(space.regions) / _MIB):
        effort.skip("where libraries hold the keys that were found in the form of files")
        return
    for index, address in places_of(space, [number.data for number in numbers], threads=effort.threads):
        number = numbers[index]
        yield number_found(space, number.key, address, number.wanted, number.names)


def _numbers(found: PrivateKey, key: PrivateKeyTypes) -> Iterator[_Number]:
    if isinstance(key, rsa.RSAPrivateKey):
        private = key.private_numbers()
        for prime in (private.p, private.q):
            count, extra = divmod(prime.bit_length(), _BITS)
            for form in FORMS if not extra else ():
                if form is not BIG:
                    yield _Number(found, Wanted(form, count), PRIME, form.written(prime, prime.bit_length()))
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        value = key.private_numbers().private_value
        for curve in (curve for curve in CURVES if curve.curve.name == key.curve.name):
            scalars = Scalars(curve)
            little = scalars.plain[0]
            yield _Number(found, little, MONTGOMERY, little.form.written(scalars.montgomery(value), little.bits))
            for wanted in scalars.plain:
                if wanted.form is not BIG:
                    yield _Number(found, wanted, PLAIN, wanted.form.written(value, wanted.bits))
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        data = _expanded(key.private_bytes_raw())
        yield _Number(found, Wanted(LITTLE, len(data) // WORD), EXPANDED, data)


def _expanded(seed: bytes) -> bytes:
    """Return the scalar and the prefix that Ed25519 makes of a seed (RFC 8032, 5.1.5)."""
    data = bytearray(sha512(seed).digest())
    data[0] &= 0xF8
    data[31] = data[31] & 0x7F | 0x40
    return bytes(data)
