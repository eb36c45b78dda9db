"""OpenPGP secret keys in ASCII armour: one text holds every key of an owner.

Source: RFC 9580, 6.2. The checksum behind the base64 is optional, and no reason to refuse what is before it.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.openpgp.packets import SECRET_KEY, SECRET_SUBKEY, header
from dumpscan.artifacts.keys.openpgp.secret_keys import ENCODING, parse
from dumpscan.findings import PrivateKey
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.detector import Detector
    from dumpscan.memory.space import Memory

_WINDOWS = (8 << 10, 64 << 10, 1 << 20)
"""Bytes read at first, and when those did not reach to the end: a key may have many signatures, and a picture."""
_MAX_PACKETS = 10_000
_BEGIN = b"-----BEGIN PGP PRIVATE KEY BLOCK-----"
_TEXT = re.compile(
    _BEGIN
    + rb"[ \t]*\r?\n(?:[A-Za-z][A-Za-z0-9-]{0,30}: [^\r\n]{0,1000}\r?\n){0,50}[ \t]*\r?\n"
    + rb"(?P<body>(?:[A-Za-z0-9+/]{1,76}={0,2}\r?\n){1,20000})(?:=[A-Za-z0-9+/]{4}\r?\n)?"
    + rb"-----END PGP PRIVATE KEY BLOCK-----"
)


def parse_armour(data: bytes) -> Parsed:
    """Prove the keys in a text, or describe their protection."""
    text = _TEXT.fullmatch(data)
    if text is None:
        raise RefusedError("no ASCII armour")
    try:
        content = binascii.a2b_base64(b"".join(text["body"].split()), strict_mode=True)
    except binascii.Error:
        raise RefusedError("no base64") from None
    found: dict[tuple[str, str], Parsed] = {}
    for packet in _secret_keys(content):
        try:
            finding = parse(packet).finding
        except RefusedError:
            continue
        if isinstance(finding, PrivateKey):
            finding = read_from(finding, data)
        found.setdefault(finding.identity, Parsed(finding, f"armour+{ENCODING}"))
    if not found:
        raise RefusedError("no secret key of a kind that is known")
    first, *others = found.values()
    return replace(first, others=tuple(others))


def _secret_keys(content: bytes) -> Iterator[bytes]:
    """Yield the packets of secret keys and subkeys."""
    at = 0
    for _ in range(_MAX_PACKETS):
        if at >= len(content):
            break
        head = header(content, at)
        end = at + head.size + head.content
        if head.tag in (SECRET_KEY, SECRET_SUBKEY):
            yield content[at:end]
        at = end


def _extract(memory: Memory, address: int) -> Raw:
    for size in _WINDOWS:
        data = memory.read(address, size)
        text = _TEXT.match(data)
        if text is not None:
            return Raw(text.group(), text.end())
        if len(data) < size:
            break
    raise RefusedError("no end of the text")


DETECTORS: tuple[Detector, ...] = ((opening("openpgp-armour", _BEGIN.hex(" ")), BytesDecoder(_extract, parse_armour)),)
