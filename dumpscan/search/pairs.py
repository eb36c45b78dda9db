"""Which certificate belongs to which private key: those with the same public key."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dumpscan.findings import Certificate, CertificateRef, PrivateKey, PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.findings import Finding

SUPPORTED = "its public key was found by itself"
"""Proof of a key whose own bytes hold nothing to check it against: its public key lies somewhere by itself."""
_EVER = datetime.min.replace(tzinfo=UTC)


def with_pairs(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, in their order, with keys and certificates of one public key naming each other.

    A private key without a proof is proved by a certificate or public key that bears its public key.

    A key's certificates from its own process come first, then those from anywhere; the longest valid first in each.
    """
    findings = list(findings)
    certificates: defaultdict[str, list[Certificate]] = defaultdict(list)
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if isinstance(finding, PrivateKey):
            keys[finding.key_id].append(finding.key_id)
        elif isinstance(finding, Certificate) and finding.key_id is not None:
            certificates[finding.key_id].append(finding)
    supported = {*certificates, *(finding.key_id for finding in findings if isinstance(finding, PublicKey))}
    return [_paired(finding, certificates, keys, supported) for finding in findings]


def without_guesses(findings: Iterable[Finding]) -> list[Finding]:
    """Leave out private keys that are one of several readings of the same bytes and that nothing speaks for."""
    return [
        finding
        for finding in findings
        if not (isinstance(finding, PrivateKey) and finding.needs_support and not finding.proof)
    ]


def with_certificates(shown: Iterable[Finding], found: Iterable[Finding]) -> list[Finding]:
    """Return the findings to export: those shown, and the certificates of shown keys, which make a pair."""
    kept = list(shown)
    there = {finding.identity for finding in kept}
    ids = {finding.key_id for finding in kept if isinstance(finding, PrivateKey)}
    kept += [
        finding
        for finding in found
        if isinstance(finding, Certificate) and finding.key_id in ids and finding.identity not in there
    ]
    return kept


def _paired(
    finding: Finding, certificates: dict[str, list[Certificate]], keys: dict[str, list[str]], supported: set[str]
) -> Finding:
    if isinstance(finding, PrivateKey | PublicKey):
        own = _processes(finding)
        references = [_reference(certificate, own) for certificate in certificates.get(finding.key_id, ())]
        references.sort(key=lambda reference: (reference.same_process, reference.not_after or _EVER), reverse=True)
        paired = replace(finding, certificates=tuple(references))
        if isinstance(paired, PrivateKey) and not paired.proof and finding.key_id in supported:
            return replace(paired, proof=(SUPPORTED,))
        return paired
    if isinstance(finding, Certificate) and finding.key_id is not None:
        return replace(finding, private_keys=tuple(keys.get(finding.key_id, ())))
    return finding


def _reference(certificate: Certificate, processes: frozenset[tuple[str, int, datetime | None]]) -> CertificateRef:
    return CertificateRef(
        thumbprint=certificate.thumbprint,
        subject=certificate.subject or "",
        common_name=certificate.subject_common_name,
        not_after=certificate.not_after,
        same_process=not processes.isdisjoint(_processes(certificate)),
    )


def _processes(finding: Finding) -> frozenset[tuple[str, int, datetime | None]]:
    """Return the processes in whose memory something lies, as (file, process id, start): ids are given out again."""
    return frozenset(
        (place.file, place.process.pid, place.process.created)
        for place in finding.locations
        if place.process is not None and place.process.pid is not None
    )
