"""Bytes written as digits without armour: base64 of DER or of text such as PEM, and the same in hexadecimal.

So lie keys and certificates in kubeconfig files and Kubernetes secrets (base64 of PEM), in SAML's `X509Certificate` and
the `x5c` of JWKs (base64 of DER), in environment variables, in the registry and in source code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.artifacts.carrier import MAX_CHARACTERS, Span
from dumpscan.artifacts.text.characters import Characters, TextCarrier
from dumpscan.artifacts.text.openings import ascii_pattern, base64_of, hex_of, text_opening
from dumpscan.artifacts.text.rewriting import MAX_PREFIX, CleanText, Surroundings, surroundings, without_cut_escape
from dumpscan.artifacts.text.runs import BASE64, HEX, Digits, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import Detector
    from dumpscan.artifacts.text.characters import Coding
    from dumpscan.memory.space import Memory

_WINDOWS = (256, 4 << 10, 64 << 10, MAX_CHARACTERS)
"""Characters read at first, and when those did not reach far enough."""
_MARGIN = 2 * MAX_PREFIX
"""Where digits end so close to the end of what was read, they may go on behind something that was cut by it."""
_CERTIFICATES = re.compile(
    rb"0(?:\x80|\x81.|\x82..|\x83...)\x06\x09(?:\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02|\x60\x86\x48\x01\x86\xf8\x42\x02\x05)",
    re.DOTALL,
)
"""ContentInfo of signed data (RFC 5652, 5.1), in which certificates are sent together, and Netscape's older one."""


_MICROSECONDS = 120
"""To see where the digits around a place begin."""
_MAX_HEAD = 24
"""Bytes of a ContentInfo up to the end of its type."""

_VERSION = "02 01 00|01|03 02|04|30"
"""Version of a private key or of a PKCS#12, and the tag of what follows it."""
_CERTIFICATE = "a0 03 02 01 02 02"
"""Version of a certificate, and the tag of its serial number."""
_IDENTIFIER = "06 09 2a 86 48 86 f7 0d 01 01|05|07|0c"
"""Identifier of RSA Security's: of an algorithm of a certificate or a password, or of CMS."""
_PEM = ascii_pattern("-----BEGIN")

_OPENPGP_RSA = "00 11 01 00 01 00|fd-ff"
"""The public exponent of an RSA key of OpenPGP, and how its secret part is protected."""
_OPENPGP_CURVES = {
    "p256": "12|13 08 2a 86 48 ce 3d 03 01 07",
    "secg": "12|13 05 2b 81 04 00 0a|22|23",
    "brainpool": "12|13 09 2b 24 03 03 02 08 01 01 07|0b|0d",
    "25519": "12|16 09|0a 2b 06 01 04 01 97|da",
}
"""OpenPGP's ECDH, ECDSA or EdDSA, then the identifier of a curve."""
_OPENPGP_HEAD = 16
"""Bytes of a packet up to its algorithm."""
_BEFORE_EXPONENT = _OPENPGP_HEAD + 2 + 2048
"""Bytes of a packet before the exponent: a modulus and its length, too."""
_IN_DER = 40
"""Bytes of DER that may precede such a version or identifier: headers, and a serial number."""
_DIGITS_OF = {
    "version": (_VERSION, _IN_DER, (1, 2, 4)),
    "certificate": (_CERTIFICATE, _IN_DER, (1, 2, 4)),
    "identifier": (_IDENTIFIER, _IN_DER, (1,)),
    "pem": (_PEM, MAX_PREFIX, (1,)),
    "pem-wide": (ascii_pattern("-----BEGIN", 2), 2 * MAX_PREFIX, (1,)),
    "base64-pem": (ascii_pattern("LS0tLS1CRUdJT"), MAX_PREFIX, (1,)),
    "base64-der": ("4d 49 49 41-7a", 2 * MAX_PREFIX, (1,)),
    "jwk": (ascii_pattern('"kty"'), 4 << 10, (1,)),
    "xml": (ascii_pattern("SAKeyValue>"), MAX_PREFIX, (1,)),
    "java": ("fe|ce ed|ce fe|ce ed|ce 00 00 00 01|02 00 00", 0, (1,)),
    "ssh.com": ("3f 6f f9 eb 00 00 00-40", 0, (1, 2)),
    "openpgp-rsa": (_OPENPGP_RSA, _BEFORE_EXPONENT, (1,)),
    **{f"openpgp-{name}": (pattern, _OPENPGP_HEAD, (1,)) for name, pattern in _OPENPGP_CURVES.items()},
    "putty": (ascii_pattern("PuTTY-User-Key"), MAX_PREFIX, (1,)),
}
"""What the digits stand for that are looked for: bytes, how many before them may belong to the object, and the sizes of
characters."""
_LONG, _SHORT = "30 81|82 .. ..", "30 20-7f 02 01 00|01 30|04"
"""What a structure of more than 127 bytes opens with, and a key in a shorter one."""
_APART = {
    "spaces": (" ", "", (1,)),
    "colons": (":", "", (1, 2)),
    "dashes": ("-", "", (1, 2)),
    "registry": (",", "", (1, 2)),
    "list": (",", "0x", (1, 2)),
    "spaced-list": (", ", "0x", (1,)),
    "literal": ("", "\\x", (1,)),
}
"""How bytes are written one by one: what stands between them, what before each, and the sizes of characters. Dashes are
what .NET's `BitConverter.ToString` writes. Its strings are UTF-16; so are PowerShell's, and exports of the registry."""


class DigitText:
    """Text of digits, as far as it was read, and the bytes that it stands for as memory (see `Unwrapped`).

    Args:
        characters: The text.
        digits: Their notation.
        around: What surrounds its lines; None where escapes are part of the digits' notation.
        skip: As for `Run`.
        opening: Where in the bytes an object should open.

    Raises:
        RefusedError: If there are no digits.
    """

    finding = None
    is_covered = True
    pointer_size = 8

    def __init__(
        self, characters: Characters, digits: Digits, around: Surroundings | None, *, skip: int = 0, opening: int = 0
    ) -> None:
        self.opening = opening
        self._characters = characters
        self._digits = digits
        self._around = around
        self._skip = skip
        self._windows = iter(_WINDOWS)
        self._complete = False
        self._grow()

    @property
    def content(self) -> DigitText:
        """The bytes are read here."""
        return self

    @property
    def is_bundle(self) -> bool:
        """Whether certificates are sent together here."""
        return _CERTIFICATES.match(self.read(self.opening, _MAX_HEAD)) is not None

    def read(self, address: int, size: int) -> bytes:
        """Return up to `size` bytes at `address`, fewer where the digits end."""
        while address + size > len(self._run.data) and not self._complete:
            self._grow()
        return self._run.data[max(address, 0) : max(address + size, 0)]

    def accepts(self, decoded: Decoded) -> bool:
        """Any object will do (see `Unwrapped`)."""
        return decoded.length > 0

    def span(self, begin: int, end: int) -> Span:
        """Return where the digits of the bytes from `begin` to `end` lie."""
        first, last = self._run.place(begin, end)
        address, length = self._characters.place(self._clean.origin(first), self._clean.end(last))
        encoding = (*self._clean.notations(last), self._digits.name)
        return Span(address, length, "+".join(encoding) + self._characters.coding.suffix)

    def _grow(self) -> None:
        count = next(self._windows)
        text = self._characters.take(count)
        self._complete = len(text) < count or count == MAX_CHARACTERS
        self._clean = CleanText(text if self._complete else without_cut_escape(text), self._around)
        self._run = Run(self._digits, self._clean.data, 0, self._skip)
        self._complete |= self._run.stop < len(self._clean.data) - _MARGIN


@dataclass(frozen=True, slots=True)
class DigitReader:
    """Reads text of digits, as a `TextCarrier` asks for it.

    Attributes:
        digits: Their notation.
        skip: As for `Run`, for the first digit that the signature matches.
        before: Bytes before those that the signature matches which may belong to the object.
    """

    digits: Digits
    skip: int = 0
    before: int = 0

    def __call__(self, memory: Memory, address: int, coding: Coding) -> DigitText:
        """Read the text at whose digits at `address` the signature matches."""
        effort.charge(_MICROSECONDS)
        characters = Characters(memory, address, coding)
        before = characters.before(self.digits.characters(self.before) + MAX_PREFIX)
        back, groups = self.digits.groups_before(before, self.skip, self.before)
        skip, opening = (0, groups * self.digits.size + self.skip) if back else (self.skip, 0)
        if back:
            characters = Characters(memory, address - back * coding.size, coding)
        around = None
        if not self.digits.has_escapes:
            around = surroundings(before[: len(before) - back][-MAX_PREFIX:], characters.take(_WINDOWS[0]))
        return DigitText(characters, self.digits, around, skip=skip, opening=opening)


def _wide(reader: DigitReader, name: str, characters: list[str], sizes: tuple[int, ...] = (1,)) -> Iterator[Detector]:
    for size in sizes:
        yield text_opening(f"{reader.digits.name}-{name}", characters, size), TextCarrier(size, reader)


def _detectors() -> Iterator[Detector]:
    for name, (pattern, before, sizes) in _DIGITS_OF.items():
        for skip in range(3):
            reader = DigitReader(BASE64, skip=skip, before=before)
            yield from _wide(reader, f"{name}-{skip}", base64_of(pattern, skip), sizes)
    yield from _wide(DigitReader(BASE64), "pem-0", base64_of(_PEM, 0), (2,))
    for name in ("version", "certificate", "pem"):
        pattern, before, _ = _DIGITS_OF[name]
        yield from _wide(DigitReader(HEX, before=before), name, hex_of(pattern))
    for name, pattern in (("der", "30 82 .. .. 30|02|06"), ("der-middle", "30 81 .. 30|02"), ("der-short", _SHORT)):
        yield from _wide(DigitReader(HEX), name, hex_of(pattern), (2, 4))
    for name, (separator, prefix, sizes) in _APART.items():
        yield from _wide(DigitReader(HEX), name, hex_of(_LONG, separator, prefix), sizes)
        yield from _wide(DigitReader(HEX), f"{name}-short", hex_of(_SHORT, separator, prefix), sizes)


DETECTORS: tuple[Detector, ...] = tuple(_detectors())
