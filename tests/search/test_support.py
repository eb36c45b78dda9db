"""Public values that speak for keys whose own bytes do not prove them."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.algorithms import dh, ml_dsa, ml_kem, ml_pkcs8
from dumpscan.search.support import supported_keys
from support.artifact_samples import dsa_key, memory_of, tlv
from support.blob_samples import dh_numbers, dsa_numbers

if TYPE_CHECKING:
    from dumpscan.findings import PrivateKey

DSA, DH = dsa_numbers(dsa_key()), dh_numbers()
SEED = sha256(b"seed").digest() + sha256(b"other").digest()


def _ml(parameters: ml_dsa.ParameterSet | ml_kem.ParameterSet, identifier: str) -> tuple[PrivateKey, bytes]:
    seed = SEED[: parameters.seed_size]
    encoded = bytes.fromhex(identifier)
    return ml_pkcs8.PKCS8_ALGORITHMS[encoded]([], tlv(0x80, seed), None), parameters.expand(seed)[1]


KEYS = {
    "DSA": (key_proof.dsa_key(p=DSA.p, q=DSA.q, g=DSA.g, x=DSA.x), DSA.y.to_bytes(128, "big")),
    "DH": (dh.dh_key(p=DH.p, g=DH.g, x=DH.x), DH.y.to_bytes(256, "little")),
    "ML-DSA": _ml(ml_dsa.ML_DSA_65, "0609608648016503040312"),
    "ML-KEM": _ml(ml_kem.ML_KEM_768, "0609608648016503040402"),
}


@pytest.mark.parametrize("name", KEYS)
def test_the_public_value_lies_in_memory(name: str) -> None:
    key, public = KEYS[name]
    if name.startswith("ML"):
        pytest.importorskip(f"cryptography.hazmat.primitives.asymmetric.{name.replace('-', '').lower()}")
    assert not key.proof
    others = b"".join(value for other, (_, value) in KEYS.items() if other != name)
    assert supported_keys([key], memory_of(bytes(100) + public + bytes(100))) == {key.key_id}
    assert supported_keys([key], memory_of(others + public[:19] + others)) == set()


def test_only_the_keys_whose_value_is_there() -> None:
    public = KEYS["DH"][1]
    assert supported_keys([key for key, _ in KEYS.values()], memory_of(public)) == {KEYS["DH"][0].key_id}
    assert supported_keys([], memory_of(public)) == set()
