"""Keys written as numbers with names: JSON Web Keys, and the XML of .NET.

Sources: RFC 7517 (JWK), RFC 7518, 6.2 and 6.3 (EC and RSA), RFC 8037, 2 (OKP); .NET's `RSA.ToXmlString` and
`DSA.ToXmlString`, whose elements are those of XML Signature (RFC 3275, 4.4.2) and one for each private number.

The numbers are put into the DER structures that hold the same ones, and whether they are a key is decided there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dumpscan.artifacts import der, effort
from dumpscan.artifacts.carrier import Bytes, Span
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.raw import ED448, ED25519, X448, X25519
from dumpscan.artifacts.text.characters import Characters, TextCarrier
from dumpscan.artifacts.text.openings import text_opening
from dumpscan.artifacts.text.rewriting import CleanText, without_cut_escape
from dumpscan.artifacts.text.runs import BASE64
from dumpscan.findings import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import Detector
    from dumpscan.artifacts.text.characters import Coding
    from dumpscan.memory.space import Memory

_WINDOWS = (1 << 10, 4 << 10, 16 << 10)
"""Characters read at first in each direction, and when those did not reach to the end. A JWK of a key of 16384 bits
takes 13 KiB without certificates."""
_NUMBER = rb"[A-Za-z0-9+/=_-]{1,4096}"

_QUOTED = "\"'247;"
"""What the name of a member follows: a quotation mark, as it is or escaped (`%22`, `\\u0022`, `&#34`, `&quot;`)."""
_DOTNET_RSA = (b"Modulus", b"Exponent", b"D", b"P", b"Q", b"DP", b"DQ", b"InverseQ")
"""Members of .NET's `RSAParameters`, in the order of PKCS#1."""
_BRACE = re.compile(
    rb"(?P<open>\{|%(?:25){0,8}7[bB]|\\{1,16}u007[bB]|&#123;)|\}|%(?:25){0,8}7[dD]|\\{1,16}u007[dD]|&#125;"
)
_JWK_PART = re.compile(
    rb"""[{}]|:[\s+]*"[^"{}]{1,256}[{}][^"]{0,256}"(?=\s*[,}])|(?:(?P<quote>["'])|(?<=[{,\s]))"""
    rb"""(?P<name>kty|crv|n|e|d|p|q|dp|dq|qi|x|y|r|t|%b)(?(quote)(?P=quote))[\s+]*:[\s+]*["'](?P<value>%b)["']"""
    % (b"|".join(_DOTNET_RSA), _NUMBER)
)
"""A brace, a string with one in it, or a member of an object; in JavaScript its name needs no quotation marks, and in a
URL a `+` may be a blank."""
_CURVES = {
    b"P-256": bytes.fromhex("06082a8648ce3d030107"),
    b"P-384": bytes.fromhex("06052b81040022"),
    b"P-521": bytes.fromhex("06052b81040023"),
    b"secp256k1": bytes.fromhex("06052b8104000a"),
}
"""Object identifiers of RFC 7518's curves (SEC 2, A.2), and of RFC 8812's."""
_OKP = {algorithm.name.encode(): algorithm.identifier for algorithm in (X25519, X448, ED25519, ED448)}
"""RFC 8037, 2."""
_SEC1_PARAMETERS, _SEC1_PUBLIC_KEY, _PKCS8_PUBLIC_KEY = 0xA0, 0xA1, 0x81

_MICROSECONDS = 150
"""To see what is around a name."""
_PER_PART, _PER_CHARACTER = 1.5, 0.04
"""Microseconds to take a brace or a member of an object, and to look for them, for each character."""

_XML_BEGIN = re.compile(rb"(?:<|&(?:amp;){0,4}lt;|\\{1,16}u003[cC]|%(?:25){0,8}3[cC])(?:[A-Za-z]{1,8}:)?\Z")
_LONGEST_XML_BEGIN = 32
_XML = re.compile(
    rb"<(?P<name>(?:[A-Za-z]{1,8}:)?(?:(?:RSA|DSA)KeyValue|RSAParameters))\b[^<>]{0,128}>(?P<inside>.*?)</(?P=name)\s*>",
    re.DOTALL,
)
_XML_NUMBER = re.compile(rb"<(?:[A-Za-z]{1,8}:)?([A-Z][A-Za-z]{0,7})>\s*([A-Za-z0-9+/=\s]{1,4096})</")

Numbers = dict[bytes, bytes]
"""Base64 of numbers, and other members, by name."""


class NumbersText:
    """A key as named numbers (see `Unwrapped`).

    Args:
        content: The DER structure of the same numbers.
        characters: The text.
        clean: The same, cleared.
        end: Where in the clear text it ends.
        name: Of the notation.
    """

    finding = None
    opening = 0
    is_covered = False
    is_bundle = False

    def __init__(self, content: bytes, characters: Characters, clean: CleanText, end: int, name: str) -> None:
        self.content = Bytes(content)
        self._characters = characters
        self._clean = clean
        self._end = end
        self._name = name

    def accepts(self, decoded: Decoded) -> bool:
        """Whether an object is the key of all the numbers."""
        return decoded.length == len(self.content.data) and isinstance(decoded.finding, PrivateKey)

    def span(self, begin: int, end: int) -> Span:  # noqa: ARG002 - the numbers are the key together
        """Return where the text lies, whatever part is asked for."""
        address, length = self._characters.place(0, self._clean.end(self._end))
        encoding = "+".join((*self._clean.notations(self._end), self._name))
        return Span(address, length, encoding + self._characters.coding.suffix)


def _windows(characters: Characters) -> Iterator[CleanText]:
    """Yield more and more of a text."""
    for size in _WINDOWS:
        text = characters.take(size)
        yield CleanText(without_cut_escape(text) if len(text) == size else text)
        if len(text) < size:
            return


def _read_jwk(memory: Memory, address: int, coding: Coding) -> NumbersText:
    """Read the JSON object that the member at `address` belongs to."""
    effort.charge(_MICROSECONDS)
    characters = Characters(memory, address - _back_to_brace(Characters(memory, address, coding)) * coding.size, coding)
    for clean in _windows(characters):
        found = _jwk_members(clean.data)
        if found is not None:
            members, others, end = found
            return NumbersText(_jwk_structure(members, others), characters, clean, end, "jwk")
    raise RefusedError("no end of the object")


def _back_to_brace(characters: Characters) -> int:
    """Return how many characters before a member of an object that begins."""
    for size in _WINDOWS:
        text = characters.before(size)
        depth = 0
        braces = list(_BRACE.finditer(text))
        effort.charge(_PER_PART * len(braces) + _PER_CHARACTER * len(text))
        for brace in reversed(braces):
            depth += 1 if brace["open"] else -1
            if depth > 0:
                return len(text) - brace.start()
        if len(text) < size:
            break
    raise RefusedError("no beginning of the object")


def _jwk_members(text: bytes) -> tuple[Numbers, list[Numbers], int] | None:
    """Return the members of the object that opens a text, those of objects within it, and where it ends.

    Raises:
        RefusedError: If a member occurs twice.
    """
    levels: list[Numbers] = []
    others: list[Numbers] = []
    effort.charge(_PER_CHARACTER * len(text))
    for part in _JWK_PART.finditer(text):
        effort.charge(_PER_PART)
        if part[0] == b"{":
            levels.append({})
        elif part[0] == b"}":
            members = levels.pop()
            if not levels:
                return members, others, part.end()
            others.append(members)
        elif part["name"] is None:
            continue
        elif levels[-1].setdefault(part["name"], part["value"]) != part["value"]:
            raise RefusedError("two values of one member")
    return None


def _jwk_structure(members: Numbers, others: list[Numbers]) -> bytes:
    """Return PKCS#1, SEC 1 or PKCS#8 of a JWK's members."""
    kind = members.get(b"kty")
    if b"InverseQ" in members:
        return _rsa(members, _DOTNET_RSA)
    if b"d" not in members:
        raise RefusedError("no private key")
    if kind == b"RSA":
        structure = _rsa(members, (b"n", b"e", b"d", b"p", b"q", b"dp", b"dq", b"qi"))
        infos = [der.encode(der.SEQUENCE, *_integers(other, (b"r", b"d", b"t"))) for other in others if b"r" in other]
        return _with_primes(structure, infos)
    curve, private = members.get(b"crv", b""), _bytes(members, b"d")
    if kind == b"EC" and curve in _CURVES:
        point = b"\4" + _bytes(members, b"x") + _bytes(members, b"y")
        parameters = der.encode(_SEC1_PARAMETERS, _CURVES[curve])
        public = der.encode(_SEC1_PUBLIC_KEY, der.encode(der.BIT_STRING, b"\0", point))
        return der.encode(
            der.SEQUENCE, der.encode(der.INTEGER, b"\1"), der.encode(der.OCTET_STRING, private), parameters, public
        )
    if kind == b"OKP" and curve in _OKP:
        public = der.encode(_PKCS8_PUBLIC_KEY, b"\0", _bytes(members, b"x")) if b"x" in members else b""
        return der.encode(
            der.SEQUENCE,
            der.encode(der.INTEGER, b"\1" if public else b"\0"),
            der.encode(der.SEQUENCE, _OKP[curve]),
            der.encode(der.OCTET_STRING, der.encode(der.OCTET_STRING, private)),
            public,
        )
    raise RefusedError("a kind of key that is not known")


def _read_xml(memory: Memory, address: int, coding: Coding) -> NumbersText:
    """Read the element whose name begins at `address`."""
    effort.charge(_MICROSECONDS)
    begin = _XML_BEGIN.search(Characters(memory, address, coding).before(_LONGEST_XML_BEGIN))
    if begin is None:
        raise RefusedError("not where an element begins")
    characters = Characters(memory, address - len(begin[0]) * coding.size, coding)
    for clean in _windows(characters):
        effort.charge(_PER_CHARACTER * len(clean.data))
        element = _XML.match(clean.data)
        if element is not None:
            numbers = dict(_XML_NUMBER.findall(element["inside"]))
            return NumbersText(_xml_structure(numbers), characters, clean, element.end(), "xml")
    raise RefusedError("no end of the element")


def _xml_structure(numbers: Numbers) -> bytes:
    """Return PKCS#1, or OpenSSL's structure for DSA, of the numbers of .NET's XML."""
    if b"Modulus" in numbers:
        return _rsa(numbers, _DOTNET_RSA)
    return der.encode(der.SEQUENCE, *_integers(numbers, (None, b"P", b"Q", b"G", b"Y", b"X")))


def _rsa(numbers: Numbers, names: tuple[bytes, ...]) -> bytes:
    """Return PKCS#1; numbers that are missing are zero, but for those that there must be."""
    if not numbers.keys() >= {*names[:3]}:
        raise RefusedError("no private key")
    return der.encode(der.SEQUENCE, *_integers(dict.fromkeys(names, b"AA") | numbers, (None, *names)))


def _with_primes(structure: bytes, infos: list[bytes]) -> bytes:
    """Add the infos of more primes than two to a PKCS#1 structure (RFC 8017, A.1.2)."""
    if not infos:
        return structure
    _, *numbers = der.members(structure)
    version = der.encode(der.INTEGER, b"\1")
    return der.encode(der.SEQUENCE, version, *(number.encoded for number in numbers), der.encode(der.SEQUENCE, *infos))


def _integers(numbers: Numbers, names: tuple[bytes | None, ...]) -> Iterator[bytes]:
    """Yield INTEGERs; one without a name is the version."""
    for name in names:
        yield der.encode(der.INTEGER, b"\0" + _bytes(numbers, name).lstrip(b"\0") if name else b"\0")


def _bytes(numbers: Numbers, name: bytes) -> bytes:
    if name not in numbers:
        raise RefusedError("a number is missing")
    return BASE64.decode(b"".join(numbers[name].split()).rstrip(b"="))


_OPENINGS: tuple[tuple[str, list[str], tuple[int, ...], Callable[[Memory, int, Coding], NumbersText]], ...] = (
    ("jwk", [_QUOTED, *"kty", "\"'\\%&"], (1, 2), _read_jwk),
    ("jwk-unquoted", [" {,\n\t", *"kty: ", "\"'"], (1,), _read_jwk),
    ("rsa-parameters", [_QUOTED, *"InverseQ", "\"'\\%&"], (1, 2), _read_jwk),
    ("xml-key", ["DR", *"SAKeyValue", ">&%\\ "], (1, 2), _read_xml),
    ("xml-parameters", [*"RSAParameters", ">&%\\ "], (1, 2), _read_xml),
)
DETECTORS: tuple[Detector, ...] = tuple(
    (text_opening(name, characters, size), TextCarrier(size, read))
    for name, characters, sizes, read in _OPENINGS
    for size in sizes
)
