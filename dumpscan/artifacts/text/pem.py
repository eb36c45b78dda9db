r"""PEM text (RFC 7468, and RFC 1421 for OpenSSL's encrypted keys), as programs hold it.

That is ASCII or UTF-16LE, with line ends of any system, without any, or as a JSON string has them (`\n`, `\r\n`, also
escaped once more), where `/` and `+` may be escaped too.
"""

from __future__ import annotations

import binascii
import json
import re
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.containers import pkcs
from dumpscan.artifacts.decoded import BytesDecoder, Detector, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import private_key
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.ssh import openssh
from dumpscan.artifacts.opening import opening
from dumpscan.artifacts.x509 import certificate
from dumpscan.findings import EncryptedContainer, PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.findings import Finding
    from dumpscan.memory.space import Memory

MOST_CHARACTERS = 1 << 20
_WINDOWS = (4 << 10, 64 << 10, MOST_CHARACTERS)
"""Characters read at first, and when those did not reach to the end."""

_ASCII, _UTF16 = 1, 2
"""Bytes per character."""

_OPENING = re.compile(rb"-----BEGIN (?P<label>[A-Z0-9 ]{1,32})-----")
_LONGEST_OPENING = len("-----BEGIN -----") + 32
_LINE_END = re.compile(rb"\r\n|\n|\r|(?:\\{1,2}r)?\\{1,2}n")
_LONGEST_LINE_END = len(r"\\r\\n")
_FOREIGN = re.compile(rb"[^A-Za-z0-9+/=\s\\]")
"""What cannot stand between the lines of dashes, once headers are passed."""
_HEADERS = re.compile(
    rb"(?:\s|\\{1,2}[rn])*Proc-Type: ?4, ?ENCRYPTED(?:\s|\\{1,2}[rn])+"
    rb"DEK-Info: ?(?P<cipher>[A-Z0-9-]{1,32}),(?P<salt>[0-9A-Fa-f]{1,64})(?=[\s\\])"
)
_LINE = 64
"""Characters of base64 in a line."""


@dataclass(frozen=True, slots=True)
class _Message:
    """PEM text taken apart.

    Attributes:
        label: e.g. `RSA PRIVATE KEY`.
        headers: Those of RFC 1421 that say how it is encrypted, if it is.
        content: The bytes that the base64 stands for.
    """

    label: str
    headers: re.Match[bytes] | None
    content: bytes


def parse(data: bytes) -> Parsed:
    """Read the PEM text that fills `data`, in either encoding."""
    wide = data[1:2] == b"\0"
    encoding = "pem-utf16" if wide else "pem"
    message = _take_apart(data[:: _UTF16 if wide else _ASCII])
    if message.headers is not None:
        return Parsed(_encrypted(message.label, message.headers, message.content), encoding)
    finding = _BY_LABEL[message.label](message.content)
    if isinstance(finding, PrivateKey):
        finding = read_from(finding, data)
    return Parsed(finding, encoding)


def _take_apart(text: bytes) -> _Message:
    opened = _OPENING.match(text)
    if opened is None or (label := opened["label"].decode()) not in _BY_LABEL:
        raise RefusedError("a label of nothing that is looked for")
    end = text.rfind(b"-----END ")
    body = _unescape(text[opened.end() : end])
    headers = _HEADERS.match(body)
    body = body[headers.end() :] if headers else body
    try:
        content = binascii.a2b_base64(b"".join(body.split()), strict_mode=True)
    except binascii.Error:
        raise RefusedError("no base64") from None
    return _Message(label, headers, content)


def _unescape(text: bytes) -> bytes:
    """Undo up to two layers of the escapes of JSON strings, where there are any."""
    for _ in range(2):
        if b"\\" not in text:
            break
        try:
            text = json.loads(b'"' + text + b'"', strict=False).encode("ascii")
        except ValueError:
            raise RefusedError("no text of a JSON string") from None
    return text


def _encrypted(label: str, headers: re.Match[bytes], content: bytes) -> EncryptedContainer:
    """Describe a key under RFC 1421's headers: OpenSSL derives its key with one round of MD5."""
    if not content:
        raise RefusedError("nothing encrypted")
    body = binascii.b2a_base64(content, newline=False)
    text = b"\n".join(
        (
            b"-----BEGIN %s-----" % label.encode(),
            b"Proc-Type: 4,ENCRYPTED",
            b"DEK-Info: %s,%s" % headers.group("cipher", "salt"),
            b"",
            *(body[at : at + _LINE] for at in range(0, len(body), _LINE)),
            b"-----END %s-----" % label.encode(),
            b"",
        )
    )
    return EncryptedContainer(
        sha256=sha256(text).hexdigest(),
        size=len(text),
        container="pem",
        kdf="EVP_BytesToKey-MD5",
        cipher=headers["cipher"].decode(),
        iterations=1,
        data=text,
    )


def _finding(read: Callable[[bytes], Parsed]) -> Callable[[bytes], Finding]:
    return lambda content: read(content).finding


_PRIVATE = _finding(private_key.parse_any)
_BY_LABEL: dict[str, Callable[[bytes], Finding]] = {
    "CERTIFICATE": _finding(certificate.parse),
    "X509 CERTIFICATE": _finding(certificate.parse),
    "TRUSTED CERTIFICATE": certificate.parse_first,
    "PRIVATE KEY": _PRIVATE,
    "RSA PRIVATE KEY": _PRIVATE,
    "EC PRIVATE KEY": _PRIVATE,
    "DSA PRIVATE KEY": _PRIVATE,
    "ENCRYPTED PRIVATE KEY": _finding(pkcs.parse_pkcs8),
    "OPENSSH PRIVATE KEY": _finding(openssh.parse),
}


def _extract(memory: Memory, address: int, *, width: int) -> Raw:
    """Read from the opening to the end of the line that closes it, looking no further than the text can go."""
    head = _characters(memory, address, _LONGEST_OPENING, width)
    opened = _OPENING.match(head)
    if opened is None or opened["label"].decode() not in _BY_LABEL:
        raise RefusedError("a label of nothing that is looked for")
    closing = b"-----END %s-----" % opened["label"]
    at = opened.end()
    for size in _WINDOWS:
        text = _characters(memory, address, size, width)
        if headers := _HEADERS.match(text, opened.end()):
            at = max(at, headers.end())
        stop = _FOREIGN.search(text, at)
        at = stop.start() if stop else len(text)
        end = at + len(closing)
        if stop and (end + _LONGEST_LINE_END <= len(text) or len(text) < size):
            if not text.startswith(closing, at):
                break
            line_end = _LINE_END.match(text, end)
            length = (line_end.end() if line_end else end) * width
            return Raw(memory.read(address, length), length)
        if len(text) < size:
            break
    raise RefusedError("no end of the text")


def _characters(memory: Memory, address: int, size: int, width: int) -> bytes:
    """Return up to `size` characters at `address`, as far as they are ASCII."""
    data = memory.read(address, size * width)
    if width == _ASCII:
        return data
    high = data[1::2]
    return data[::2][: len(high) - len(high.lstrip(b"\0"))]


_TEXT = b"-----BEGIN "
DETECTORS: tuple[Detector, ...] = (
    (opening("pem", _TEXT.hex(" ")), BytesDecoder(partial(_extract, width=_ASCII), parse)),
    (
        opening("pem-utf16", _TEXT.decode().encode("utf-16-le").hex(" ")),
        BytesDecoder(partial(_extract, width=_UTF16), parse),
    ),
)
