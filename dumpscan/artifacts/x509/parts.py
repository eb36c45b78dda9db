"""The structure of an X.509 certificate (RFC 5280, 4.1): its parts, in bytes, if it is exactly one.

This alone decides whether bytes are a certificate. It is exact about the structure and lenient about what stands in it:
a certificate that a strict parser refuses for its serial number is a certificate all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

_VERSION, _EXTENSIONS = 0xA0, 0xA3
_UNIQUE_IDS = (0x81, 0x82)
_MOST_SERIAL = 64
"""Bytes of the longest serial number accepted; RFC 5280 allows 20."""
_MOST_TIME = 32
_MOST_UNUSED_BITS = 7
_LEAST, _LEAST_OF_HEAD, _LEAST_OF_ODD_HEAD = 6, 2, 4
"""Parts, without the version, that there must be."""
_VERSIONS = range(1, 4)
"""Those that X.509 has. Others occur in certificates made by mistake, and to test parsers."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A certificate's parts, each as it is encoded. The last ones are None where the bytes end before them.

    Attributes:
        version: 1, 2 or 3; in odd ones any number.
        serial_number: Its value; negative in some real ones.
        algorithm: AlgorithmIdentifier of the signature, as the signed part repeats it.
        issuer: Name.
        validity: SEQUENCE of two times.
        subject: Name.
        public_key: SubjectPublicKeyInfo.
        extensions: With their [3], where there are any.
    """

    version: int
    serial_number: int
    algorithm: bytes
    issuer: bytes | None = None
    validity: bytes | None = None
    subject: bytes | None = None
    public_key: bytes | None = None
    extensions: bytes | None = None


def take_apart(data: bytes) -> Parts:
    """Return the parts of the certificate that fills `data`.

    Raises:
        RefusedError: If it is not exactly one certificate.
    """
    signed, algorithm, signature = der.members(data, least=3, most=3)
    if signed.tag != der.SEQUENCE:
        raise RefusedError("no TBSCertificate")
    _check_algorithm(algorithm)
    _check_bits(signature)
    return _signed_parts(der.elements(signed.content), cut=False)


def take_apart_head(data: bytes) -> Parts:
    """Return the parts of a certificate of which `data` is the beginning; it must reach to the end of the algorithm.

    Without a version it must reach to the end of the validity: a revocation list, version 2, begins in the same way.
    The same is asked for where the version is one that X.509 does not have.

    Raises:
        RefusedError: If it does not, or is no certificate's beginning.
    """
    outer = der.header(data)
    signed = der.header(data, outer.size)
    if (outer.tag, signed.tag) != (der.SEQUENCE, der.SEQUENCE) or signed.total >= outer.content:
        raise RefusedError("no certificate")
    begin = outer.size + signed.size
    content = data[begin : begin + signed.content]
    return _signed_parts(der.elements(content, cut=True), cut=len(content) < signed.content)


def has_its_parts(data: bytes) -> bool:
    """Whether `data` is filled by what a certificate consists of: something signed, an algorithm, a signature."""
    try:
        signed, algorithm, signature = der.members(data, least=3, most=3)
        _check_algorithm(algorithm)
        _check_bits(signature)
        der.elements(signed.content)
    except RefusedError:
        return False
    return True


def _signed_parts(found: list[der.Element], *, cut: bool) -> Parts:
    version, least = 1, _LEAST_OF_ODD_HEAD
    if found and found[0].tag == _VERSION:
        version = _version(found.pop(0))
        least = _LEAST_OF_HEAD if version in _VERSIONS else _LEAST_OF_ODD_HEAD
    if len(found) < (least if cut else _LEAST):
        raise RefusedError("too few parts")
    serial, algorithm, *others = found
    if serial.tag != der.INTEGER or not 1 <= len(serial.content) <= _MOST_SERIAL:
        raise RefusedError("no serial number")
    _check_algorithm(algorithm)
    encoded: dict[str, bytes] = {}
    for (name, check), part in zip(_NAMED, others, strict=False):
        check(part)
        encoded[name] = part.encoded
    return Parts(
        version=version,
        serial_number=int.from_bytes(serial.content, "big", signed=True),
        algorithm=algorithm.encoded,
        extensions=_extensions(others[len(_NAMED) :]),
        **encoded,
    )


def _version(element: der.Element) -> int:
    number = der.one(element.content, der.INTEGER).content
    if len(number) != 1:
        raise RefusedError("no version")
    return int.from_bytes(number, "big", signed=True) + 1


def _extensions(others: list[der.Element]) -> bytes | None:
    """Return the extensions among what follows the public key: unique ids [1] and [2], extensions [3]."""
    tags = [other.tag for other in others]
    if tags != sorted(set(tags)) or not {*tags} <= {*_UNIQUE_IDS, _EXTENSIONS}:
        raise RefusedError("parts that a certificate does not have")
    if _EXTENSIONS not in tags:
        return None
    if any(extension.tag != der.SEQUENCE for extension in der.members(others[-1].content)):
        raise RefusedError("no extensions")
    return others[-1].encoded


def _check_algorithm(element: der.Element) -> None:
    if der.members(element.encoded, least=1, most=2)[0].tag != der.OBJECT_IDENTIFIER:
        raise RefusedError("no AlgorithmIdentifier")


def _check_bits(element: der.Element) -> None:
    if element.tag != der.BIT_STRING or not element.content or element.content[0] > _MOST_UNUSED_BITS:
        raise RefusedError("no BIT STRING")


def _check_name(element: der.Element) -> None:
    if any(part.tag != der.SET for part in der.members(element.encoded)):
        raise RefusedError("no Name")


def _check_validity(element: der.Element) -> None:
    for time in der.members(element.encoded, least=2, most=2):
        if time.tag not in (der.UTC_TIME, der.GENERALIZED_TIME) or not 1 <= len(time.content) <= _MOST_TIME:
            raise RefusedError("no time")


def _check_public_key(element: der.Element) -> None:
    algorithm, bits = der.members(element.encoded, least=2, most=2)
    _check_algorithm(algorithm)
    _check_bits(bits)


_NAMED: tuple[tuple[str, Callable[[der.Element], None]], ...] = (
    ("issuer", _check_name),
    ("validity", _check_validity),
    ("subject", _check_name),
    ("public_key", _check_public_key),
)
"""What follows the algorithm in every certificate, by the names in `Parts`."""
