"""Encrypted containers, opened by `cryptography`."""

from __future__ import annotations

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import pkcs12 as asn1_pkcs12
from cryptography.hazmat.primitives.serialization import load_der_private_key, pkcs12

from dumpscan.synth.objects import containers, keys
from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.objects.private_keys.writers import write_key
from dumpscan.synth.objects.spec import ObjectSpec

PASSWORDS = ["secret", "", "pässwörd 🔑", "x" * 200]
KEY = keys.make_key("ec-p256", "test/key")
PKCS8 = write_key(KEY, "pkcs8")
CERTIFICATE = make(ObjectSpec(kind="certificate", algorithm="ec-p256", subject="CN=held"), "test").data


@pytest.mark.parametrize("password", PASSWORDS)
def test_encrypted_pkcs8_opens_with_its_password(password: str) -> None:
    data = containers.encrypted_pkcs8(PKCS8, password, "seed")
    asn1_keys.EncryptedPrivateKeyInfo.load(data, strict=True)
    if password:  # OpenSSL refuses an empty one
        assert load_der_private_key(data, password.encode()).public_key() == KEY.private.public_key()
        with pytest.raises(ValueError, match="password"):
            load_der_private_key(data, b"wrong")


@pytest.mark.parametrize("password", [password for password in PASSWORDS if password.isascii()])
def test_pkcs12_opens_with_its_password(password: str) -> None:
    """Non-ASCII passwords are left out: readers do not agree on their encoding in the MAC and in the ciphers."""
    data = containers.pkcs12(PKCS8, CERTIFICATE, password, "seed", "a name")
    asn1_pkcs12.Pfx.load(data, strict=True)
    held = pkcs12.load_pkcs12(data, password.encode())
    assert held.key is not None
    assert held.cert is not None
    assert held.key.public_key() == KEY.private.public_key()
    assert held.cert.friendly_name == b"a name"
    assert held.cert.certificate.subject.rfc4514_string() == "CN=held"
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(data, b"wrong")


def test_salts_come_from_the_seed() -> None:
    one, again, other = (containers.encrypted_pkcs8(PKCS8, "secret", seed) for seed in ("a", "a", "b"))
    assert one == again != other
    one, again, other = (containers.pkcs12(PKCS8, CERTIFICATE, "secret", seed, "n") for seed in ("a", "a", "b"))
    assert one == again != other
