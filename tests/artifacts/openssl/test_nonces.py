"""What signatures were made with is no key, though its public point lies beside it."""

from __future__ import annotations

from hashlib import sha256, sha512

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.openssl.detectors import GROUP_DETECTORS
from dumpscan.findings import PrivateKey
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support import number_samples as samples
from support.artifact_samples import CURVES, key_id
from support.number_samples import Heap

ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
    ),
    "secp521r1": int(
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        16,
    ),
}
DIGEST = int.from_bytes(sha256(b"message").digest(), "big")


def _key(curve: str, label: bytes) -> ec.EllipticCurvePrivateKey:
    size = CURVES[curve].key_size
    return ec.derive_private_key(
        int.from_bytes(sha512(label).digest() + b"12", "big") >> (528 - size + 1), CURVES[curve]
    )


def _found(curve: str, *more: str) -> set[str]:
    """Return the keys found beside the right one where a key, a nonce, and more numbers of the signature lie."""
    order = ORDERS[curve]
    key, nonce = _key(curve, b"key" * 9), _key(curve, b"nonce" * 9)
    secret, k = key.private_numbers().private_value, nonce.private_numbers().private_value
    inverse = pow(k, -1, order)
    r = nonce.public_key().public_numbers().x % order
    numbers = {"inverse": inverse, "s": inverse * (DIGEST + r * secret) % order, "digest": DIGEST}
    heap = Heap()
    for each in (key, nonce):
        public = each.public_key().public_numbers()
        for value in (each.private_numbers().private_value, public.x, public.y):
            heap.number(value, samples.go_slice)
    for name in more:
        heap.number(numbers[name], samples.go_slice)
    collector = Collector()
    Scanner((), GROUP_DETECTORS).scan(heap.memory(), collector)
    found = {finding.key_id for finding in collector.findings() if isinstance(finding, PrivateKey)}
    assert found <= {key_id(key), key_id(nonce)}
    assert key_id(key) in found
    return found - {key_id(key)}


@pytest.mark.parametrize("curve", ORDERS)
def test_a_number_whose_inverse_lies_there_is_no_key(curve: str) -> None:
    assert len(_found(curve)) == 1
    assert not _found(curve, "inverse")


@pytest.mark.parametrize("curve", ORDERS)
def test_the_number_of_a_signature_by_another_key_is_no_key(curve: str) -> None:
    assert not _found(curve, "s", "digest")


@pytest.mark.parametrize(("curve", "found"), [("secp256r1", 1), ("secp384r1", 0), ("secp521r1", 0)])
def test_a_hash_shorter_than_the_order_need_not_lie_there(curve: str, found: int) -> None:
    assert len(_found(curve, "s")) == found
