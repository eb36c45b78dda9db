"""Findings as files: the only way by which key material leaves dumpscan.

| file | content |
| --- | --- |
| `<THUMBPRINT>_<name>.cer` | a certificate's DER, also of one that could not be parsed |
| `<KEYID>_<algorithm>.pem` | a private key as PKCS#8, encrypted if there is a password |
| `<THUMBPRINT>_<name>.pfx` | a certificate with its private key (PKCS#12), encrypted if there is a password |
| `<KEYID>_<algorithm>.key` | a symmetric key, its bare bytes; only without a password, which could not protect it |
| `sslkeys.log` | a key log of secrets of TLS sessions (`key_log`); only without a password |
| `<SHA256>_encrypted.p8`, `.p12`, `.pem` … | an encrypted container, byte for byte as it was found |
| `<SHA256>_open.p12` … | a container that is not encrypted; only without a password |
| `manifest.jsonl` | a line for each of them: what it is, its SHA-256, and where its content lay |

The directory has mode 0700, every file 0600. The manifest and the key log only grow; no other file is overwritten. A
file that holds the same already (the same bytes or, since encryption uses fresh salt each time, the same key) stays as
it is; a file that holds anything else is an error, raised after everything else has been written.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS
from dumpscan.exceptions import ExportError
from dumpscan.findings import SCHEMA_VERSION, Certificate, EncryptedContainer, PrivateKey, SymmetricKey
from dumpscan.output.exports.directory import PrivateDirectory
from dumpscan.output.exports.key_log import KEY_LOG, KEY_LOG_KIND, extend_key_log, key_log_lines, tls_secrets
from dumpscan.output.labels import CONTAINERS
from dumpscan.output.records import document, location_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from dumpscan.findings import Finding
    from dumpscan.output.records import Record

MANIFEST = "manifest.jsonl"
MAX_MANIFEST = 256 << 20
"""Bytes of the largest manifest that is extended."""

MAX_NAME = 80
"""Characters of a certificate's name in the name of a file."""

_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A file in the output directory.

    Attributes:
        name: Its name there.
        sha256: SHA-256 (hex) of its content.
        size: Its length in bytes.
        kind: `certificate`, `private_key`, `symmetric_key`, `pair`, `encrypted_container` or `key_log`.
        encrypted: Whether a password protects what is secret in it.
        thumbprint: Of the certificate in it.
        key_id: Of the private key in it.
        already_there: Whether it was there before, holding the same.
    """

    name: str
    sha256: str = ""
    size: int = 0
    kind: str
    encrypted: bool = False
    thumbprint: str | None = None
    key_id: str | None = None
    already_there: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did.

    Attributes:
        directory: Where.
        files: Everything that was to be exported and is in the directory now, in the order of the findings.
        warnings: What could not be exported and why, and what is questionable about the directory.
    """

    directory: Path
    files: tuple[ExportedFile, ...]
    warnings: tuple[str, ...]

    @property
    def written(self) -> tuple[ExportedFile, ...]:
        """The files that this export wrote."""
        return tuple(file for file in self.files if not file.already_there)

    @property
    def already_there(self) -> tuple[ExportedFile, ...]:
        """The files that were there before."""
        return tuple(file for file in self.files if file.already_there)


@dataclass(frozen=True, slots=True)
class _Item:
    """A file to be written; `same` says whether other bytes hold the same, where they can be written in many ways."""

    file: ExportedFile
    content: bytes
    evidence: tuple[Finding, ...]
    same: Callable[[bytes], bool] | None = None


def export(findings: Iterable[Finding], directory: Path, password: bytes | None) -> ExportReport:
    """Write certificates, private keys, pairs of both, and encrypted containers into a directory.

    Args:
        findings: What was found; other kinds are skipped.
        directory: Made if it does not exist.
        password: Encrypts private keys and PFX files; None leaves them unencrypted.

    Raises:
        ExportError: The directory cannot be used, a file could not be written, or existing files hold something else
            (everything else was written in that case). Nothing half-written is left.
    """
    if password is not None and not password:
        raise ExportError("an empty password protects nothing: give one, or export without")
    every = tuple(findings)
    remarks: list[str] = []
    files: list[ExportedFile] = []
    obstacles: list[str] = []
    lines: list[Record] = []
    # Keys and certificates of a dump may be deprecated; `cryptography` need not say so.
    with PrivateDirectory(directory) as target, warnings.catch_warnings(action="ignore"):
        remarks += target.warnings
        _read_manifest(target)  # what is no manifest is refused before anything is written
        try:
            for item in _items(every, password, remarks):
                try:
                    file = _put(target, item)
                except _ObstacleError as error:
                    obstacles.append(str(error))
                    continue
                files.append(file)
                lines.append(_manifest_line(file, item))
        except ExportError as error:  # a full disk: the manifest lists what was written until then
            try:
                _extend_manifest(target, lines)
            except ExportError as other:
                raise ExportError(f"{error}; {_without_manifest(len(files), other)}") from error
            raise
        except BaseException:  # an interrupt, likewise
            with contextlib.suppress(ExportError):
                _extend_manifest(target, lines)
            raise
        try:
            _extend_manifest(target, lines)
        except ExportError as error:
            raise ExportError(_without_manifest(len(files), error)) from error
    if obstacles:
        raise ExportError("; ".join(obstacles))
    return ExportReport(directory, tuple(files), tuple(remarks))


def safe_name(text: str | None) -> str:
    """Return a name that an attacker may have chosen as a safe part of a file's name.

    ASCII letters, digits, `.`, `-` and `_` stay, any other run of characters becomes one `_`. The result has no leading
    or trailing dot, dash or underscore and at most 80 characters; it is `unnamed` if nothing is left.
    """
    kept: list[str] = []
    for character in (text or "")[: MAX_NAME * 8]:
        if character in _NAME_CHARACTERS:
            kept.append(character)
        elif kept and kept[-1] != "_":
            kept.append("_")
    return "".join(kept).strip("._-")[:MAX_NAME].rstrip("._-") or "unnamed"


class _ObstacleError(ExportError):
    """There is a file of that name, and it holds something else."""


def _put(target: PrivateDirectory, item: _Item) -> ExportedFile:
    if item.file.kind == KEY_LOG_KIND:
        content, there = extend_key_log(target, item.content.splitlines())
        created = not there
    else:
        created = target.create(item.file.name, item.content)
        content = item.content if created else _existing(target, item)
    digest = hashlib.sha256(content).hexdigest()
    return replace(item.file, sha256=digest, size=len(content), already_there=not created)


def _existing(target: PrivateDirectory, item: _Item) -> bytes:
    """Return the content of an existing file that has an item's name, if it holds the same."""
    try:
        there = target.read(item.file.name, limit=2 * len(item.content) + 4096)
    except ExportError as error:
        raise _ObstacleError(str(error)) from error
    if there == item.content or (there is not None and item.same is not None and item.same(there)):
        return there
    problem = "is there already and holds something else"
    if item.same is not None:
        problem += " (or the same, under another password or under none)"
    raise _ObstacleError(f"{target.path / item.file.name}: {problem}; it was not touched")


def _items(findings: tuple[Finding, ...], password: bytes | None, remarks: list[str]) -> Iterator[_Item]:
    certificates = {finding.thumbprint: finding for finding in findings if isinstance(finding, Certificate)}
    for finding in findings:
        match finding:
            case Certificate():
                name = f"{_certificate_name(finding)}.cer"
                file = ExportedFile(name=name, kind=finding.kind, thumbprint=finding.thumbprint, key_id=finding.key_id)
                yield _Item(file, finding.der, (finding,))
            case EncryptedContainer() if password is not None and not finding.is_encrypted:
                remarks.append(
                    f"{finding.container} {finding.sha256[:16]}: not exported: what it holds is not encrypted"
                )
            case EncryptedContainer():
                _label, suffix = CONTAINERS.get(finding.container, ("", "bin"))
                state = "encrypted" if finding.is_encrypted else "open"
                name = f"{safe_name(finding.sha256)}_{state}.{suffix}"
                file = ExportedFile(name=name, kind=finding.kind, encrypted=finding.is_encrypted)
                yield _Item(file, finding.data, (finding,))
            case PrivateKey():
                yield from _key_items(finding, certificates, password, remarks)
            case SymmetricKey() if password is not None:
                remarks.append(f"symmetric key {finding.key_id[:16]}: not exported: bare bytes cannot be encrypted")
            case SymmetricKey():
                file = ExportedFile(name=f"{_key_name(finding)}.key", kind=finding.kind, key_id=finding.key_id)
                yield _Item(file, finding.key, (finding,))

    secrets = tls_secrets(findings)
    if secrets and password is not None:
        remarks.append(f"{len(secrets)} TLS secrets: not exported: a key log cannot be encrypted")
    elif secrets:
        yield _Item(ExportedFile(name=KEY_LOG, kind=KEY_LOG_KIND), b"\n".join(key_log_lines(secrets)), secrets)


def _key_items(
    key: PrivateKey, certificates: dict[str, Certificate], password: bytes | None, remarks: list[str]
) -> Iterator[_Item]:
    """Yield a key's PEM and its pairs, with a warning for what `cryptography` refuses."""
    loaded: PrivateKeyTypes | None = None
    try:
        loaded = serialization.load_der_private_key(key.pkcs8, None)
        pem = _pem(key, loaded, password)
    except LIBRARY_ERRORS as error:
        if password is not None:
            remarks.append(
                f"private key {key.key_id[:16]} ({key.algorithm}): not exported, since it cannot be encrypted: "
                f"{_first_line(error)}"
            )
            return
        pem = _pem(key, None, None)
    encrypted = password is not None
    yield _Item(
        ExportedFile(name=f"{_key_name(key)}.pem", kind=key.kind, key_id=key.key_id, encrypted=encrypted),
        pem,
        (key,),
        same=lambda there: loaded is not None and _is_same_pem(there, loaded, password),
    )
    for reference in key.certificates:
        certificate = certificates.get(reference.thumbprint)
        if certificate is None:
            continue
        name = f"{_certificate_name(certificate)}.pfx"
        file = ExportedFile(
            name=name, kind="pair", encrypted=encrypted, thumbprint=certificate.thumbprint, key_id=key.key_id
        )
        try:
            if loaded is None:
                raise ValueError("the key is of a size or kind that PKCS#12 files cannot be made with")
            pfx = _pfx(loaded, certificate, password)
        except (*LIBRARY_ERRORS, x509.InvalidVersion) as error:
            remarks.append(f"{name}: not exported: {_first_line(error)}")
            continue
        yield _Item(file, pfx, (key, certificate), same=_same_pfx(loaded, certificate, password))


def _certificate_name(certificate: Certificate) -> str:
    name = certificate.subject_common_name or certificate.subject
    return f"{safe_name(certificate.thumbprint)}_{safe_name(name)}"


def _key_name(key: PrivateKey | SymmetricKey) -> str:
    return f"{safe_name(key.key_id)}_{safe_name(key.algorithm)}"


def _pem(key: PrivateKey, loaded: PrivateKeyTypes | None, password: bytes | None) -> bytes:
    """Return a key's PKCS#8 as PEM, encrypted if there is a password."""
    if password is None or loaded is None:
        text = base64.b64encode(key.pkcs8)
        lines = [text[start : start + 64] for start in range(0, len(text), 64)]
        return b"\n".join([b"-----BEGIN PRIVATE KEY-----", *lines, b"-----END PRIVATE KEY-----", b""])
    return loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )


def _pfx(key: PrivateKeyTypes, certificate: Certificate, password: bytes | None) -> bytes:
    protection = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    name = safe_name(certificate.subject_common_name or certificate.subject).encode("ascii")
    # X25519 and its like are refused there, with a TypeError that says so.
    return pkcs12.serialize_key_and_certificates(
        name,
        key,  # type: ignore[arg-type]
        x509.load_der_x509_certificate(certificate.der),
        None,
        protection,
    )


def _is_same_pem(there: bytes, key: PrivateKeyTypes, password: bytes | None) -> bool:
    with contextlib.suppress(*LIBRARY_ERRORS):
        return _plain(serialization.load_pem_private_key(there, password)) == _plain(key)
    return False


def _same_pfx(key: PrivateKeyTypes, certificate: Certificate, password: bytes | None) -> Callable[[bytes], bool]:
    def same(there: bytes) -> bool:
        with contextlib.suppress(*LIBRARY_ERRORS):
            found, found_certificate, _ = pkcs12.load_key_and_certificates(there, password)
            if found is not None and found_certificate is not None:
                der = found_certificate.public_bytes(serialization.Encoding.DER)
                return der == certificate.der and _plain(found) == _plain(key)
        return False

    return same


def _plain(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _first_line(error: Exception) -> str:
    """Return the first line of what `cryptography` says; it never quotes a key."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _manifest_line(file: ExportedFile, item: _Item) -> Record:
    evidence = [
        {"kind": finding.kind, **location_record(location)}
        for finding in item.evidence
        for location in finding.locations
    ]
    return {"schema": SCHEMA_VERSION, **document(file), "evidence": evidence}


def _read_manifest(target: PrivateDirectory) -> bytes:
    """Return the manifest of earlier exports after checking that it is one."""
    manifest = target.read(MANIFEST, MAX_MANIFEST) or b""
    for number, line in enumerate(manifest.splitlines(), 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or "name" not in entry or "sha256" not in entry:
            raise ExportError(f"{target.path / MANIFEST}: line {number} is not of a manifest; nothing was exported")
    return manifest


def _without_manifest(count: int, error: ExportError) -> str:
    return f"{count} files were exported, but the manifest does not list them: {error}"


def _extend_manifest(target: PrivateDirectory, lines: list[Record]) -> None:
    """Add lines to the manifest, except those that it holds already; other exports wait meanwhile."""
    with target.locked():
        _replace_manifest(target, _read_manifest(target), lines)


def _replace_manifest(target: PrivateDirectory, manifest: bytes, lines: list[Record]) -> None:
    known = set(manifest.splitlines())
    new = [line for line in (json.dumps(line).encode("ascii") for line in lines) if line not in known]
    if new:
        if manifest and not manifest.endswith(b"\n"):
            manifest += b"\n"
        target.replace(MANIFEST, manifest + b"\n".join([*new, b""]))
