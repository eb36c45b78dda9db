"""The numbers of keys: whatever of a private key, or computed from it, gives it away.

Beside the private numbers, libraries keep what multiplication modulo a prime needs (Montgomery's form): powers of
R = 2^(64*limbs), the coefficient times R. R mod p is the prime itself, as R - p.
"""

from __future__ import annotations

import math
from hashlib import sha512
from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.aes.cipher import expand, invert, swap
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.openssl.known.ec import ORDERS
from dumpscan.artifacts.tls.derive import HASHES, SHA256, SHA384, expand_label, key_block
from dumpscan.artifacts.tls.in_use.vpaes import first_round_key
from dumpscan.artifacts.tls.sessions import VERSION_13
from dumpscan.redact.secret import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import PrivateKey, SymmetricKey, TlsSecret

MIN_NUMBER = 14
"""Bytes of the shortest number that is a secret by itself: a private value of the smallest curve."""
_WORD = 8
_SEED = 32
_AEAD_KEYS = (16, 32)
_MAC_KEYS = (0, 20, 32, 48)
_KEY_BLOCK = 160
"""Bytes: two MAC keys of 48, two keys of 32. No cipher suite of TLS 1.2 takes more."""
_SEQUENCE, _INTEGER, _OCTETS, _SEED_OF_ML = 0x30, 0x02, 0x04, 0x80
_MAX_DEPTH = 6


def private_key_values(key: PrivateKey) -> tuple[Value, ...]:
    """Return the numbers of a private key that are not in its public key, and what libraries compute from them."""
    found = list(_rsa(key.pkcs8)) if key.algorithm.startswith("RSA") else list(_others(key))
    return tuple({value.data: value for value in reversed(found) if len(value.data) >= MIN_NUMBER}.values())


def symmetric_key_values(key: SymmetricKey) -> tuple[Value, ...]:
    """Return an AES key and its schedules, for both directions, in both orders of bytes."""
    schedule = expand(key.key)
    inverse = invert(schedule)
    return (
        Value(key.key, "key"),
        *(Value(data, "schedule", derived=True) for data in (schedule, swap(schedule), inverse, swap(inverse))),
    )


def tls_secret_values(secret: TlsSecret) -> tuple[Value, ...]:
    """Return a TLS secret and the keys that follow from it: RFC 8446, 7.3, and RFC 5246, 6.3."""
    found = [Value(secret.secret, "secret")]
    if secret.version == VERSION_13:
        hash_ = SHA384 if len(secret.secret) == SHA384.size else SHA256
        keys = (expand_label(secret.secret, hash_, b"key", size) for size in _AEAD_KEYS)
        found += (Value(key, "traffic key") for key in keys)
    elif secret.client_random and secret.server_random:
        client, server = bytes.fromhex(secret.client_random), bytes.fromhex(secret.server_random)
        blocks = (key_block(secret.secret, client, server, hash_, _KEY_BLOCK) for hash_ in HASHES)
        found += (Value(block, "key block", derived=True) for block in blocks)
    return tuple(found)


def tls_schedule_values(secret: TlsSecret) -> tuple[Value, ...]:
    """Return how schedules of vpaes begin that follow from a TLS secret; the search for AES keys does not find them."""
    _, *sources = (value.data for value in tls_secret_values(secret))
    starts = [0]
    if secret.version != VERSION_13:
        starts = [2 * mac + side * size for mac in _MAC_KEYS for size in _AEAD_KEYS for side in (0, 1)]
    keys = dict.fromkeys(source[start : start + _AEAD_KEYS[0]] for source in sources for start in starts)
    return tuple(Value(first_round_key(key), "schedule", derived=True) for key in keys)


def _number(value: int, part: str, size: int, *, derived: bool = False) -> Value:
    """Make the value of a number that is kept in so many bytes."""
    needed = -(-value.bit_length() // 8)
    return Value(value.to_bytes(max(size, needed), "big"), part, number=True, derived=derived)


def _private_key(pkcs8: bytes) -> bytes:
    """Return the content of a PKCS#8's `privateKey` (RFC 5208, 5), which follows its version and algorithm."""
    return der.members(pkcs8, least=3)[2].content


def _rsa(pkcs8: bytes) -> Iterator[Value]:
    members = der.members(_private_key(pkcs8))
    numbers = [int.from_bytes(member.content, "big") for member in members if member.tag == _INTEGER]
    _, modulus, exponent, private = numbers[:4]
    primes, crt = numbers[4:6], numbers[6:8]
    size = _words(modulus)
    yield _number(private, "private exponent", size)
    coefficients = [(numbers[8], primes[0])]
    others = [
        der.members(other.encoded)
        for member in members
        if member.tag == _SEQUENCE
        for other in der.elements(member.content)
    ]
    for other in others:
        prime, remainder, coefficient = (int.from_bytes(each.content, "big") for each in other)
        primes.append(prime)
        crt.append(remainder)
        coefficients.append((coefficient, prime))
    for number, prime in enumerate(primes):
        yield _number(prime, f"prime {number + 1}", _words(prime))
    for number, (remainder, prime) in enumerate(zip(crt, primes, strict=True)):
        yield _number(remainder, f"CRT exponent {number + 1}", _words(prime))
    for coefficient, prime in coefficients:
        yield _number(coefficient, "CRT coefficient", _words(prime))
    yield from _computed(exponent, primes, coefficients, size)


def _computed(exponent: int, primes: list[int], coefficients: list[tuple[int, int]], size: int) -> Iterator[Value]:
    """Yield what is computed from the numbers of an RSA key."""
    orders = [prime - 1 for prime in primes]
    for order in (math.prod(orders), math.lcm(*orders)):
        # The upper half of (p-1)*(q-1) is that of the modulus, which is public.
        yield _number(order % (1 << 4 * size), "order", size // 2, derived=True)
        if math.gcd(exponent, order) == 1:
            yield _number(pow(exponent, -1, order), "private exponent", size)
    if len(primes) == 2 and primes[0] != primes[1]:  # noqa: PLR2004 - an ordinary key
        yield _number(pow(primes[0], -1, primes[1]), "CRT coefficient", _words(primes[1]))
    for prime in primes:
        radix = 1 << 8 * _words(prime)
        for power in (1, 2, 3):
            yield _number(pow(radix, power, prime), "Montgomery's radix", _words(prime), derived=True)
    for coefficient, prime in coefficients:
        radix = 1 << 8 * _words(prime)
        yield _number(coefficient * radix % prime, "CRT coefficient", _words(prime), derived=True)


def _words(number: int) -> int:
    """Return the bytes of the words that a number takes."""
    return -(-number.bit_length() // (8 * _WORD)) * _WORD


def _others(key: PrivateKey) -> Iterator[Value]:
    """Yield the secret parts of a key of any other algorithm: integers and strings in the PrivateKey of its PKCS#8."""
    content = _private_key(key.pkcs8)
    order = ORDERS.get(key.curve or "")
    for data in dict.fromkeys(_leaves(content)):
        yield Value(data, "private value", number=True)
        padded = data.rjust(-(-len(data) // _WORD) * _WORD, b"\0")
        if padded != data:
            yield Value(padded, "private value", number=True, derived=True)
        if order is not None and len(data) <= _words(order):
            scalar = int.from_bytes(data, "big") * (1 << 8 * _words(order)) % order
            yield _number(scalar, "private value in Montgomery's form", _words(order), derived=True)
        if key.algorithm in {"Ed25519", "X25519"} and len(data) == _SEED:
            yield from _clamped(data)


def _clamped(seed: bytes) -> Iterator[Value]:
    """Yield the scalar of X25519 (RFC 7748, 5), and the scalar and prefix of Ed25519 (RFC 8032, 5.1.5)."""
    hashed = sha512(seed).digest()
    for data in (seed, hashed[:_SEED]):
        scalar = bytes((data[0] & 0xF8, *data[1:31], data[31] & 0x7F | 0x40))
        yield Value(scalar, "scalar", number=True, derived=True)
    yield Value(hashed, "expanded key", derived=True)


def _leaves(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield the integers and strings of DER; the bytes themselves, if they are none.

    What is tagged otherwise is left out: parameters and the public key of an ECPrivateKey.
    """
    try:
        elements = der.elements(data) if depth < _MAX_DEPTH else []
    except RefusedError:
        elements = []
    if not elements:
        yield data
    for element in elements:
        if element.tag == _SEQUENCE:
            yield from _leaves(element.content, depth + 1)
        elif element.tag == _INTEGER:
            yield element.content.lstrip(b"\0")
        elif element.tag in {_OCTETS, _SEED_OF_ML}:
            yield element.content
            yield from _leaves(element.content, depth + 1)
