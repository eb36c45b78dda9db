"""Who issued which certificate, among those of a case: names agree, and the issuer's key verifies the signature."""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.x509 import load_der_x509_certificate

from dumpscan.artifacts.x509.readers import ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dumpscan.findings import Certificate

MAX_CERTIFICATES = 4000
"""Certificates whose issuer is looked for; for the others, the name of the issuer has to do."""
MAX_LENGTH = 8
"""Certificates in a chain. Real ones have two to four."""
_MAX_CANDIDATES = 8
"""Certificates of one name by whose keys a signature is verified."""
_ERRORS = (InvalidSignature, *ERRORS)


def issuers(certificates: Iterable[Certificate]) -> dict[str, str]:
    """Return the thumbprint of the issuer of each certificate whose issuer is among them, by its own thumbprint.

    A certificate that is signed with its own key is its own issuer.
    """
    kept = list(certificates)[:MAX_CERTIFICATES]
    by_subject: defaultdict[str, list[Certificate]] = defaultdict(list)
    for certificate in kept:
        if certificate.subject:
            by_subject[certificate.subject].append(certificate)
    found: dict[str, str] = {}
    with warnings.catch_warnings(action="ignore"):
        for certificate in kept:
            for candidate in by_subject.get(certificate.issuer or "", ())[:_MAX_CANDIDATES]:
                if _issued(certificate, candidate):
                    found[certificate.thumbprint] = candidate.thumbprint
                    break
    return found


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        load_der_x509_certificate(certificate.der).verify_directly_issued_by(load_der_x509_certificate(issuer.der))
    except _ERRORS:
        return False
    return True


def chain(thumbprint: str, issued_by: Mapping[str, str]) -> tuple[str, ...]:
    """Return the thumbprints of a certificate's issuer, of that one's issuer, and so on, as far as they are known."""
    found: list[str] = []
    at = thumbprint
    while len(found) < MAX_LENGTH and (above := issued_by.get(at)) is not None and above != at and above not in found:
        found.append(above)
        at = above
    return tuple(found)
