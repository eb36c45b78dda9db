"""Which certificate or key a user means: files of certificates and public keys, thumbprints, key ids.

`references("ca.pem")` and `references("AB:CD:...")` return what they name. A reference that was made from a certificate
or a public key knows the public key; a thumbprint does not.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan.exceptions import UsageError, reason
from dumpscan.findings import Certificate, PrivateKey, PublicKey, SymmetricKey, TlsSecret
from dumpscan.search.reference_files import NotHereError, PublicPart, is_der_of_size, read_objects, read_ssh_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import Finding

MAX_FILE = 64 << 20
"""Bytes of a file of references."""
_HEAD = 4096
"""Bytes that show whether a file is DER or text, in UTF-16 too: an even number."""
MAX_TEXT = 512
"""Characters of a reference that is typed: the fingerprint of `openssl x509` with its label takes 120."""

_INVISIBLE = re.compile(r"[\s:\-\ufeff\u200b\u200e\u200f\u00a0]")
"""What programs write between hex digits, and what Windows' dialogs copy with them."""
_LABEL = re.compile(
    r"(?:thumbprint|fingerprint|sha-?1|sha-?256|key[ _.]?id|spki|cert hash)"
    r"(?:\s*(?:fingerprint|thumbprint|hash))?(?:\s*\(sha-?\d+\))?\s*[:=]\s*",
    re.IGNORECASE,
)
_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIN = re.compile(r"(?:pin-sha256\s*=\s*|sha256//)\"?(?P<digest>[A-Za-z0-9+/]{43}=)\"?;?")
"""SHA-256 of a SubjectPublicKeyInfo in base64: HTTP Public Key Pinning (RFC 7469, 2.1.1), curl's `--pinnedpubkey`."""
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A certificate or key that somebody names.

    Attributes:
        given: How it was named: the file (and the line in it), or the text.
        what: What it is, e.g. `certificate CN=www.example.org`, `thumbprint AB12…`.
        key_id: SHA-256 (hex) of the SubjectPublicKeyInfo; None where only a certificate is named.
        thumbprint: SHA-1 of a certificate's DER, upper-case hex.
        sha256: SHA-256 (hex) of a certificate's DER.
        public_info: The SubjectPublicKeyInfo in DER, where the public key itself is known.
    """

    given: str
    what: str
    key_id: str | None = None
    thumbprint: str | None = None
    sha256: str | None = None
    public_info: bytes | None = field(default=None, repr=False)

    @property
    def names(self) -> frozenset[str]:
        """Key id, thumbprint and SHA-256, as far as they are known, in lower-case hex."""
        return frozenset(name.lower() for name in (self.key_id, self.thumbprint, self.sha256) if name is not None)

    def fits(self, finding: Finding) -> bool:
        """Whether a finding is what is meant, or has its public key."""
        return not self.names.isdisjoint(names_of(finding))


def names_of(finding: Finding) -> frozenset[str]:
    """Return the key id, thumbprint and SHA-256 under which a finding can be named, in lower-case hex."""
    match finding:
        case Certificate():
            names: tuple[str | None, ...] = (finding.thumbprint.lower(), finding.sha256, finding.key_id)
        case PrivateKey() | PublicKey():
            certificates = (each.thumbprint.lower() for each in finding.certificates)
            return frozenset((finding.key_id, *certificates))
        case SymmetricKey():
            names = (finding.key_id,)
        case TlsSecret():
            names = (finding.secret_id,)
        case _:
            names = (finding.sha256,)
    return frozenset(name for name in names if name is not None)


def references(given: str, *, empty: bool = False) -> tuple[Reference, ...]:
    """Return what a word on the command line names: a file's content, a thumbprint or a key id.

    A text that is a thumbprint or a key id is never taken for the name of a file.

    Args:
        given: The word.
        empty: Whether a file may hold nothing.

    Raises:
        UsageError: It is neither, or the file holds nothing of the kind.
    """
    named = _from_text(given, given)
    return (named,) if named is not None else read_references(Path(given), empty=empty)


def beginning_of_name(given: str) -> str | None:
    """Return the hex digits that a thumbprint or key id begins with, in lower case; None if it is something else."""
    digits = _digits(given)
    return digits if re.fullmatch(r"[0-9a-f]{1,64}", digits) else None


def may_be_reference(given: str) -> bool:
    """Whether a word means a certificate or key, rather than a place to look for it in.

    Thumbprints and key ids do; of files those that begin like DER of their own length, or are text.
    """
    if _from_text(given, given) is not None:
        return True
    path = Path(given)
    try:
        if not path.is_file():
            return False
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return False
    if size > MAX_FILE or not head:
        return False
    return is_der_of_size(head, size) or b"\0" not in _plain(head)


def read_references(path: Path, *, empty: bool = False) -> tuple[Reference, ...]:
    """Return what a file names, each once.

    It may be a certificate, public key, PKCS#7 or certificate request in DER or PEM, a private key (of which only the
    public half is kept), SSH public keys (also `authorized_keys` and `known_hosts`), or a list of thumbprints and key
    ids, one a line, in which `#` begins a comment.

    Args:
        path: The file.
        empty: Whether it may hold nothing.

    Raises:
        UsageError: It cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        looks = "" if path.exists() else f"; {EXPECTED}"
        raise UsageError(f"{path}: cannot be read: {reason(error)}{looks}") from error
    if len(data) > MAX_FILE:
        raise UsageError(f"{path}: larger than {MAX_FILE >> 20} MiB; {EXPECTED}")
    found: dict[frozenset[str], Reference] = {}
    for each in _in_file(path, data):
        known = found.setdefault(each.names, each)
        if known.public_info is None and each.public_info is not None:
            found[each.names] = each
    if not found and not empty:
        raise UsageError(f"{path}: holds nothing; {EXPECTED}")
    return tuple(found.values())


EXPECTED = (
    "expected a certificate or public key (DER, PEM, PKCS#7, SSH), a thumbprint (40 or 64 hex digits) or a key id (64)"
)


def _in_file(path: Path, data: bytes) -> Iterator[Reference]:
    try:
        parts = read_objects(_plain(data))
    except NotHereError as error:
        raise UsageError(f"{path}: {error}") from error
    if parts:
        for part in parts:
            yield _of_part(part, str(path))
        return
    try:
        text = _plain(data).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is neither a certificate nor a key nor text in UTF-8; {EXPECTED}") from error
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip().strip("\ufeff\u200e")
        if not entry or entry.startswith("#"):
            continue
        where = f"{path}, line {number}"
        ssh = read_ssh_line(entry)
        named = _of_part(ssh, where) if ssh else _from_text(entry.partition("#")[0], where)
        if named is None:
            raise UsageError(f"{where}: {EXPECTED}")
        yield named


def _plain(data: bytes) -> bytes:
    """Return text in UTF-8: PowerShell writes UTF-16. What is no text is returned as it is."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            try:
                return data.decode(encoding).encode()
            except UnicodeError:
                break
    return data


def _from_text(text: str, given: str) -> Reference | None:
    """Return what a thumbprint, a hash or a key id names; None if the text is none."""
    if len(text) > MAX_TEXT:
        return None
    text = text.strip()
    if pin := _PIN.fullmatch(text):
        try:
            digest = base64.b64decode(pin["digest"], validate=True).hex()
        except binascii.Error:
            return None
        return Reference(given=given, what=f"key id {digest}", key_id=digest)
    digits = _digits(text)
    if _SHA1.fullmatch(digits):
        return Reference(given=given, what=f"thumbprint {digits.upper()}", thumbprint=digits.upper())
    if _SHA256.fullmatch(digits):  # nothing tells a key id from the SHA-256 of a certificate
        return Reference(given=given, what=f"key id or SHA-256 {digits}", key_id=digits, sha256=digits)
    return None


def _digits(text: str) -> str:
    """Return a text without a label before it and without separators, in lower case."""
    begin = 0
    while label := _LABEL.match(text, begin):
        begin = label.end()
    return _INVISIBLE.sub("", text[begin:]).lower().removeprefix("0x")


def _of_part(part: PublicPart, given: str) -> Reference:
    certificate = part.certificate
    if certificate is None:
        info = part.public_info or b""
        key_id = sha256(info).hexdigest()
        return Reference(given=given, what=f"{part.what} {key_id}", key_id=key_id, public_info=info)
    return Reference(
        given=given,
        what=f"certificate {certificate.subject or certificate.thumbprint}",
        key_id=certificate.key_id,
        thumbprint=certificate.thumbprint,
        sha256=certificate.sha256,
        public_info=part.public_info,
    )
