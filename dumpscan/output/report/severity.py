"""How bad a finding is, in five steps: what a report leads with."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from dumpscan.case.records import Exposure
from dumpscan.findings import Validity

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(IntEnum):
    """Sorting puts the worst first. The first three are those of private keys, by exposure."""

    CRITICAL = 1
    HIGH = 2
    MEDIUM = 3
    LOW = 4
    NOTICE = 5

    @property
    def label(self) -> str:
        """The severity as a word."""
        return self.name.capitalize()

    @property
    def meaning(self) -> str:
        """What has this severity."""
        return _MEANINGS[self]

    @property
    def action(self) -> str:
        """What to do about it."""
        return _ACTIONS[self]


_MEANINGS = {
    Severity.CRITICAL: "A private key with a certificate that is valid now, or was when a dump with the key was made.",
    Severity.HIGH: "A private key whose certificates are not valid: expired, not valid yet, or without dates.",
    Severity.MEDIUM: "A private key of which no certificate was found.",
    Severity.LOW: "Key material that is protected by a password.",
    Severity.NOTICE: "A symmetric key, a public key, a certificate, or what may be a key and is not proven.",
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
    Exposure.UNPROVEN: Severity.NOTICE,
}


def key_severity(certificates: Iterable[Validity], *, paired: bool) -> Severity:
    """Return how bad it is that a private key was found.

    Args:
        certificates: The validity of each of its certificates.
        paired: Whether it has any, including one of which only the name is known.
    """
    exposure = Exposure.LIVE if Validity.VALID in certificates else Exposure.PAIRED if paired else Exposure.ALONE
    return _BY_EXPOSURE[exposure]
