"""What can close the gate, by name."""

from __future__ import annotations

from enum import StrEnum


class GateRule(StrEnum):
    """What closes the gate."""

    PRIVATE_KEY = "private-key"
    """Any private key that is proved."""
    UNPROVEN_KEY = "unproven-key"
    """What looks like a private key and has nothing to be checked against."""
    KEY_WITH_CERTIFICATE = "key-with-certificate"
    """A private key of which a certificate was found, in whichever dump of the case."""
    LIVE_KEY = "live-key"
    """A private key with a certificate that is valid now."""
    SYMMETRIC_KEY = "symmetric-key"
    """A key of a symmetric cipher (not looked for with `--no-aes`)."""
    ENCRYPTED_CONTAINER = "encrypted-container"
    """Key material under a password."""
    EXPIRED = "expired"
    """A certificate whose validity has ended."""
    CERTIFICATE = "certificate"
    """Any certificate."""
