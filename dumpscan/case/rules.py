"""The rules of the gate. They have a module of their own because the command line needs their names at once."""

from __future__ import annotations

from enum import StrEnum


class GateRule(StrEnum):
    """What closes the gate if it is found."""

    PRIVATE_KEY = "private-key"
    """A private key that is proved."""
    UNPROVEN_KEY = "unproven-key"
    """What looks like a private key, where nothing in the dump proves or refutes it."""
    KEY_WITH_CERTIFICATE = "key-with-certificate"
    """A private key whose certificate was found in any dump of the case."""
    LIVE_KEY = "live-key"
    """A private key with a certificate that is valid now, or was when the dump was made (`--at`)."""
    TEST_KEY = "test-key"
    """A private key that programs carry to test themselves, as `openssl speed` does. No other rule counts it."""
    SYMMETRIC_KEY = "symmetric-key"
    """A key of a symmetric cipher. `--no-aes` does not look for them."""
    TLS_SECRET = "tls-secret"  # noqa: S105 - the name of a rule
    """A secret of a TLS session. They are looked for only if this rule or `--tls` is given."""
    ENCRYPTED_CONTAINER = "encrypted-container"
    """Key material protected by a password."""
    EXPIRED = "expired"
    """A certificate that has expired."""
    CERTIFICATE = "certificate"
    """Any certificate."""
    UNREAD = "unread"
    """An input that could not be read: what it holds is not known."""
