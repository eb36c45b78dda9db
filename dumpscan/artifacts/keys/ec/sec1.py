"""Private keys on elliptic curves in DER (SEC 1, C.4; RFC 5915), whole or cut short, and the curve that they are on.

    ECPrivateKey ::= SEQUENCE {
        version INTEGER (1), privateKey OCTET STRING,
        parameters [0] EXPLICIT ECParameters OPTIONAL, publicKey [1] EXPLICIT BIT STRING OPTIONAL }

Within PKCS#8 the curve is named outside. OpenJDK keeps the structure with neither a curve nor a public key. The private
value should be as long as the order of the curve; some programs strip its leading zeros, and some write a sign byte.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import CutShortError, Parsed, RefusedError
from dumpscan.artifacts.keys import encode
from dumpscan.artifacts.keys.ec.binary import BinaryCurve
from dumpscan.artifacts.keys.ec.named import all_curves, curve_of_oid
from dumpscan.artifacts.keys.ec.proof import PROOF, candidates, ec_key, key_on_some_curve, sound_curve
from dumpscan.artifacts.keys.ec.weierstrass import Weierstrass
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.randomness import MIN_SIZE, looks_random

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.artifacts.keys.ec.named import NamedCurve
    from dumpscan.artifacts.keys.randomness import Plausible
    from dumpscan.findings import PrivateKey

WHAT = "EC private key"
MAX_PRIVATE_VALUE = 73
"""Bytes of the longest private value, that of 571 bits, with a sign byte."""
_MAX_FIELD_BYTES = 128
_PARAMETERS, _PUBLIC_KEY = 0xA0, 0xA1
_VERSION = b"\x01"
_MIN_POINT_SEEN = 8
"""Bytes of the x coordinate that must be there for a public point that is cut short to prove anything."""


def prove(
    structure: bytes,
    curve: NamedCurve | None = None,
    public: bytes | None = None,
    *,
    plausible: Plausible = looks_random,
) -> list[PrivateKey]:
    """Prove the key in an ECPrivateKey, the end of which may be missing.

    Args:
        structure: The bytes of it that are there.
        curve: Its curve, where what holds it names that; parameters inside must name the same.
        public: The public point that what holds it stores; one inside must be as good.
        plausible: As for `ec_key`; candidates must look random in any case.

    Returns:
        The key; or the candidates for it, if neither a curve nor a public point is there.

    Raises:
        CutShortError: It is such a structure, and too little is left of it.
        RefusedError: It is not an EC key.
    """
    head = der.header(structure)
    if head.tag != der.SEQUENCE:
        raise RefusedError("not a SEQUENCE")
    content = structure[head.size : head.total]
    if len(structure) < head.total:
        return _cut(content, head.content, curve, plausible)
    version, private, *others = der.members(structure[: head.total], least=2)
    tags = [other.tag for other in others]
    if tags not in ([], [_PARAMETERS], [_PUBLIC_KEY], [_PARAMETERS, _PUBLIC_KEY]):
        raise RefusedError("members that SEC 1 does not have")
    _check(version, private)
    points = [] if public is None else [public]
    if _PUBLIC_KEY in tags:
        points.append(bits(der.one(others[-1].content, der.BIT_STRING).content))
    if _PARAMETERS in tags:
        curve = _same(curve, curve_of(others[0].content))
    return _proven(private.content, curve, points, plausible)


def parsed(keys: Sequence[PrivateKey], data: bytes, encoding: str) -> Parsed:
    """Return one key, or several candidates for one, as read from `data`."""
    first, *others = (Parsed(read_from(key, data), encoding) for key in keys)
    return replace(first, others=tuple(others))


def curve_of(parameters: bytes) -> NamedCurve:
    """Return the curve of ECParameters: named, or written out.

    Raises:
        RefusedError: It is a name that is not known, or no curve.
    """
    curve = curve_of_oid(parameters) if parameters[:1] != b"\x30" else _explicit(parameters)
    if curve is None:
        raise RefusedError("a curve that is not known")
    return curve


def bits(content: bytes) -> bytes:
    """Return the bytes of a BIT STRING that has no unused bits."""
    if content[:1] != b"\0":
        raise RefusedError("a BIT STRING with unused bits")
    return content[1:]


def _check(version: der.Element, private: der.Element) -> None:
    if (version.tag, version.content, private.tag) != (der.INTEGER, _VERSION, der.OCTET_STRING):
        raise RefusedError("not SEC 1")
    if not 0 < len(private.content) <= MAX_PRIVATE_VALUE:
        raise RefusedError("a private value of no curve's size")


def _same(outer: NamedCurve | None, inner: NamedCurve) -> NamedCurve:
    if outer is not None and outer.curve != inner.curve:
        raise RefusedError("two curves for one key")
    return outer or inner


def _proven(value: bytes, curve: NamedCurve | None, points: Sequence[bytes], plausible: Plausible) -> list[PrivateKey]:
    number = int.from_bytes(value, "big")
    if curve is not None:
        return [ec_key(curve, number, *points, plausible=plausible)]
    if any(any(point[1:]) for point in points):
        return [key_on_some_curve(number, points)]
    return candidates(value)


def _cut(content: bytes, length: int, curve: NamedCurve | None, plausible: Plausible) -> list[PrivateKey]:
    """Prove a key whose end is missing, of which the private value at least must be there.

    Args:
        content: As much of the structure's content as is there.
        length: What the header says of the content's length.
        curve: Its curve, where that is known.
        plausible: As for `prove`.
    """
    members = der.elements(content, cut=True)
    if len(members) < 2:  # noqa: PLR2004 - version and private value
        if _is_certain(content, length):
            raise CutShortError(WHAT)
        raise RefusedError("no private value")
    _check(*members[:2])
    value = members[1].content
    if len(members) > 2 and members[2].tag == _PARAMETERS:  # noqa: PLR2004
        curve = _same(curve, curve_of(members[2].content))
    keys = _proven(value, curve, [], plausible)
    if curve is None:
        return keys
    rest = content[sum(len(member.encoded) for member in members) :]
    return [_with_part_of_point(keys[0], rest)]


def _with_part_of_point(key: PrivateKey, rest: bytes) -> PrivateKey:
    """Prove a key by as much of its public point as is there.

    Args:
        key: The key.
        rest: What is there behind the last member that is whole: the beginning of the public key.

    Raises:
        RefusedError: The point is another.
    """
    seen = rest.partition(b"\x00\x04")[2] if rest[:1] == b"\xa1" else b""
    if len(seen) < _MIN_POINT_SEEN:
        return key
    whole = der.one(der.members(key.pkcs8)[2].content, der.SEQUENCE).content
    public = bits(der.one(der.elements(whole)[-1].content, der.BIT_STRING).content)
    if not public[1:].startswith(seen):
        raise RefusedError("the public point is not that of the private value")
    return replace(key, proof=(PROOF,))


def _is_certain(content: bytes, length: int) -> bool:
    """Return whether bytes are certainly the beginning of an ECPrivateKey, whose private value is cut short."""
    if content[:4] != b"\x02\x01\x01\x04" or len(content) < 5 + MIN_SIZE:
        return False
    size, value = content[4], content[5:]
    return MIN_SIZE <= size <= MAX_PRIVATE_VALUE and size < length and looks_random(value[:size])


def _explicit(parameters: bytes) -> NamedCurve:
    """Return the curve that ECParameters with explicit values are, whatever seed they give: a named one if it is that.

    Raises:
        RefusedError: They are no curve: its generator has not the order stated, say.
    """
    version, field, curve, base, order, *rest = der.members(parameters, least=5, most=7)
    if version.content not in (b"\x01", b"\x02", b"\x03") or field.tag != der.SEQUENCE or base.tag != der.OCTET_STRING:
        raise RefusedError("no parameters of a curve")
    a, b = (_coefficient(member) for member in der.members(curve.encoded, least=2, most=3)[:2])
    kind, polynomial = _field(field.encoded)
    wanted = kind, polynomial, a, b, der.integer(order, most=_MAX_FIELD_BYTES)
    for named in all_curves():
        known = named.curve
        known_polynomial = known.polynomial if isinstance(known, BinaryCurve) else known.p
        if (type(known), known_polynomial, known.a, known.b, known.order) == wanted:
            if base.content not in named.encodings(known.generator):
                raise RefusedError("another generator than that of the curve")
            return named
    cofactor = der.integer(rest[0], most=_MAX_FIELD_BYTES) if rest and rest[0].tag == der.INTEGER else 1
    return sound_curve(kind(polynomial, a, b, _point(base.content), wanted[-1], cofactor))


def _point(encoded: bytes) -> tuple[int, int]:
    size, odd = divmod(len(encoded) - 1, 2)
    if encoded[:1] != b"\x04" or odd or not 0 < size <= _MAX_FIELD_BYTES:
        raise RefusedError("a generator that is not written uncompressed")
    return int.from_bytes(encoded[1 : 1 + size], "big"), int.from_bytes(encoded[1 + size :], "big")


def _coefficient(member: der.Element) -> int:
    if member.tag != der.OCTET_STRING or len(member.content) > _MAX_FIELD_BYTES:
        raise RefusedError("no coefficient of a curve")
    return int.from_bytes(member.content, "big")


def _field(data: bytes) -> tuple[type[Weierstrass | BinaryCurve], int]:
    """Return the kind of curves over a FieldID, and its prime, or its polynomial with a bit for each coefficient."""
    kind, parameters = der.members(data, least=2, most=2)
    if kind.encoded == encode.PRIME_FIELD:
        return Weierstrass, der.integer(parameters, most=_MAX_FIELD_BYTES)
    if kind.encoded != encode.BINARY_FIELD:
        raise RefusedError("no field that curves are over")
    degree, basis, terms = der.members(parameters.encoded, least=3, most=3)
    if basis.encoded == encode.TRINOMIAL:
        middle = [terms]
    elif basis.encoded == encode.PENTANOMIAL:
        middle = der.members(terms.encoded, least=3, most=3)
    else:
        raise RefusedError("no basis that is known")
    polynomial = 1
    for term in (degree, *middle):
        exponent = der.integer(term, most=2)
        if exponent > 8 * _MAX_FIELD_BYTES:
            raise RefusedError("no field that curves are over")
        polynomial |= 1 << exponent
    return BinaryCurve, polynomial
