"""How bad a finding is, in five steps, and whether a certificate is valid: what a report leads with."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from dumpscan.case.records import Exposure, expired_at, valid_at

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from dumpscan.findings import Certificate


class Severity(IntEnum):
    """The smaller, the worse, so that sorting puts the worst first. The first three are private keys by exposure."""

    CRITICAL = 1
    HIGH = 2
    MEDIUM = 3
    LOW = 4
    NOTICE = 5

    @property
    def label(self) -> str:
        """Return it as a word."""
        return self.name.capitalize()

    @property
    def meaning(self) -> str:
        """Return what earns it."""
        return _MEANINGS[self]

    @property
    def action(self) -> str:
        """Return what to do about it."""
        return _ACTIONS[self]


_MEANINGS = {
    Severity.CRITICAL: "A private key with a certificate that was valid when this report was made.",
    Severity.HIGH: "A private key whose certificates were not valid then: expired, not valid yet, or without dates.",
    Severity.MEDIUM: "A private key of which no certificate was found.",
    Severity.LOW: "Key material that is protected by a password.",
    Severity.NOTICE: "A symmetric key, a public key or a certificate.",
}
_ACTIONS = {
    Severity.CRITICAL: "Revoke the certificate, make a new key, and find every place where the old one is installed.",
    Severity.HIGH: "Make sure that nothing accepts the key any more; what it signed or decrypted is still at risk.",
    Severity.MEDIUM: "Find out what the key opens (its key id names it), then replace it.",
    Severity.LOW: "Judge how strong the password is; replace the key if it could be guessed.",
    Severity.NOTICE: "None by itself: any process that uses cryptography holds such objects.",
}
_BY_EXPOSURE = {
    Exposure.LIVE: Severity.CRITICAL,
    Exposure.PAIRED: Severity.HIGH,
    Exposure.ALONE: Severity.MEDIUM,
}


class Validity(StrEnum):
    """Where a moment stands to a certificate's period; the value is fit to be shown."""

    VALID = "valid"
    EXPIRED = "expired"
    FUTURE = "not valid yet"
    UNKNOWN = "validity unknown"


def validity(certificate: Certificate, now: datetime) -> Validity:
    """Return whether a certificate is valid at a time."""
    if valid_at(certificate, now):
        return Validity.VALID
    if expired_at(certificate, now):
        return Validity.EXPIRED
    begins = certificate.not_before
    return Validity.FUTURE if begins is not None and begins > now else Validity.UNKNOWN


def key_severity(certificates: Iterable[Validity], *, paired: bool) -> Severity:
    """Return how bad it is that a private key was found.

    Args:
        certificates: The state of each of its certificates.
        paired: Whether it has any, also one of which nothing more is known.
    """
    exposure = Exposure.LIVE if Validity.VALID in certificates else Exposure.PAIRED if paired else Exposure.ALONE
    return _BY_EXPOSURE[exposure]
