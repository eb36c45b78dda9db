"""Names of algorithms."""

from __future__ import annotations

import pytest
from asn1crypto.algos import SignedDigestAlgorithmId
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import PublicKeyAlgorithmOID, SignatureAlgorithmOID

from dumpscan.artifacts.x509.oid_names import PUBLIC_KEY_ALGORITHMS, SIGNATURE_ALGORITHMS


def _identifiers(names: type) -> dict[str, str]:
    return {value.dotted_string: name for name, value in vars(names).items() if isinstance(value, ObjectIdentifier)}


@pytest.mark.parametrize(("dotted", "name"), _identifiers(SignatureAlgorithmOID).items())
def test_signatures_that_the_library_knows(dotted: str, name: str) -> None:
    if dotted not in SIGNATURE_ALGORITHMS:
        pytest.skip("shown by its identifier")
    plain = SIGNATURE_ALGORITHMS[dotted].lower().replace("-", "").replace("_", "")
    assert all(part in plain for part in name.lower().removeprefix("_").split("_") if part not in ("with", "rsa"))


@pytest.mark.parametrize(
    "dotted", ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.4", "1.2.840.10040.4.3"]
)
def test_signatures_against_another_library(dotted: str) -> None:
    digest, algorithm = SignedDigestAlgorithmId(dotted).native.split("_")
    assert digest in SIGNATURE_ALGORITHMS[dotted].lower()
    assert algorithm in SIGNATURE_ALGORITHMS[dotted].lower()


@pytest.mark.parametrize(("dotted", "name"), _identifiers(PublicKeyAlgorithmOID).items())
def test_public_keys_that_the_library_knows(dotted: str, name: str) -> None:
    assert PUBLIC_KEY_ALGORITHMS[dotted].upper().replace("-", "_") in name.upper()
