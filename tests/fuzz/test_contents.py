"""Whatever a memory is made of, its proofs are announced: what is announced ends with the decoding budget.

No time is measured here. The figures are what searches announce, and that is about what they take: `python -m
fuzz.measure` compares the two.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.search import decoding as decoding_module
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from fuzz.contents import BASE, announced, content
from fuzz.signature_contents import BEHIND, SIGNATURES, matching
from support.artifact_samples import Space

if TYPE_CHECKING:
    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.memory.space import Memory
    from dumpscan.scan.signature import Hit

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
    "certificate-openings": 2_700,
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
    "symcrypt-p521": 2_500,
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
    "certificate-validities": 17_000,
    "certificate-validities-nested": 15_000,
    "openpgp-nested": 2_100,
    "openpgp-signatures": 37_000,
    "openpgp-headers": 25_000,
    "s-expression": 1_700,
    "s-expression-atoms": 890,
    "s-expression-spaces": 550,
    "s-expression-text": 530,
    "s-expression-escapes": 530,
    "s-expression-hex": 530,
    "s-expression-long": 1_100,
    "ssh-strings": 420,
    "ssh-ed25519": 510,
    "ssh.com-headers": 1_400,
    "openings-decimal": 5_500,
    "openings-string": 6_800,
    "openings-string-octal": 6_800,
    "openings-string-of-json": 4_300,
    "openings-urlencoded": 9_300,
    "openings-quoted-printable": 9_300,
    "openings-hex-dump": 5_000,
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


@pytest.mark.parametrize("behind", BEHIND)
def test_whatever_lies_behind_an_opening_nothing_escapes(behind: str) -> None:
    """Each signature's opening, twice: what decoders make of the rest is up to them, but they say so in their ways."""
    rng = random.Random(behind)  # noqa: S311 - repeatable on purpose
    places = [BEHIND[behind](matching(each, rng), rng) for each in SIGNATURES for _ in range(2)]
    seen: set[str] = set()
    decode = decoding_module.Decoding.decode

    def noting(self: decoding_module.Decoding, memory: Memory, hit: Hit, **others: int) -> Decoded | None:
        seen.add(hit.signature.name)
        return decode(self, memory, hit, **others)

    with patch.object(decoding_module.Decoding, "decode", noting):
        Scanner(EVERYTHING.detectors).scan(Space({BASE: bytes(64).join(places)}), Collector())
    if behind != "a part missing":
        in_memory = {each.name for each in SIGNATURES if not each.only_in_text}
        assert len(in_memory - seen) < len(in_memory) / 20  # what looks like two signatures counts as one of them
