"""Private keys in DER: PKCS#1 (RFC 8017, A.1.2), PKCS#8 (RFC 5958), SEC 1 (RFC 5915), and OpenSSL's DSA form.

The structures are taken apart here and not by `cryptography`, which would return only what it made of them: the public
values that were stored beside the private ones are what proves a key.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import BytesDecoder, CutShortError, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.algorithms import dh, ml_pkcs8
from dumpscan.artifacts.keys.ec import sec1
from dumpscan.artifacts.keys.ec.proof import key_on_some_curve
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.randomness import is_not_constant, looks_random
from dumpscan.artifacts.keys.rsa import pkcs1
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.artifacts.detector import Detector
    from dumpscan.artifacts.keys.randomness import Plausible
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

MOST_BYTES = 64 << 10
"""The largest key that is proven, RSA with 16384 bits, takes less than 10 KiB; attributes may follow it."""
_MOST_NUMBER = 2049
"""Bytes of the largest INTEGER in a key: 16384 bits and a sign."""

_RSA = bytes.fromhex("06092a864886f70d010101")
_RSAES_OAEP = bytes.fromhex("06092a864886f70d010107")
_RSASSA_PSS = bytes.fromhex("06092a864886f70d01010a")
_EC = bytes.fromhex("06072a8648ce3d0201")
_DSA = bytes.fromhex("06072a8648ce380401")
"""AlgorithmIdentifiers, as they are encoded: RFC 8017 A, RFC 5480 2.1.1, RFC 3279 2.3.2."""
_RAW = {
    algorithm.identifier: algorithm
    for algorithm in (key_proof.X25519, key_proof.X448, key_proof.ED25519, key_proof.ED448)
}
_OTHERS: dict[bytes, Callable[[list[der.Element], bytes, bytes | None], PrivateKey]] = {
    **dh.PKCS8_ALGORITHMS,
    **ml_pkcs8.PKCS8_ALGORITHMS,
}
"""Algorithms with a module of their own: what proves a key of its parameters, its private and its public value."""

_PKCS8_VERSIONS = (b"\x00", b"\x01")
_ATTRIBUTES, _PUBLIC_KEY, _CONSTRUCTED = 0x80, 0x81, 0x20
"""Tags, without the bit that says that elements are within."""
_DSA_MEMBERS = 6
_MAX_SHORT = 127
_PRIVATE_VALUE_SIZES = (32, 48, 56, 57, 66)
_LENGTH_BYTES = 8
_MIN_DSA_ORDER_BITS = 160
"""FIPS 186-2. The third member of an RSA key, its public exponent, is smaller."""


def parse_integers(data: bytes) -> Parsed:
    """Prove a structure of INTEGERs that begins with a version: RSA's (PKCS#1), or OpenSSL's for DSA."""
    numbers, _ = pkcs1.integers(der.one(data, der.SEQUENCE).content)
    if len(numbers) == _DSA_MEMBERS and numbers[2].bit_length() >= _MIN_DSA_ORDER_BITS:
        version, p, q, g, y, x = numbers
        if version:
            raise RefusedError("a version that DSA keys do not have")
        return _parsed(key_proof.dsa_key(p=p, q=q, g=g, x=x, y=y), data, "dsa")
    return _parsed(pkcs1.prove(data), data, "pkcs1")


def parse_integers_head(raw: Raw) -> Parsed:
    """Prove an RSA key whose end the memory does not hold."""
    return _parsed(pkcs1.prove(raw.data), raw.data, "pkcs1")


def parse_pkcs8(data: bytes, *, plausible: Plausible = looks_random) -> Parsed:
    """Prove an unencrypted PKCS#8 structure, of version 0 or (with the public key) 1.

    Args:
        data: The structure.
        plausible: Says whether bytes may be a private value, where nothing is stored that it could be checked against.
    """
    version, algorithm, private, *others = der.members(data, least=3)
    tags = [other.tag for other in others]
    if (version.tag, version.content in _PKCS8_VERSIONS) != (der.INTEGER, True) or private.tag != der.OCTET_STRING:
        raise RefusedError("not PKCS#8")
    if [tag & ~_CONSTRUCTED for tag in tags] not in ([], [_ATTRIBUTES], [_PUBLIC_KEY], [_ATTRIBUTES, _PUBLIC_KEY]):
        raise RefusedError("members that PKCS#8 does not have")
    public = _public(others[-1]) if tags and tags[-1] & ~_CONSTRUCTED == _PUBLIC_KEY else None
    return _of_algorithm(algorithm, private.content, public, data, plausible)


def parse_pkcs8_head(raw: Raw, *, plausible: Plausible = looks_random) -> Parsed:
    """Prove a key whose PKCS#8 structure goes on where the memory ends.

    Raises:
        CutShortError: Too little is left of the key in it.
    """
    members = der.elements(raw.data[der.header(raw.data).size :], cut=True)
    if [member.tag for member in members[:2]] != [der.INTEGER, der.SEQUENCE]:
        raise RefusedError("not PKCS#8")
    if len(members) > 2:  # noqa: PLR2004 - the private key itself is whole
        private = members[2].content
    else:
        rest = raw.data[der.header(raw.data).size + sum(len(member.encoded) for member in members) :]
        private = rest[der.header(rest).size :]
    return _of_algorithm(members[1], private, None, raw.data, plausible)


def _of_algorithm(
    algorithm: der.Element, private: bytes, public: bytes | None, data: bytes, plausible: Plausible
) -> Parsed:
    """Prove the key of a PKCS#8 structure.

    Args:
        algorithm: Its AlgorithmIdentifier.
        private: Its private key; for RSA and EC the end may be missing.
        public: Its public key, where it has one.
        data: All of it.
        plausible: As for `parse_pkcs8`.
    """
    identifier, *parameters = der.members(algorithm.encoded, least=1)
    if identifier.encoded in _RAW:
        return _parsed(_raw(_RAW[identifier.encoded], private, public, plausible), data, "pkcs8")
    if identifier.encoded in (_RSA, _RSAES_OAEP, _RSASSA_PSS):
        return _parsed(pkcs1.prove(private), data, "pkcs8")
    if identifier.encoded == _EC and len(parameters) == 1:
        keys = sec1.prove(private, sec1.curve_of(parameters[0].encoded), public, plausible=plausible)
        return sec1.parsed(keys, data, "pkcs8")
    if identifier.encoded == _DSA and len(parameters) == 1:
        p, q, g = _integers(der.members(parameters[0].encoded, least=3, most=3))
        x = der.integer(der.one(private, der.INTEGER), most=_MOST_NUMBER)
        y = None if public is None else der.integer(der.one(public, der.INTEGER), most=_MOST_NUMBER)
        return _parsed(key_proof.dsa_key(p=p, q=q, g=g, x=x, y=y), data, "pkcs8")
    if identifier.encoded in _OTHERS:
        return _parsed(_OTHERS[identifier.encoded](parameters, private, public), data, "pkcs8")
    raise RefusedError("an algorithm that is not known")


def parse_sec1(data: bytes, *, plausible: Plausible = looks_random) -> Parsed:
    """Prove an ECPrivateKey that stands by itself. Without a curve and a public key there are several candidates."""
    return sec1.parsed(sec1.prove(data, plausible=plausible), data, "sec1")


def parse_sec1_head(raw: Raw) -> Parsed:
    """Prove an ECPrivateKey whose end the memory does not hold."""
    return parse_sec1(raw.data)


def on_some_curve(value: bytes, points: list[bytes]) -> PrivateKey:
    """Prove a private value that no curve was stored with: the public point tells.

    Args:
        value: The private value.
        points: The public point, wherever it was stored, as for `proof.ec_key`.
    """
    return key_on_some_curve(int.from_bytes(value, "big"), points)


def _raw(algorithm: key_proof.RawAlgorithm, private: bytes, public: bytes | None, plausible: Plausible) -> PrivateKey:
    """Prove a key whose private value is a string of bytes: in an OCTET STRING of its own (RFC 8410, 7), or without.

    Before RFC 8410, Ed25519 keys were also written as the private value and the public one together.
    """
    value = private
    if len(private) not in (algorithm.size, 2 * algorithm.size):
        value = der.one(private, der.OCTET_STRING).content
    if len(value) == 2 * algorithm.size:
        value, together = value[: algorithm.size], value[algorithm.size :]
        if public not in (None, together):
            raise RefusedError("two public values")
        public = together
    return key_proof.raw_key(algorithm, value, public, plausible=plausible)


def _public(member: der.Element) -> bytes:
    """Return the public key of a PKCS#8 structure: [1] is a BIT STRING, or holds one, as ring wrote it before 0.17."""
    if member.tag & _CONSTRUCTED:
        return sec1.bits(der.one(member.content, der.BIT_STRING).content)
    return sec1.bits(member.content)


def _parsed(key: PrivateKey, data: bytes, encoding: str) -> Parsed:
    return Parsed(read_from(key, data), encoding)


def _integers(members: list[der.Element]) -> list[int]:
    return [der.integer(member, most=_MOST_NUMBER) for member in members]


def _pkcs8_head(raw: Raw) -> Parsed:
    """As `parse_pkcs8_head`; in memory, a key that is cut short is reported by the opening of the structure within."""
    try:
        return parse_pkcs8_head(raw)
    except CutShortError:
        raise RefusedError("too little of the key") from None


def _extract_pkcs8(memory: Memory, address: int) -> Raw:
    """Read a PKCS#8 structure, unless all of it but the private value fills an array.

    A program that writes keys keeps what they begin with in such an array. Its length precedes it in .NET (64 bits) and
    Java (32 bits); in both the next object on the heap follows.
    """
    raw = _extract(memory, address)
    if raw.length <= _MAX_SHORT and address >= _LENGTH_BYTES:
        before = memory.read(address - _LENGTH_BYTES, _LENGTH_BYTES)
        lengths = (int.from_bytes(before, "little"), int.from_bytes(before[4:], "little"))
        if any(raw.length - size in lengths for size in _PRIVATE_VALUE_SIZES if size < raw.length):
            raise RefusedError("a constant of a program")
    return raw


_extract = partial(der.extract, most=MOST_BYTES)
_VERSION_0_OR_1, _VERSION_1 = "02 01 00|01", "02 01 01"
_LONG, _MIDDLE, _SHORT = "30 82 .. ..", "30 81 ..", "30 18-7f"
"""A SEQUENCE of 256 bytes and more, of 128 to 255, of fewer."""
_VALUE = "04 0e-49"
"""An OCTET STRING as long as the private values of the curves known, or a little shorter."""

_INTEGERS = {
    "large": f"{_LONG} {_VERSION_0_OR_1} 02 82",
    "medium": f"{_LONG} {_VERSION_0_OR_1} 02 81",
    "small": f"{_LONG} {_VERSION_0_OR_1} 02 40-7f",
    "small-cut": f"{_MIDDLE} {_VERSION_0_OR_1} 02 40-7f",
}
_PKCS8 = {
    "rsa": f"{_LONG} {_VERSION_0_OR_1} 30 .. 06 09 2a 86 48 86 f7 0d 01 01 01|07|0a",
    "rsa-cut": f"{_MIDDLE} {_VERSION_0_OR_1} 30 .. 06 09 2a 86 48 86 f7 0d 01 01 01|07|0a",
    "ec-short": f"{_SHORT} {_VERSION_0_OR_1} 30 .. 06 07 2a 86 48 ce 3d 02 01",
    "ec-middle": f"{_MIDDLE} {_VERSION_0_OR_1} 30 .. 06 07 2a 86 48 ce 3d 02 01",
    "ec-long": f"{_LONG} {_VERSION_0_OR_1} 30 .. 06 07 2a 86 48 ce 3d 02 01",
    "ec-explicit-short": f"{_MIDDLE} {_VERSION_0_OR_1} 30 81 .. 06 07 2a 86 48 ce 3d 02 01",
    "ec-explicit-middle": f"{_LONG} {_VERSION_0_OR_1} 30 81 .. 06 07 2a 86 48 ce 3d 02 01",
    "ec-explicit-long": f"{_LONG} {_VERSION_0_OR_1} 30 82 .. .. 06 07 2a 86 48 ce 3d 02 01",
    "raw-short": f"{_SHORT} {_VERSION_0_OR_1} 30 05|07 06 03 2b 65 6e-71 04|05",
    "raw-middle": f"{_MIDDLE} {_VERSION_0_OR_1} 30 05|07 06 03 2b 65 6e-71 04|05",
    "raw-long": f"{_LONG} {_VERSION_0_OR_1} 30 05|07 06 03 2b 65 6e-71 04|05",
    "dsa": f"{_LONG} {_VERSION_0_OR_1} 30 82 .. .. 06 07 2a 86 48 ce 38 04 01",
}
_SEC1 = {
    "short": f"{_SHORT} {_VERSION_1} {_VALUE}",
    "middle": f"{_MIDDLE} {_VERSION_1} {_VALUE}",
    "long": f"{_LONG} {_VERSION_1} {_VALUE}",
}


def _detectors(kind: str, patterns: dict[str, str], decoder: BytesDecoder) -> tuple[Detector, ...]:
    return tuple((opening(f"{kind}-{name}", pattern), decoder) for name, pattern in patterns.items())


_PKCS8_IN_TEXT = BytesDecoder(_extract_pkcs8, partial(parse_pkcs8, plausible=is_not_constant), parse_pkcs8_head)
_SEC1_IN_TEXT = BytesDecoder(_extract, partial(parse_sec1, plausible=is_not_constant), parse_sec1_head)

DETECTORS: tuple[Detector, ...] = (
    *_detectors("integers", _INTEGERS, BytesDecoder(_extract, parse_integers, parse_integers_head)),
    *_detectors(
        "pkcs8",
        _PKCS8 | dh.PKCS8_OPENINGS | ml_pkcs8.PKCS8_OPENINGS,
        BytesDecoder(_extract_pkcs8, parse_pkcs8, _pkcs8_head, _PKCS8_IN_TEXT),
    ),
    *_detectors("sec1", _SEC1, BytesDecoder(_extract, parse_sec1, parse_sec1_head, _SEC1_IN_TEXT)),
    *pkcs1.DETECTORS,
)
