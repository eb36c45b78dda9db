"""Whether the private key of a certificate is among findings: the question is answered by public key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dumpscan.findings import Finding
    from dumpscan.search.reference import Reference

GIVEN = "its public key was given"
"""Proof of a key whose own bytes hold nothing to check them against: the user knows its public key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found of one reference.

    Attributes:
        reference: What was asked for.
        key_id: SHA-256 (hex) of the SubjectPublicKeyInfo; None where only a certificate was named that was not found.
        keys: Its private key: one, or none. Several where a thumbprint fits several certificates.
        others: Certificates and public keys that bear its public key, or that are what was named.
    """

    reference: Reference
    key_id: str | None
    keys: tuple[PrivateKey, ...]
    others: tuple[Certificate | PublicKey, ...]

    @property
    def found(self) -> bool:
        """Whether its private key is there, proven or not."""
        return bool(self.keys)

    @property
    def proven(self) -> bool:
        """Whether anything proves that it is."""
        return any(key.proof for key in self.keys)


def answer(reference: Reference, findings: Sequence[Finding]) -> Answer:
    """Look for the private key of what a reference names.

    Args:
        reference: A certificate or key. If it is a thumbprint, the certificate's public key is taken from the findings.
        findings: What was found; private keys may be unproven, since equality with a given public key is a
            proof; with a given key id it is not, which may have been read off the same key.
    """
    ids = {reference.key_id} if reference.key_id else set()
    ids |= {each.key_id for each in findings if isinstance(each, Certificate) and each.key_id and reference.fits(each)}
    keys = [each for each in findings if isinstance(each, PrivateKey) and each.key_id in ids]
    return Answer(
        reference=reference,
        key_id=next((each.key_id for each in keys), reference.key_id or next(iter(sorted(ids)), None)),
        keys=tuple(
            replace(each, proof=(GIVEN,)) if reference.public_info and not each.proof else each for each in keys
        ),
        others=tuple(
            each
            for each in findings
            if isinstance(each, Certificate | PublicKey) and (each.key_id in ids or reference.fits(each))
        ),
    )


def locked(findings: Iterable[Finding]) -> int:
    """Return how many encrypted containers are among findings: any of them may hold any key."""
    return sum(isinstance(each, EncryptedContainer) and each.is_encrypted for each in findings)
