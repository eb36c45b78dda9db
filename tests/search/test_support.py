"""Keys whose own bytes hold nothing to check them against: what speaks for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dumpscan.artifacts.registry import X509
from dumpscan.findings import PrivateKey
from dumpscan.search.merge import Collector
from dumpscan.search.pairs import SUPPORTED, with_pairs, without_guesses
from dumpscan.search.run import search
from support.artifact_samples import BASE, Space, certificate_der

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
PREFIX = bytes.fromhex("302e020100300506032b657004220420")
GAP = bytes(64)


def found(data: bytes) -> list[PrivateKey]:
    collector = Collector()
    assert search(Space({BASE: data}), X509, collector) == ()
    return [each for each in with_pairs(collector.findings()) if isinstance(each, PrivateKey)]


def test_alone_it_is_unproven() -> None:
    (key,) = found(GAP + PREFIX + SEED + GAP)
    assert key.proof == ()


@pytest.mark.parametrize("encoding", ["raw", "spki", "ssh"])
def test_its_public_value_anywhere_proves_it(encoding: str) -> None:
    public = KEY.public_key()
    forms = {
        "raw": public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        "spki": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "ssh": b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + public.public_bytes(Encoding.Raw, PublicFormat.Raw),
    }
    (key,) = found(GAP + forms[encoding] + GAP + PREFIX + SEED)
    assert key.proof == (SUPPORTED,)


def test_the_public_value_of_another_key_does_not() -> None:
    other = ed25519.Ed25519PrivateKey.from_private_bytes(SEED[::-1]).public_key()
    (key,) = found(other.public_bytes(Encoding.Raw, PublicFormat.Raw) + GAP + PREFIX + SEED)
    assert key.proof == ()


@pytest.mark.parametrize("order", ["big", "little"])
def test_of_a_point_either_order_of_bytes(order: str) -> None:
    private = ec.derive_private_key(int.from_bytes(SEED, "big"), ec.SECP256R1())
    whole = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    at = whole.index(SEED)  # SEC 1 without its public point, within PKCS#8
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    sec1 = bytes.fromhex("3025020101") + b"\x04\x20" + SEED
    body = bytes.fromhex("020100") + algorithm + b"\x04" + bytes([len(sec1)]) + sec1
    assert at > 0
    x = private.public_key().public_numbers().x.to_bytes(32, order)
    (key,) = found(x + GAP + b"\x30" + bytes([len(body)]) + body + GAP)
    assert key.proof == (SUPPORTED,)


def test_a_certificate_speaks_for_its_key() -> None:
    certificate = certificate_der("ed25519")
    collector = Collector()
    search(Space({BASE: certificate}), X509, collector)
    (paired,) = collector.findings()
    guess = PrivateKey(
        sha256="", size=0, algorithm="Ed25519", bits=256, key_id=paired.key_id, proof=(), pkcs8=b"", needs_support=True
    )
    assert without_guesses(with_pairs([guess])) == []
    (kept, _) = without_guesses(with_pairs([guess, paired]))
    assert isinstance(kept, PrivateKey)
    assert kept.proof == (SUPPORTED,)
    assert without_guesses([replace(guess, needs_support=False)]) == [replace(guess, needs_support=False)]
