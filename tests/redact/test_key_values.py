"""What gives a key away: computed here once more, in other words."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dumpscan.artifacts.tls.derive import SHA256, expand_label, key_block
from dumpscan.artifacts.tls.in_use.vpaes import first_round_key
from dumpscan.findings import PrivateKey, SymmetricKey, TlsSecret
from dumpscan.redact.values.key_values import (
    private_key_values,
    symmetric_key_values,
    tls_schedule_values,
    tls_secret_values,
)

if TYPE_CHECKING:
    from dumpscan.redact.secret import Value


def finding(key: Any, algorithm: str, curve: str | None = None) -> PrivateKey:  # noqa: ANN401 - any of the library's keys
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return PrivateKey(sha256="", size=0, key_id="", algorithm=algorithm, bits=0, curve=curve, proof=("",), pkcs8=pkcs8)


def numbers(values: tuple[Value, ...]) -> set[int]:
    return {int.from_bytes(value.data, "big") for value in values}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - made and thrown away


def test_rsa_numbers(key: rsa.RSAPrivateKey) -> None:
    private = key.private_numbers()

    found = numbers(private_key_values(finding(key, "RSA")))

    assert {private.d, private.p, private.q, private.dmp1, private.dmq1, private.iqmp} <= found
    assert private.public_numbers.n not in found
    assert 65537 not in found


def test_what_libraries_compute_from_an_rsa_key(key: rsa.RSAPrivateKey) -> None:
    private = key.private_numbers()
    p, q = private.p, private.q

    found = numbers(private_key_values(finding(key, "RSA")))

    assert {2**512 % p, 2**1024 % p, 2**512 % q, 2**1024 % q} <= found
    assert private.iqmp * 2**512 % p in found
    assert (p - 1) * (q - 1) % 2**512 in found
    modulus = (p * q).to_bytes(128, "big")
    windows = {modulus[at : at + 16] for at in range(113)}
    data = [value.data for value in private_key_values(finding(key, "RSA"))]
    assert not [each for each in data if any(each[at : at + 16] in windows for at in range(len(each) - 15))]


def test_ec_scalar_and_its_montgomery_form() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    d = key.private_numbers().private_value
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    found = private_key_values(finding(key, "EC", "secp256r1"))

    assert {d, d * 2**256 % order} <= numbers(found)
    public = key.public_key().public_numbers()
    assert not any(public.x.to_bytes(32, "big") in value.data for value in found)


def test_seeds_and_what_is_hashed_from_them() -> None:
    signing, agreement = ed25519.Ed25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()

    found = {value.data for value in private_key_values(finding(signing, "Ed25519"))}

    seed = signing.private_bytes_raw()
    assert {seed, hashlib.sha512(seed).digest()} <= found
    assert agreement.private_bytes_raw() in {value.data for value in private_key_values(finding(agreement, "X25519"))}


def test_aes_schedules() -> None:
    # FIPS 197, appendix A.1: the key, and the last round key.
    secret = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    key = SymmetricKey(sha256="", size=16, key_id="", algorithm="AES", bits=128, key=secret, proof=("",))

    found = [value.data for value in symmetric_key_values(key)]

    assert found[0] == secret
    assert found[1].endswith(bytes.fromhex("d014f9a8c9ee2589e13f0cc8b6630ca6"))


def test_keys_of_tls_1_3() -> None:
    # RFC 8448, section 3: the client's handshake traffic secret, and its write key.
    secret = bytes.fromhex("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21")
    finding = TlsSecret(sha256="", size=32, secret_id="", label="x", version="TLS 1.3", proof=("",), secret=secret)

    found = {value.data for value in tls_secret_values(finding)}

    assert {secret, bytes.fromhex("dbfaa693d1762c5b666af5d950258d01")} <= found


def test_schedules_of_vpaes_follow_from_secrets_of_tls() -> None:
    secret = bytes(range(100, 148))
    finding = TlsSecret(
        sha256="", size=48, secret_id="", label="CLIENT_RANDOM", version="TLS 1.2", proof=("",), secret=secret
    )
    of_12 = replace(finding, client_random="11" * 32, server_random="22" * 32)
    of_13 = replace(finding, label="x", version="TLS 1.3", secret=secret[:32])
    block = key_block(secret, b"\x11" * 32, b"\x22" * 32, SHA256, 160)
    wanted = {first_round_key(block[start : start + 16]) for start in (0, 16, 32, 2 * 20 + 16, 2 * 48 + 32)}

    assert wanted <= {value.data for value in tls_schedule_values(of_12)}
    key = expand_label(secret[:32], SHA256, b"key", 16)
    assert first_round_key(key) in {value.data for value in tls_schedule_values(of_13)}
    assert not tls_schedule_values(finding)  # without randoms, nothing follows


def test_the_key_block_of_tls_1_2() -> None:
    finding = TlsSecret(
        sha256="",
        size=48,
        secret_id="",
        label="CLIENT_RANDOM",
        version="TLS 1.2",
        client_random="11" * 32,
        server_random="22" * 32,
        proof=("",),
        secret=bytes(range(48)),
    )

    blocks = [value.data for value in tls_secret_values(finding)[1:]]

    seed = b"key expansion" + b"\x22" * 32 + b"\x11" * 32
    first = hmac.new(bytes(range(48)), seed, "sha256").digest()
    assert blocks[0].startswith(hmac.new(bytes(range(48)), first + seed, "sha256").digest())
    assert [len(block) for block in blocks] == [160, 160]
