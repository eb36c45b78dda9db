"""What the report shows of one finding, place or process: short texts without markup.

Text from dumps is unescaped here. The environment of the template makes everything printable and escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts.keys.names import algorithm_label
from dumpscan.artifacts.x509.well_known import is_well_known
from dumpscan.case.moments import At
from dumpscan.findings import PrivateKey, Validity
from dumpscan.output.labels import NOT_LISTED, container_label, page_label
from dumpscan.output.report.judge import Judge
from dumpscan.output.report.purposes import filter_classes, purposes, usages
from dumpscan.output.report.severity import Severity, key_severity
from dumpscan.output.report.texts import MAX_NAMES, day, in_utc, joined, remaining, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from dumpscan.findings import (
        Certificate,
        EncryptedContainer,
        Finding,
        Location,
        Process,
        PublicKey,
        SymmetricKey,
        TlsSecret,
    )

MAX_PLACES = 12
"""Places that are listed for one key; the others are counted."""

MAX_PROCESSES = 8
"""Processes that are described for one key; the others are counted."""

MAX_PROBLEMS = 12
"""Problems that are listed for one input."""

MAX_COMMAND_LINE = 2000
"""Characters of a command line that are shown."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place in memory, as text."""

    dump: str
    process: str
    address: str
    offset: str
    length: int
    encoding: str
    module: str
    note: str


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate.

    `since` and `until` are its validity period (UTC), `state` its validity now or on the day that it is judged by, and
    `then` when a dump was made that it lies in and it was valid.
    """

    name: str
    subject: str
    issuer: str
    since: datetime | None
    until: datetime | None
    state: Validity
    then: datetime | None
    remaining: str
    key: str
    key_id: str
    thumbprint: str
    sha256: str
    alternative_names: str
    purposes: str
    usages: str
    classes: tuple[str, ...]
    is_ca: bool
    well_known: bool
    problem: str
    place: Place | None
    place_count: int

    @property
    def period(self) -> str:
        """Its validity period as two days."""
        return f"{day(self.since) or '?'} – {day(self.until) or '?'}"  # noqa: RUF001 - an en dash, between two dates

    @property
    def anchor(self) -> str:
        """The id of its place in the report."""
        return "cert-" + "".join(c for c in self.thumbprint if c.isalnum())[:64]

    @property
    def kinds(self) -> str:
        """The classes by which its row is filtered."""
        ended = ("ended",) if self.state is Validity.EXPIRED and not self.live else ()
        return " ".join((*(("live",) if self.live else ended), *(("ca",) if self.is_ca else ()), *self.classes))

    @property
    def live(self) -> bool:
        """Whether it is valid, or was when a dump was made that it lies in."""
        return self.state is Validity.VALID or self.then is not None

    @property
    def judgement(self) -> str:
        """Its state in words: `valid`, or `valid when captured (2024-05-17), expired now`."""
        if self.state is Validity.VALID or self.then is None:
            return self.state.value
        return f"valid when captured ({day(self.then)}), {self.state.value} now"

    @property
    def order(self) -> tuple[str, str]:
        """Its place in the order: by name, then by thumbprint."""
        return (self.name.casefold(), self.thumbprint)


class ProcessRow(NamedTuple):
    """A process of a dump, and whether private keys lay in it."""

    dump: str
    process: Process
    holds_keys: bool = False

    @property
    def label(self) -> str:
        """Return `w3wp.exe (5120)`."""
        return process_label(self.process)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A private key and what a reader needs to act: whose it is, where it lay, how it was proven."""

    severity: Severity
    name: str
    key: str
    key_id: str
    certificates: tuple[CertificateRow, ...]
    named: tuple[str, ...]
    processes: tuple[ProcessRow, ...]
    process_count: int
    dumps: tuple[str, ...]
    dump_count: int
    proof: str
    encodings: str
    notes: str
    places: tuple[Place, ...]
    place_count: int

    @property
    def anchor(self) -> str:
        """The id of its place in the report."""
        return "key-" + "".join(c for c in self.key_id if c.isalnum())[:64]

    @property
    def kinds(self) -> str:
        """The classes by which it is filtered: those of its certificates."""
        classes = {name for certificate in self.certificates for name in certificate.kinds.split()}
        return " ".join(sorted(classes | {"exposed"}))

    @property
    def certificate(self) -> CertificateRow | None:
        """The certificate that is valid the longest."""
        return self.certificates[0] if self.certificates else None

    @property
    def is_ca(self) -> bool:
        """Whether it can sign other certificates."""
        return any(certificate.is_ca for certificate in self.certificates)

    @property
    def until(self) -> str:
        """Until when its certificate is valid, in words."""
        certificate = self.certificate
        if certificate is None:
            return "no certificate found"
        if certificate.until is None:
            return "unknown"
        state = "" if certificate.state is Validity.VALID else f"{certificate.judgement}, "
        return f"{day(certificate.until)} ({state}{certificate.remaining})"

    @property
    def order(self) -> tuple[int, bool, float, str, str]:
        """Its place in the order: the worst first, authorities before others, the longest valid first."""
        certificate = self.certificate
        until = certificate.until if certificate else None
        return (self.severity, not self.is_ca, -(until.timestamp() if until else 0.0), self.name, self.key_id)


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """Any other finding: an encrypted container, a public or a symmetric key."""

    kind: str
    label: str
    detail: str
    identity: str
    place: Place | None
    place_count: int

    @property
    def order(self) -> tuple[str, str, str]:
        """Its place in the order: by kind, then by label."""
        return (self.kind, self.label, self.identity)


def process_label(process: Process) -> str:
    """Return `w3wp.exe (5120)`, or what is known of the process."""
    name, pid = process.name, process.pid
    if name:
        label = f"{shorten(name, 80)} ({pid})" if pid is not None else shorten(name, 80)
    else:
        label = f"process {pid}" if pid is not None else ""
    return f"{label or 'process'}, {NOT_LISTED}" if process.unlisted else label


def place_of(location: Location, shown: Callable[[str], str]) -> Place:
    """Return a place as text. `shown` gives the name under which a dump's path is shown."""
    address, physical = location.virtual_address, location.physical_address
    process = location.process
    note = f"{location.missing} of {location.length} bytes missing" if location.missing else ""
    return Place(
        dump=shown(location.file),
        process=page_label(location.page_owner, location.page_path, location.page_inode, location.page_filesystem)
        if process is None
        else process_label(process),
        address=hex(address) if address is not None else f"physical {physical:#x}" if physical is not None else "",
        offset="" if location.file_offset is None else hex(location.file_offset),
        length=location.length,
        encoding=shorten(location.encoding, 40),
        module=shorten(location.module, 80),
        note=note,
    )


def certificate_row(certificate: Certificate, judge: Judge | datetime, shown: Callable[[str], str]) -> CertificateRow:
    """Return a certificate as the report shows it.

    Args:
        certificate: The certificate.
        judge: By which moments it is judged; or one moment.
        shown: Gives the name under which a dump's path is shown.
    """
    judge = judge if isinstance(judge, Judge) else Judge(At.on(judge), {})
    now = judge.at.now
    since, until = certificate.not_before, certificate.not_after
    names = certificate.alternative_names
    size = certificate.public_key_curve or certificate.public_key_size
    name = certificate.subject_common_name or certificate.subject or next(iter(names), "")
    return CertificateRow(
        name=shorten(name, 160) or ("(empty subject)" if certificate.problem is None else "(not parsed)"),
        subject=shorten(certificate.subject),
        issuer=shorten(certificate.issuer_common_name or certificate.issuer, 160),
        since=None if since is None else in_utc(since),
        until=None if until is None else in_utc(until),
        state=certificate.validity(now),
        then=judge.when_captured(certificate),
        remaining=remaining(in_utc(until), now) if until else "",
        key=algorithm_label(shorten(certificate.public_key_algorithm, 80) or None, size),
        key_id=certificate.key_id or "",
        thumbprint=certificate.thumbprint,
        sha256=certificate.sha256.upper(),
        alternative_names=joined(names),
        purposes=joined(purposes(certificate), 2 * MAX_NAMES),
        usages=joined(usages(certificate), 2 * MAX_NAMES),
        classes=filter_classes(certificate),
        is_ca=bool(certificate.is_ca),
        well_known=is_well_known(certificate.key_id),
        problem=shorten(certificate.problem),
        place=_first_place(certificate, shown),
        place_count=certificate.place_count,
    )


def key_row(
    key: PrivateKey,
    certificates: Iterable[CertificateRow],
    processes: dict[tuple[str, int | None], Process],
    judge: Judge,
    shown: Callable[[str], str],
) -> KeyRow:
    """Return a private key as the report shows it.

    Args:
        key: The key.
        certificates: Those that bear its public key.
        processes: What is known of every process, by dump's path and pid.
        judge: By which moments its certificates are judged.
        shown: Gives the name under which a dump's path is shown.
    """
    found = sorted(certificates, key=lambda row: (row.until is None, -(row.until.timestamp() if row.until else 0.0)))
    known = {certificate.thumbprint for certificate in found}
    named = [ref.subject for ref in key.certificates if ref.thumbprint not in known]
    label = algorithm_label(shorten(key.algorithm, 80), shorten(key.curve, 80) or key.bits)
    owners: dict[tuple[str, int | None], Process] = {}
    for location in key.locations:
        if location.process is not None:
            identity = (location.file, location.process.pid)
            owners.setdefault(identity, processes.get(identity, location.process))
    dumps = tuple(dict.fromkeys(shown(location.file) for location in key.locations))
    return KeyRow(
        severity=key_severity(
            [judge.at.validity(row.since, row.until, judge.moments(key)) for row in found], paired=bool(found or named)
        ),
        name=found[0].name if found else shorten(named[0], 160) if named else f"{label} key, no certificate found",
        key=label,
        key_id=key.key_id,
        certificates=tuple(found[:MAX_NAMES]),
        named=tuple(shorten(subject) for subject in named[:MAX_NAMES]),
        processes=tuple(ProcessRow(shown(file), owner) for (file, _), owner in list(owners.items())[:MAX_PROCESSES]),
        process_count=len(owners),
        dumps=dumps[:MAX_PROCESSES],
        dump_count=len(dumps),
        proof=joined(key.proof, 12),
        encodings=joined(key.encodings, 12),
        notes=_object_notes(key),
        places=tuple(place_of(location, shown) for location in key.locations[:MAX_PLACES]),
        place_count=key.place_count,
    )


def container_row(container: EncryptedContainer, shown: Callable[[str], str]) -> ObjectRow:
    """Return an encrypted container as the report shows it."""
    parts = [container.kdf, container.cipher, container.mac and f"MAC {container.mac}"]
    if container.iterations is not None:
        parts.insert(1, f"{container.iterations} iterations" if container.iterations < 1 << 63 else "absurd iterations")
    label = shorten(container_label(container.container), 80)
    detail = ", ".join(shorten(part, 120) for part in parts if part) or "protection unknown"
    return _object_row(container, label, detail, container.sha256, shown)


def other_key_row(key: PrivateKey | PublicKey | SymmetricKey, shown: Callable[[str], str]) -> ObjectRow:
    """Return a public or symmetric key, or one that is not proven to be a key, as the report shows it."""
    curve = getattr(key, "curve", None)
    label = algorithm_label(shorten(key.algorithm, 80), shorten(curve, 80) or key.bits)
    refs = getattr(key, "certificates", ())
    proof = joined(key.proof) or "nothing was found to check it against"
    detail = joined([ref.subject for ref in refs], 2) if refs else proof
    return _object_row(key, label, detail, key.key_id, shown)


def tls_row(secret: TlsSecret, shown: Callable[[str], str]) -> ObjectRow:
    """Return a secret of a TLS session as the report shows it."""
    random = secret.client_random or "not found"
    parts = (
        f"client random {random}{'' if secret.random_proven else ' (not proven)'}",
        secret.server_name and f"server {shorten(secret.server_name, 80)}",
        secret.peer_subject and f"peer's certificate {shorten(secret.peer_subject, 80)}",
        joined(secret.proof),
    )
    detail = "; ".join(part for part in parts if part)
    return _object_row(secret, shorten(secret.label, 80), detail, secret.secret_id, shown)


def _object_row(finding: Finding, label: str, detail: str, identity: str, shown: Callable[[str], str]) -> ObjectRow:
    return ObjectRow(
        kind="unproven" if isinstance(finding, PrivateKey) else finding.kind.replace("_", " ").removesuffix(" key"),
        label=label,
        detail=detail,
        identity=identity,
        place=_first_place(finding, shown),
        place_count=finding.place_count,
    )


def _first_place(finding: Finding, shown: Callable[[str], str]) -> Place | None:
    return place_of(finding.locations[0], shown) if finding.locations else None


def _object_notes(key: PrivateKey) -> str:
    """Return which parts of a library's key object are missing or do not belong to the key."""
    notes: dict[str, None] = {}
    for location in key.locations[:MAX_PLACES]:
        held = location.key_object
        if held is not None and held.missing_parts:
            notes[f"not in memory: {joined(held.missing_parts)}"] = None
        if held is not None and held.wrong_parts:
            notes[f"does not belong to it: {joined(held.wrong_parts)}"] = None
    return "; ".join(notes)
