"""Private keys in DER: PKCS#1 (RFC 8017, A.1.2), PKCS#8 (RFC 5958), SEC 1 (RFC 5915), and OpenSSL's DSA form.

The structures are taken apart here and not by `cryptography`, which would return only what it made of them: the public
values that were stored beside the private ones are what proves a key.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import BytesDecoder, Detector, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import pkcs1
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.algorithms import dh, ml_pkcs8
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.opening import opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.findings import PrivateKey

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
    bytes.fromhex("06032b656e"): key_proof.X25519,
    bytes.fromhex("06032b656f"): key_proof.X448,
    bytes.fromhex("06032b6570"): key_proof.ED25519,
    bytes.fromhex("06032b6571"): key_proof.ED448,
}
"""RFC 8410, 3."""
_CURVES: dict[bytes, ec.EllipticCurve] = {
    bytes.fromhex("06082a8648ce3d030101"): ec.SECP192R1(),
    bytes.fromhex("06052b81040021"): ec.SECP224R1(),
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
    bytes.fromhex("06052b81040023"): ec.SECP521R1(),
    bytes.fromhex("06052b8104000a"): ec.SECP256K1(),
    bytes.fromhex("06092b2403030208010107"): ec.BrainpoolP256R1(),
    bytes.fromhex("06092b240303020801010b"): ec.BrainpoolP384R1(),
    bytes.fromhex("06092b240303020801010d"): ec.BrainpoolP512R1(),
}
"""SEC 2 A.2, RFC 5639 4.1."""

_OTHERS: dict[bytes, Callable[[list[der.Element], bytes, bytes | None], PrivateKey]] = {
    **dh.PKCS8_ALGORITHMS,
    **ml_pkcs8.PKCS8_ALGORITHMS,
}
"""Algorithms with a module of their own: what proves a key of its parameters, its private and its public value."""

_PKCS8_VERSIONS = (b"\x00", b"\x01")
_ATTRIBUTES, _PUBLIC_KEY = 0xA0, 0x81
_SEC1_PARAMETERS, _SEC1_PUBLIC_KEY = 0xA0, 0xA1
_DSA_MEMBERS = 6
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


def parse_pkcs8(data: bytes) -> Parsed:
    """Prove an unencrypted PKCS#8 structure, of version 0 or (with the public key) 1."""
    version, algorithm, private, *others = der.members(data, least=3)
    tags = [other.tag for other in others]
    if (version.tag, version.content in _PKCS8_VERSIONS) != (der.INTEGER, True) or private.tag != der.OCTET_STRING:
        raise RefusedError("not PKCS#8")
    if tags not in ([], [_ATTRIBUTES], [_PUBLIC_KEY], [_ATTRIBUTES, _PUBLIC_KEY]):
        raise RefusedError("members that PKCS#8 does not have")
    public = _bits(others[-1].content) if _PUBLIC_KEY in tags else None
    identifier, *parameters = der.members(algorithm.encoded, least=1)
    if identifier.encoded in _RAW:
        value = der.one(private.content, der.OCTET_STRING).content
        return _parsed(key_proof.raw_key(_RAW[identifier.encoded], value, public), data, "pkcs8")
    if identifier.encoded in (_RSA, _RSAES_OAEP, _RSASSA_PSS):
        return _parsed(pkcs1.prove(private.content), data, "pkcs8")
    if identifier.encoded == _EC and len(parameters) == 1:
        curve = _curve(parameters[0].encoded, data)
        return _parsed(_sec1(private.content, curve, public), data, "pkcs8")
    if identifier.encoded == _DSA and len(parameters) == 1:
        p, q, g = _integers(der.members(parameters[0].encoded, least=3, most=3))
        x = der.integer(der.one(private.content, der.INTEGER), most=_MOST_NUMBER)
        y = None if public is None else der.integer(der.one(public, der.INTEGER), most=_MOST_NUMBER)
        return _parsed(key_proof.dsa_key(p=p, q=q, g=g, x=x, y=y), data, "pkcs8")
    if identifier.encoded in _OTHERS:
        return _parsed(_OTHERS[identifier.encoded](parameters, private.content, public), data, "pkcs8")
    raise RefusedError("an algorithm that is not known")


def parse_sec1(data: bytes) -> Parsed:
    """Prove an ECPrivateKey that stands by itself: it must name its curve, or hold a public key that does."""
    return _parsed(_sec1(data), data, "sec1")


def parse_any(data: bytes) -> Parsed:
    """Prove a private key of any of the kinds above."""
    for parse in (parse_pkcs8, parse_integers, parse_sec1):
        try:
            return parse(data)
        except RefusedError:
            continue
    raise RefusedError("no private key of a kind that is known")


def _parsed(key: PrivateKey, data: bytes, encoding: str) -> Parsed:
    return Parsed(read_from(key, data), encoding)


def _sec1(data: bytes, curve: ec.EllipticCurve | None = None, public: bytes | None = None) -> PrivateKey:
    """Prove an ECPrivateKey.

    Args:
        data: The structure.
        curve: Its curve, where what holds it names that; parameters inside must name the same.
        public: The public point that what holds it stores; one inside must be as good.
    """
    version, private, *others = der.members(data, least=2)
    tags = [other.tag for other in others]
    if (version.tag, version.content, private.tag) != (der.INTEGER, b"\x01", der.OCTET_STRING):
        raise RefusedError("not SEC 1")
    if tags not in ([], [_SEC1_PARAMETERS], [_SEC1_PUBLIC_KEY], [_SEC1_PARAMETERS, _SEC1_PUBLIC_KEY]):
        raise RefusedError("members that SEC 1 does not have")
    points = [] if public is None else [public]
    if _SEC1_PUBLIC_KEY in tags:
        points.append(_bits(der.one(others[-1].content, der.BIT_STRING).content))
    if _SEC1_PARAMETERS in tags:
        named = _curve(others[0].content, data)
        if curve is not None and curve.name != named.name:
            raise RefusedError("two curves for one key")
        curve = named
    if len(private.content) > _MOST_NUMBER:
        raise RefusedError("a private value of no curve's size")
    if curve is None:
        return on_some_curve(private.content, points)
    return key_proof.ec_key(curve, int.from_bytes(private.content, "big"), *points)


def on_some_curve(value: bytes, points: list[bytes]) -> PrivateKey:
    """Prove a private value that no curve was stored with: the public point tells, where there is one.

    Args:
        value: The private value, as long as the curve's field.
        points: The public point, wherever it was stored, as for `proof.ec_key`.
    """
    for curve in _CURVES.values() if points else ():
        if len(value) == (curve.key_size + 7) // 8:
            try:
                return key_proof.ec_key(curve, int.from_bytes(value, "big"), *points)
            except RefusedError:
                continue
    raise RefusedError("no curve that the key fits")


def _curve(parameters: bytes, key: bytes) -> ec.EllipticCurve:
    """Return the curve of ECParameters; explicit ones are left to the library, which knows the curves by them.

    Args:
        parameters: The ECParameters.
        key: The whole structure that holds them, for the library.
    """
    if parameters in _CURVES:
        return _CURVES[parameters]
    if not parameters or parameters[0] != der.SEQUENCE:
        raise RefusedError("a curve that is not known")
    try:
        loaded = load_der_private_key(key, None)
    except key_proof.LIBRARY_ERRORS:
        raise RefusedError("the library does not know the curve") from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise RefusedError("not on a curve")
    return loaded.curve


def _integers(members: list[der.Element]) -> list[int]:
    return [der.integer(member, most=_MOST_NUMBER) for member in members]


def _bits(content: bytes) -> bytes:
    """Return the bytes of a BIT STRING that has no unused bits."""
    if content[:1] != b"\0":
        raise RefusedError("a BIT STRING with unused bits")
    return content[1:]


_extract = partial(der.extract, most=MOST_BYTES)
_VERSION_0_OR_1, _VERSION_1 = "02 01 00|01", "02 01 01"
_LONG, _MIDDLE, _SHORT = "30 82 .. ..", "30 81 ..", "30 20-7f"
"""A SEQUENCE of 256 bytes and more, of 128 to 255, of fewer."""
_CURVE_SIZES = "04 18|1c|20|28|30|40|42"
"""An OCTET STRING as long as the order of one of the curves known."""

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
    "ec-explicit-middle": f"{_LONG} {_VERSION_0_OR_1} 30 81 .. 06 07 2a 86 48 ce 3d 02 01",
    "ec-explicit-long": f"{_LONG} {_VERSION_0_OR_1} 30 82 .. .. 06 07 2a 86 48 ce 3d 02 01",
    "raw-short": f"{_SHORT} {_VERSION_0_OR_1} 30 05 06 03 2b 65 6e-71 04",
    "raw-middle": f"{_MIDDLE} {_VERSION_0_OR_1} 30 05 06 03 2b 65 6e-71 04",
    "raw-long": f"{_LONG} {_VERSION_0_OR_1} 30 05 06 03 2b 65 6e-71 04",
    "dsa": f"{_LONG} {_VERSION_0_OR_1} 30 82 .. .. 06 07 2a 86 48 ce 38 04 01",
}
_SEC1 = {
    "short": f"{_SHORT} {_VERSION_1} {_CURVE_SIZES}",
    "middle": f"{_MIDDLE} {_VERSION_1} {_CURVE_SIZES}",
    "long": f"{_LONG} {_VERSION_1} {_CURVE_SIZES}",
}


def _detectors(kind: str, patterns: dict[str, str], decoder: BytesDecoder) -> tuple[Detector, ...]:
    return tuple((opening(f"{kind}-{name}", pattern), decoder) for name, pattern in patterns.items())


DETECTORS: tuple[Detector, ...] = (
    *_detectors("integers", _INTEGERS, BytesDecoder(_extract, parse_integers, parse_integers_head)),
    *_detectors("pkcs8", _PKCS8 | dh.PKCS8_OPENINGS | ml_pkcs8.PKCS8_OPENINGS, BytesDecoder(_extract, parse_pkcs8)),
    *_detectors("sec1", _SEC1, BytesDecoder(_extract, parse_sec1)),
    *pkcs1.DETECTORS,
)
