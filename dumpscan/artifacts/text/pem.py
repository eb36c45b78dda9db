r"""PEM text (RFC 7468, and RFC 1421 for OpenSSL's encrypted keys), as programs hold it.

That is in any encoding of `characters`, with line ends of any system or none, within other text (`rewriting`), with
any label, and perhaps without its last line. What the text is armour for is left to the decoders of that.
"""

from __future__ import annotations

import binascii
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.artifacts.carrier import MAX_CHARACTERS, Bytes, Span
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.text.characters import Characters, TextCarrier
from dumpscan.artifacts.text.openings import text_opening
from dumpscan.artifacts.text.rewriting import MAX_PREFIX, MAX_RECORD, CleanText, surroundings, without_cut_escape
from dumpscan.artifacts.text.runs import BASE64, Run
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, PublicKey

if TYPE_CHECKING:
    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import Detector
    from dumpscan.artifacts.text.characters import Coding
    from dumpscan.findings import Finding
    from dumpscan.memory.space import Memory

_WINDOWS = (4 << 10, 64 << 10, MAX_CHARACTERS)
"""Characters read at first, and when those did not reach to the end."""
_MARGIN = MAX_PREFIX + MAX_RECORD
"""Text that ends so close to the end of what was read may go on behind something that was cut by it."""

_OPENING = re.compile(rb"-----BEGIN (?P<label>[ -~]{1,64}?)-----")
_OPENING_WITH_PLUS = re.compile(rb"(?:-----|(?:%2[Dd]){5})BEGIN\+")
_LONGEST_OPENING = 1 << 10
"""Characters that hold the first line, however it is escaped, and how the second begins."""
_CLOSING = re.compile(rb"(?:=(?:3[Dd])?\s*){0,2}(?:=[A-Za-z0-9+/]{4}\s+)?-----END (?P<label>[ -~]{1,64}?)-----")
"""Behind padding, which may be quoted-printable, and OpenPGP's checksum."""
_OTHER_CLOSING = re.compile(rb"(?:=\s*){0,2}-----END ")
_LINE = re.compile(rb"([^\r\n\x0b]*)(?:\r[\n\x0b]|[\r\n\x0b]|\Z)")
_BASE64_LINE = re.compile(rb"[ \t]*+(?:[A-Za-z0-9+/_-]{16,}+(?!\s*:)|[A-Za-z0-9+/_-]++={0,2}\s*\Z)")
"""Base64 is a whole line, or too long for a header's name."""
_MAX_HEADERS = 64
"""Lines between the first line and the base64: RFC 1421's headers, OpenPGP's, what some programs write there."""
_ENCRYPTED = re.compile(
    rb"\s*Proc-Type: ?4, ?ENCRYPTED\s+DEK-Info: ?(?P<cipher>[A-Za-z0-9-]{1,32}),(?P<salt>[0-9A-Fa-f]{1,64})(?=\s)"
)
_LINE_LENGTH = 64
"""Characters of base64 in a line."""

_MICROSECONDS = 120
"""To see what is between the lines of armour."""

_KEY = (PrivateKey,)
_KINDS: dict[bytes, tuple[type[Finding], ...]] = {
    b"CERTIFICATE": (Certificate,),
    b"X509 CERTIFICATE": (Certificate,),
    b"TRUSTED CERTIFICATE": (Certificate,),
    b"PRIVATE KEY": _KEY,
    b"RSA PRIVATE KEY": _KEY,
    b"EC PRIVATE KEY": _KEY,
    b"DSA PRIVATE KEY": _KEY,
    b"ENCRYPTED PRIVATE KEY": (EncryptedContainer,),
    b"OPENSSH PRIVATE KEY": (PrivateKey, EncryptedContainer),
    b"CERTIFICATE REQUEST": (),
    b"NEW CERTIFICATE REQUEST": (),
    b"PUBLIC KEY": (PublicKey,),
    b"RSA PUBLIC KEY": (),
    b"X509 CRL": (),
}
"""What text with a well-known label holds. With any other label, its content decides."""
_WITH_MORE = b"TRUSTED CERTIFICATE"
"""OpenSSL writes what a certificate is trusted for behind it."""


class PemText:
    """PEM text, as far as it is one (see `Unwrapped`).

    Args:
        characters: The text.
        clean: The same, cleared.
        label: e.g. `RSA PRIVATE KEY`.
        run: Its base64.
        end: Where in the clear text its last line ends; None if that is missing.

    Attributes:
        content: What the base64 stands for.
    """

    finding: Finding | None = None
    opening = 0
    is_covered = True

    def __init__(self, characters: Characters, clean: CleanText, label: bytes, run: Run, end: int | None) -> None:
        self.content = Bytes(run.data)
        self._characters = characters
        self._clean = clean
        self._label = label
        self._run = run
        self._end = end

    @property
    def is_bundle(self) -> bool:
        """Whether it may be CMS, say, which is not known by itself."""
        return self._label not in _KINDS

    def accepts(self, decoded: Decoded) -> bool:
        """Whether an object is of the kind that the label says, and fills the text if that has its last line."""
        kinds = _KINDS.get(self._label)
        if kinds is None:
            return True
        fills = decoded.length == len(self.content.data) or self._end is None or self._label == _WITH_MORE
        return isinstance(decoded.finding, kinds) and decoded.address == 0 and fills

    def span(self, begin: int, end: int) -> Span:
        """Return where the text lies: all of it for what fills it or has a label of its own, else the base64."""
        first, last = self._run.place(begin, end)
        from_begin = self.finding is not None or begin == 0
        to_end = end == len(self.content.data) or self._label == _WITH_MORE or self.finding is not None
        if self._end is not None and from_begin and to_end:
            stop, last = self._clean.end_of_line(self._end), self._end
        else:
            stop = self._clean.end(last)
        address, length = self._characters.place(0 if from_begin else self._clean.origin(first), stop)
        return Span(address, length, "+".join((*self._clean.notations(last), "pem")) + self._characters.coding.suffix)


def _read(memory: Memory, address: int, coding: Coding) -> PemText:
    """Read the text whose first dash is at `address`."""
    characters = Characters(memory, address, coding)
    head = characters.take(_LONGEST_OPENING)
    plus_is_space = _OPENING_WITH_PLUS.match(head) is not None
    first_line = CleanText(head, plus_is_space=plus_is_space).data
    opened = _OPENING.match(first_line)
    if opened is None or _KINDS.get(opened["label"]) == ():
        raise RefusedError("a label of nothing that is looked for")
    if first_line[opened.end() :].lstrip().startswith(b"-----"):
        raise RefusedError("nothing between two lines of armour")
    effort.charge(_MICROSECONDS)
    around = surroundings(characters.before(MAX_PREFIX), head)
    for size in _WINDOWS:
        text = characters.take(size)
        complete = len(text) < size or size == MAX_CHARACTERS
        clean = CleanText(text if complete else without_cut_escape(text), around, plus_is_space=plus_is_space)
        run = Run(BASE64, clean.data, _begin_of_base64(clean.data, opened.end()))
        if complete or run.stop < len(clean.data) - _MARGIN:
            return _text(characters, clean, opened, run)
    raise RefusedError("no end of the text")


def _text(characters: Characters, clean: CleanText, opened: re.Match[bytes], run: Run) -> PemText:
    """Make the text of its parts."""
    label = opened["label"]
    closed = _CLOSING.match(clean.data, run.stop)
    if (closed and closed["label"] != label) or (not closed and _OTHER_CLOSING.match(clean.data, run.stop)):
        raise RefusedError("a last line that belongs to something else")
    text = PemText(characters, clean, label, run, closed.end() if closed else None)
    if headers := _ENCRYPTED.match(clean.data, opened.end()):
        if not closed:
            raise RefusedError("encrypted, and not whole")
        text.finding = _encrypted(label, headers, run.data)
    return text


def _begin_of_base64(text: bytes, at: int) -> int:
    """Return where base64 begins, given where the first line of a text ends.

    Headers may stand before it, up to an empty line; where that is missing, up to the first line of base64.
    """
    if headers := _ENCRYPTED.match(text, at):
        return headers.end()
    line = _LINE.match(text, at)
    if line is None or line[1].strip():
        return at  # the text has no line ends
    at, first, has_headers = line.end(), None, False
    for _ in range(_MAX_HEADERS):
        line = _LINE.match(text, at)
        if line is None or line.end() == at or line[1].startswith(b"-----"):
            break
        content = line[1].strip()
        if not content and has_headers:
            return line.end()
        if content and not _BASE64_LINE.match(content):
            has_headers, first = True, None
        elif content and first is None:
            first = at
            if not has_headers:
                break
        at = line.end()
    return at if first is None else first


def _encrypted(label: bytes, headers: re.Match[bytes], content: bytes) -> EncryptedContainer:
    """Describe a key under RFC 1421's headers: OpenSSL derives its key with one round of MD5."""
    if not content:
        raise RefusedError("nothing encrypted")
    body = binascii.b2a_base64(content, newline=False)
    cipher = headers["cipher"].upper()
    text = b"\n".join(
        (
            b"-----BEGIN %s-----" % label,
            b"Proc-Type: 4,ENCRYPTED",
            b"DEK-Info: %s,%s" % (cipher, headers["salt"]),
            b"",
            *(body[at : at + _LINE_LENGTH] for at in range(0, len(body), _LINE_LENGTH)),
            b"-----END %s-----" % label,
            b"",
        )
    )
    return EncryptedContainer(
        sha256=sha256(text).hexdigest(),
        size=len(text),
        container="pem",
        kdf="EVP_BytesToKey-MD5",
        cipher=cipher.decode(),
        iterations=1,
        data=text,
    )


_ESCAPED = {
    "urlencoded": ([*"%2", "Dd", *"%2", "Dd", *"BEGIN"], 9),
    "unicode": ([*"\\u002", "Dd", *"BEGIN"], 24),
    "hexadecimal": ([*"&#x2", "Dd", *";&#x42;"], 24),
    "decimal": (list("&#45;&#66;&#69;"), 20),
}
"""Dashes that are escaped, with what follows, and how many characters before them the text begins. Of five dashes in a
URL, the last two will do: so all look for the same letters."""
DETECTORS: tuple[Detector, ...] = (
    *((text_opening("pem", list("-----BEGIN"), size), TextCarrier(size, _read)) for size in (1, 2, 4)),
    *(
        (text_opening(f"pem-{name}", characters, size, lead=lead), TextCarrier(size, _read))
        for name, (characters, lead) in _ESCAPED.items()
        for size in (1, 2, 4)
        if size == 1 or name in ("urlencoded", "unicode")
    ),
)
