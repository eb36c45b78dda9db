"""The specification of an object: what a scenario says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSpec:
    """An object to make.

    Two objects with the same `key` and `algorithm` hold the same key pair, if they are made from the same seed. A
    certificate and its private key are paired in this way.

    Attributes:
        kind: One of `catalogue.ENCODINGS`.
        algorithm: Of the key: one of `keys.ALGORITHMS` or, for a symmetric key, of `keys.SYMMETRIC`.
        key: Name of the key.
        encoding: How the object is written: one of those that `catalogue.ENCODINGS` has for its kind, the first if
            empty. For a decoy, its flaw.
        subject: RFC 4514 distinguished name of a certificate.
        issuer: Specification of the certificate that signs; None for a self-signed one.
        version: 1 or 3.
        serial: Serial number; None takes one from the seed.
        not_before: UTC.
        not_after: UTC.
        alternative_names: `DNS:name`, `IP:address`, `email:address`, `URI:address`.
        ca: Basic constraints of the certificate.
        password: Of an encrypted container.
        wrapped: Whether the provider's handle follows SymCrypt's key.
        carriers: Carriers of the object, one in the other, the innermost first (`carriers.CARRIERS`).
    """

    kind: str
    algorithm: str = "rsa-2048"
    key: str = "key"
    encoding: str = ""
    subject: str = "CN=example.org"
    issuer: ObjectSpec | None = None
    version: int = 3
    serial: int | None = None
    not_before: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    not_after: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    alternative_names: tuple[str, ...] = ()
    ca: bool = False
    password: str = field(default="dumpscan", repr=False)
    wrapped: bool = False
    carriers: tuple[str, ...] = ()
