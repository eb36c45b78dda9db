"""A case on one screen, the worst first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dumpscan.artifacts.keys.names import algorithm_label
from dumpscan.case.moments import At
from dumpscan.case.records import Exposure
from dumpscan.findings import Status, Validity
from dumpscan.output.labels import size_label
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.case.records import CaseSummary, DumpRecord, ExposedKey
    from dumpscan.findings import Certificate

_SHOWN = {Exposure.LIVE: 8, Exposure.PAIRED: 4, Exposure.ALONE: 3, Exposure.UNPROVEN: 2}
_FILES_SHOWN = 4
_ID_SHOWN = 16
_PRESENT = timedelta(minutes=1)
"""How long ago a moment may be that is still called now: that of `--at now` was taken before the case was read."""
_HEADINGS = {
    Exposure.LIVE: "Private keys with a certificate that is valid {when}",
    Exposure.PAIRED: "Private keys with certificates, none of them valid {when}",
    Exposure.ALONE: "Private keys without a certificate",
    Exposure.UNPROVEN: "Unproven keys, which nothing was found to check against",
}
_KINDS = {
    "certificate": ("certificate", "certificates"),
    "public_key": ("public key", "public keys"),
    "symmetric_key": ("symmetric key", "symmetric keys"),
    "tls_secret": ("TLS secret", "TLS secrets"),
    "encrypted_container": ("encrypted container", "encrypted containers"),
}
_STATUSES = {
    Status.OK: "whole",
    Status.NO_SYMBOLS: "without symbols",
    Status.DAMAGED: "damaged",
    Status.UNREADABLE: "unreadable",
    Status.PENDING: "unfinished",
    Status.OTHER: "no dumps",
}


def case_summary(
    summary: CaseSummary, keys: Sequence[ExposedKey], bad: Sequence[DumpRecord], at: At | None = None
) -> list[str]:
    """Return the lines of a summary.

    Args:
        summary: The case in numbers.
        keys: Its private keys, the worst first.
        bad: Files from which nothing could be read.
        at: By which moments certificates were judged; by default, now and when the dumps were made.
    """
    judged = At.of(at)
    lines: list[str] = []
    for exposure in Exposure:
        lines += _keys(exposure, [each for each in keys if each.exposure is exposure], judged)
    if not keys:
        lines.append(_nothing(summary))
    others = [
        f"{count} {_KINDS[kind][count != 1]}" for kind, count in summary.findings.items() if count and kind in _KINDS
    ]
    if others:
        known = (
            f" ({summary.well_known_cas} of the certificates are of well-known CAs)" if summary.well_known_cas else ""
        )
        lines.append(f"Also: {', '.join(others)}{known}.")
    if summary.expired_certificates or summary.live_certificates:
        live, expired = summary.live_certificates, summary.expired_certificates
        valid = "valid when captured or now" if judged.capture else "valid"
        lines.append(f"Certificates {valid}: {live}; ended: {expired}.")
    files = sum(summary.dumps.values())
    parts = ", ".join(f"{count} {_STATUSES[status]}" for status, count in summary.dumps.items())
    processes = f"{summary.processes} {'process' if summary.processes == 1 else 'processes'}"
    lines.append(f"Files: {files}: {parts or 'none'}. {processes}, {size_label(summary.bytes)} of dumps.")
    lines += [
        f"  {printable(record.path)}:  {printable('; '.join(record.problems[:1]))}" for record in bad[:_FILES_SHOWN]
    ]
    if len(bad) > _FILES_SHOWN:
        lines.append(f"  … and {len(bad) - _FILES_SHOWN} more that could not be read")
    return lines


def _nothing(summary: CaseSummary) -> str:
    """Say that no private key was found, and how much that is worth."""
    counts = {status: count for status, count in summary.dumps.items() if status is not Status.OTHER}
    lost = counts.get(Status.UNREADABLE, 0) + counts.get(Status.PENDING, 0)
    if not lost:
        return "No private keys."
    files = f"{lost} of {sum(counts.values())} files"
    return f"No private keys were found, but {files} could not be read: what they hold is not known."


def _keys(exposure: Exposure, keys: list[ExposedKey], at: At) -> Iterator[str]:
    if not keys:
        return
    then = exposure is Exposure.LIVE and any(_only_then(each.certificates, each.captured, at) for each in keys)
    heading = _HEADINGS[exposure].format(when=_when(at))
    yield f"{heading}{', or was when captured' if then and at.present else ''}: {len(keys)}"
    for each in keys[: _SHOWN[exposure]]:
        key, place = each.key, each.key.locations[0]
        parts = [algorithm_label(key.algorithm, key.curve or key.bits)]
        if each.certificates:
            certificate = each.certificates[0]
            parts.append(certificate.subject or "no subject")
            if certificate.not_after is not None:
                parts.append(f"until {certificate.not_after.date().isoformat()}")
            if moment := _only_then(each.certificates, each.captured, at):
                parts.append(f"valid when captured ({moment.date().isoformat()}), expired now")
        if place.process is not None:
            parts.append(" ".join(str(part) for part in (place.process.name, place.process.pid) if part is not None))
        parts.append(place.file + (f" and {each.dump_count - 1} more" if each.dump_count > 1 else ""))
        parts.append(f"key {key.key_id[:_ID_SHOWN]}")
        yield "  " + printable("  ".join(parts))
    if len(keys) > _SHOWN[exposure]:
        yield f"  … and {len(keys) - _SHOWN[exposure]} more"


def _when(at: At) -> str:
    """Say by which moment certificates were judged, besides the times of capture."""
    if not at.present:
        return "when captured"
    if at.capture or abs(datetime.now(UTC) - at.now) < _PRESENT:
        return "now"
    return f"on {at.now.date().isoformat()}"


def _only_then(certificates: Sequence[Certificate], captured: Sequence[datetime], at: At) -> datetime | None:
    """Return when a dump was made at which one of a key's certificates was valid, if none is now."""
    if any(each.validity(at.now) is Validity.VALID for each in certificates) or not at.capture:
        return None
    return next(
        (time for time in captured if any(each.validity(time) is Validity.VALID for each in certificates)), None
    )
