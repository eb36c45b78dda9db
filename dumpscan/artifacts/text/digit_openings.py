"""What is looked for in bytes that are written as text, in each of the notations that `digit_text` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts.text.characters import TextCarrier
from dumpscan.artifacts.text.digit_text import DigitReader
from dumpscan.artifacts.text.openings import ascii_pattern, base64_of, hex_of, text_opening
from dumpscan.artifacts.text.rewriting import MAX_PREFIX
from dumpscan.artifacts.text.runs import BASE64, HEX
from dumpscan.artifacts.text.units import NUMBERS, QUOTED_PRINTABLE, STRING, UNICODE_STRING, URL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.detector import Detector
    from dumpscan.artifacts.text.units import Units

Sizes = tuple[int, ...]
"""Bytes of a character."""
_NARROW, _WIDE, _ALL = (1,), (1, 2), (1, 2, 4)


class _Content(NamedTuple):
    """Bytes that are looked for.

    Attributes:
        pattern: As for `opening`.
        before: Bytes before them that may belong to the object.
        in_base64, in_hex: Sizes of the characters in which they are looked for.
    """

    pattern: str
    before: int
    in_base64: Sizes
    in_hex: Sizes = ()


_IN_DER = 40
"""Bytes of DER that may precede a version or an identifier: headers, and a serial number."""
_OPENPGP_HEAD = 16
"""Bytes of a packet up to its algorithm."""
_BEFORE_EXPONENT = _OPENPGP_HEAD + 2 + 2048
"""Bytes of a packet before the exponent: a modulus and its length, too."""
_BEFORE_SIGNATURE = 2048
"""Bytes of a packet of DSA with 3072 bits, of a user id, and of the header of the signature behind them."""
_OPENPGP_CURVES = {
    "p256": "12|13 08 2a 86 48 ce 3d 03 01 07",
    "secg": "12|13 05 2b 81 04 00 0a|22|23",
    "brainpool": "12|13 09 2b 24 03 03 02 08 01 01 07|0b|0d",
    "25519": "12|16 09|0a 2b 06 01 04 01 97|da",
}
"""OpenPGP's ECDH, ECDSA or EdDSA, then the identifier of a curve."""

_CONTENTS = {
    # Version of a private key or of a PKCS#12, and the tag of what follows it
    "version": _Content("02 01 00|01|03 02|04|30", _IN_DER, _ALL, _NARROW),
    # Version of a certificate, and the tag of its serial number
    "certificate": _Content("a0 03 02 01 02 02", _IN_DER, _ALL, _NARROW),
    # Identifier of RSA Security's: of an algorithm of a certificate or a password, or of CMS
    "identifier": _Content("06 09|0a 2a 86 48 86 f7 0d 01 01|05|07|0c", _IN_DER, _WIDE, _NARROW),
    "pem": _Content(ascii_pattern("-----BEGIN"), MAX_PREFIX, _WIDE, _WIDE),
    "pem-wide": _Content(ascii_pattern("-----BEGIN", 2), 2 * MAX_PREFIX, _WIDE, _NARROW),
    "base64-pem": _Content(ascii_pattern("LS0tLS1CRUdJT"), MAX_PREFIX, _WIDE, _NARROW),
    "base64-pem-1": _Content(ascii_pattern("tLS0tLUJFR0lO"), MAX_PREFIX, _NARROW, _NARROW),
    "base64-pem-2": _Content(ascii_pattern("0tLS0tQkVHSU4"), MAX_PREFIX, _NARROW, _NARROW),
    "base64-der": _Content("4d 49 49 41-7a", 2 * MAX_PREFIX, _NARROW, _NARROW),
    # `MII` and a version in base64: `CAQAw` in keys of fewer than 128 bytes, `AgEAM` in longer ones
    "base64-short": _Content("43 41 51 41|45 43|45|77", _IN_DER, _NARROW, _NARROW),
    "base64-middle": _Content("41 67 45 41|42 42|44|4d", _IN_DER, _NARROW, _NARROW),
    "hex-version": _Content(ascii_pattern("02010") + " 30|31 30|33", _IN_DER, _NARROW, _NARROW),
    "hex-certificate": _Content(ascii_pattern("0302010202"), _IN_DER, _NARROW, _NARROW),
    "jwk": _Content(ascii_pattern('"kty"'), 4 << 10, _WIDE, _NARROW),
    "xml": _Content(ascii_pattern("SAKeyValue>"), MAX_PREFIX, _WIDE, _NARROW),
    "putty": _Content(ascii_pattern("PuTTY-User-Key"), MAX_PREFIX, _WIDE, _NARROW),
    "jks": _Content("fe ed fe ed 00 00 00 01|02", 0, _WIDE, _NARROW),
    "jceks": _Content("ce ce ce ce 00 00 00 01|02", 0, _WIDE, _NARROW),
    "bouncycastle": _Content("00 00 00 01|02 00 00 00 14", 0, _NARROW),
    "pvk": _Content("1e f1 b5 b0 00 00 00 00", 0, _NARROW),
    "ssh.com": _Content("3f 6f f9 eb 00 00 00-40", 0, _WIDE),
    "openssh": _Content(ascii_pattern("openssh-key-v1"), 0, _WIDE, _WIDE),
    "capi": _Content("07 02|03 00 00 00 22|24|a4 00 00 44|52 53", 0, _WIDE, _NARROW),
    "cng-rsa": _Content("52 53 41 32|33 00 02-40 00 00 01|03|04 00", 0, _NARROW, _NARROW),
    "cng-ec": _Content("45 43 4b|53 32|34|36 20|30|42 00 00 00", 0, _NARROW, _NARROW),
    # The public exponent of an RSA key, and how its secret part is protected
    "openpgp-rsa": _Content("00 11 01 00 01 00|fd-ff", _BEFORE_EXPONENT, _NARROW, _NARROW),
    # The signature behind a DSA key: version, type, algorithm, hash, a size
    "openpgp-dsa": _Content("04 13|18 11 02|08|0a 00", _BEFORE_SIGNATURE, _NARROW, _NARROW),
    **{
        f"openpgp-{name}": _Content(pattern, _OPENPGP_HEAD, _NARROW, _NARROW)
        for name, pattern in _OPENPGP_CURVES.items()
    },
}

_LONG, _SHORT, _SHORT_HEAD = "30 81|82 .. ..", "30 20-7f 02 01 00|01 30|04", "30 20-7f 02 01"
"""What a structure of more than 127 bytes opens with, and a key in a shorter one."""
_FEW = 3
"""Characters with each byte that leave room for a longer opening in a signature."""
_DASHES, _WIDE_DASHES = "2d 42 45 47 49", "42 00 45 00 47 00 49 00"
"""The first line of PEM text, from its last dash on, and from its first letter on in a string of the registry."""
_CAPI = "07 02 00 00 00 24|a4"
"""What an RSA key of CAPI opens with."""
_APART = {
    "spaces": (" ", "", _WIDE),
    "colons": (":", "", _WIDE),
    "dashes": ("-", "", _WIDE),
    "registry": (",", "", _WIDE),
    "list": (",", "0x", _WIDE),
    "spaced-list": (", ", "0x", _WIDE),
    "cast-list": (", ", "(byte)0x", _NARROW),
    "kotlin-list": (".toByte(), ", "0x", _NARROW),
    "literal": ("", "\\x", _WIDE),
    "json-literal": ("", "\\\\x", _NARROW),
}
"""How bytes are written one by one: what stands between them, what before each, and the sizes of characters. Dashes are
what .NET's `BitConverter.ToString` writes. Its strings are UTF-16; so are PowerShell's, and exports of the registry."""
_DUMPED = (
    *("3082 <??? 308", "3082 <??? 0201", "3081 ??02 010", "30?? 0201 0"),
    *("3082<??? 308", "3082<??? 0201", "3081??02 010", "30??0201 0"),
)
"""As `xxd` and Cisco's devices write the same: two or four bytes together. In this and what follows, `?` is any
character, `#` a decimal digit, and `<` the first digit of a size below 16 KiB: four digits alone are common in logs."""
_DECIMAL = (
    *("48 130 #", "48 129 ### 2 1 0", "48 129 ### 2 1 1", "48 -126 ", "48 -127 -"),
    *("48 ## 2 1 0 ", "48 ## 2 1 1 ", "48 1## 2 1 0 ", "48 1## 2 1 1 ", "45 45 45 45 45 66 69 71 73 78"),
)
"""Numbers in a list, with what is between them for each blank."""
_ONE_BY_ONE: tuple[tuple[Units, tuple[str, ...]], ...] = (
    (NUMBERS, tuple(text.replace(" ", between) for text in _DECIMAL for between in (", ", ","))),
    (NUMBERS, ('"0":48,"1":', '"0":45,"1":45,"2":45')),
    (STRING, ("0\\x82\\", "0\\x81\\x??\\x02\\x01\\x0", "0?\\x02\\x01\\x0")),
    (STRING, ("0\\202\\", "0\\201\\###\\002\\001\\00", "0?\\002\\001\\00", "\\060\\20", "\\060\\###\\002\\001\\00")),
    (UNICODE_STRING, ("0\\u0082\\u00", "0\\u0081\\u00??\\u0002\\u0001", "0?\\u0002\\u0001\\u00")),
    (UNICODE_STRING, ("\\u0030\\u008", "\\u0030\\u00??\\u0002\\u0001")),
    (URL, ("0%82%0", "0%81%??%02%01%0", "0?%02%01%0", "0%??%02%01%0", "%30%82%0", "%30%81%", "%30%??%02%01%0")),
    (URL, ("%2D%2D%2D%2D%2D%42%45%47", "%2d%2d%2d%2d%2d%42%45%47")),
    (QUOTED_PRINTABLE, ("0=82=0", "0=81=??=02=01=0", "0?=02=01=0")),
)
"""How objects open in notations that are read one byte after the other, and PEM text where all of it is written so."""
_PLACEHOLDERS = {"?": "", "#": "0123456789", "<": "0123"}


def _text(template: str) -> list[str]:
    """Return the characters of a template."""
    return [_PLACEHOLDERS.get(character, character) for character in template]


def _detectors() -> Iterator[Detector]:
    for name, content in _CONTENTS.items():
        for skip in range(3):
            reader = DigitReader(BASE64, skip=skip, before=content.before)
            yield from _in_sizes(reader, f"{name}-{skip}", base64_of(content.pattern, skip), content.in_base64)
        reader = DigitReader(HEX, before=content.before)
        yield from _in_sizes(reader, name, hex_of(content.pattern), content.in_hex)
    for name, pattern in (("der", "30 82 .. .. 30|02|06"), ("der-middle", "30 81 .. 30|02"), ("der-short", _SHORT)):
        yield from _in_sizes(DigitReader(HEX), name, hex_of(pattern), (2, 4))
    for name, (separator, prefix, sizes) in _APART.items():
        short = _SHORT if len(separator + prefix) <= _FEW else _SHORT_HEAD
        for which, pattern in (("", _LONG), ("-short", short)):
            yield from _in_sizes(DigitReader(HEX), name + which, hex_of(pattern, separator, prefix), sizes)
        reader = DigitReader(HEX, before=MAX_PREFIX)
        if len(separator + prefix) <= _FEW + 1:
            yield from _in_sizes(reader, f"{name}-pem", hex_of(_DASHES, separator, prefix), sizes)
    yield from _in_sizes(reader, "registry-string", hex_of(_WIDE_DASHES, ","), _WIDE)
    yield from _in_sizes(DigitReader(HEX), "registry-capi", hex_of(_CAPI, ","), _WIDE)
    for number, template in enumerate(_DUMPED):
        yield from _in_sizes(DigitReader(HEX), f"dumped-{number}", _text(template), _NARROW)
    for group, (units, templates) in enumerate(_ONE_BY_ONE):
        for number, template in enumerate(templates):
            yield from _in_sizes(DigitReader(units), f"{group}-{number}", _text(template), _NARROW)


def _in_sizes(reader: DigitReader, name: str, characters: list[str], sizes: Sizes) -> Iterator[Detector]:
    for size in sizes:
        yield text_opening(f"{reader.digits.name}-{name}", characters, size), TextCarrier(size, reader)


DETECTORS: tuple[Detector, ...] = tuple(_detectors())
