"""Which certificate belongs to which private key: those with the same public key."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from dumpscan.findings import Certificate, CertificateRef, PrivateKey, PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.findings import Finding


def with_pairs(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, in their order, with keys and certificates of one public key naming each other."""
    findings = list(findings)
    certificates: defaultdict[str, list[CertificateRef]] = defaultdict(list)
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if isinstance(finding, PrivateKey):
            keys[finding.key_id].append(finding.key_id)
        elif isinstance(finding, Certificate) and finding.key_id is not None:
            certificates[finding.key_id].append(
                CertificateRef(thumbprint=finding.thumbprint, subject=finding.subject or "")
            )
    return [_paired(finding, certificates, keys) for finding in findings]


def _paired(finding: Finding, certificates: dict[str, list[CertificateRef]], keys: dict[str, list[str]]) -> Finding:
    if isinstance(finding, PrivateKey | PublicKey):
        return replace(finding, certificates=tuple(certificates.get(finding.key_id, ())))
    if isinstance(finding, Certificate) and finding.key_id is not None:
        return replace(finding, private_keys=tuple(keys.get(finding.key_id, ())))
    return finding
