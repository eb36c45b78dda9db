"""Whatever a memory is made of, its proofs are announced: what is announced ends with the decoding budget.

No time is measured here. The figures are what searches announce, and that is about what they take: `python -m
fuzz.measure` compares the two.
"""

from __future__ import annotations

import pytest

from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.search import decoding as decoding_module
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from fuzz.contents import BASE, announced, content
from support.artifact_samples import Space

_KIB = 1024
LEAST = {
    "rsa-composite-512": 400,
    "rsa-composite-1024": 780,
    "rsa-composite-2048": 2_700,
    "rsa-composite-4096": 16_000,
    "rsa-unrelated": 1_000,
    "sec1-secp256r1": 1_200,
    "sec1-secp384r1": 1_600,
    "sec1-secp521r1": 1_700,
    "sec1-secp256k1": 3_700,
    "sec1-sect283k1": 240_000,
    "sec1-brainpoolP512t1": 27_000,
    "sec1-no-point": 4_000,
    "sec1-no-curve": 1_000,
    "sec1-value-only": 99_000,
    "ed25519": 2_400,
    "ed448": 4_900,
    "x448": 4_900,
    "ml-dsa-87": 70_000,
    "ml-kem-1024": 12_000,
    "dsa-2048": 6_600,
    "dsa-4096": 13_000,
    "dsa-unproven": 7_500,
    "dh-2048": 46_000,
    "certificate": 280,
    "encrypted": 290,
    "pkcs12": 1_100,
    "ber": 4_700,
    "der-within-der": 1_800,
    "certificate-openings": 1_900,
    "cng-rsa": 5_000,
    "cng-ec": 1_800,
    "cng-dh-4096": 26_000,
    "cng-dsa": 3_700,
    "capi-dh": 33_000,
    "openpgp": 3_200,
    "ssh": 3_000,
    "openssh-magic": 430,
    "putty": 210,
    "jks": 1_000,
    "bouncycastle": 930,
    "pvk": 680,
    "pem-composite": 2_000,
    "pem-ed25519": 2_100,
    "pem-begin": 530,
    "pem-begin-16": 270,
    "pem-dashes": 1_700,
    "pem-escaped": 5_200,
    "base64": 750,
    "base64-twice": 1_100,
    "base64-openings": 23_000,
    "base64-certificates": 47_000,
    "base64-of-openings": 24_000,
    "hex": 490,
    "hex-openings": 4_400,
    "hex-spaced": 7_700,
    "list": 7_600,
    "jwk": 1_100,
    "jwk-names": 32_000,
    "jwk-braces": 23_000,
    "xml": 6_100,
    "openpgp-armour": 3_500,
    "symcrypt-rsa-1024": 940,
    "symcrypt-rsa-4096": 3_000,
    "symcrypt-rsa-damaged": 3_100,
    "symcrypt-p256": 2_800,
    "symcrypt-p521": 670,
    "symcrypt-unnamed-curve": 4_600,
    "symcrypt-x25519": 770,
    "symcrypt-dl-2048": 14_000,
    "symcrypt-ints": 2_100,
    "symcrypt-moduli": 690,
    "symcrypt-groups": 1_300,
    "numbers-rsa": 2_600,
    "numbers-gmp": 1_200,
    "numbers-mbedtls": 1_200,
    "shielded": 3_200,
    "aes-schedules": 3_800,
}
"""Microseconds that each KiB of a kind announces at least: two thirds of what it did when it was last measured."""
SIZES = {kind: 1 if least > 200_000 else 4 if least > 5_000 else 16 for kind, least in LEAST.items()}
"""KiB that are searched."""


@pytest.mark.parametrize("kind", LEAST)
def test_what_a_search_takes_is_announced(kind: str) -> None:
    size = SIZES[kind] * _KIB
    assert announced(kind, size) > LEAST[kind] * size / _KIB


@pytest.mark.parametrize("kind", ["rsa-composite-1024", "sec1-secp521r1", "jwk-names", "numbers-rsa", "symcrypt-p256"])
def test_a_search_ends_with_its_budget_and_says_so(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is announced until then is what the budget has, and a key that is found gives little of it back."""
    monkeypatch.setattr(decoding_module, "_FIRST_PATIENCE", 5_000)
    monkeypatch.setattr(decoding_module, "_PATIENCE_PER_MIB", 0)
    paid: list[float] = []
    pay = decoding_module.Decoding.pay

    def counting(self: decoding_module.Decoding, microseconds: float) -> None:
        pay(self, microseconds)
        paid.append(microseconds)

    monkeypatch.setattr(decoding_module.Decoding, "pay", counting)
    size = 32 * _KIB
    problems = Scanner(EVERYTHING.detectors, EVERYTHING.groups).scan(Space({BASE: content(kind, size)}), Collector())
    assert sum(paid) < 5_000 + 1.2 * size
    assert any("openings of objects passed over" in problem for problem in problems)
