"""Decoys: bytes that look like a certificate or a key and are not. A scanner that reports one is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects.certificates import certificate_der, key_of
from dumpscan.synth.objects.pem import pem
from dumpscan.synth.objects.private_keys.members import pkcs1, rsa_members
from dumpscan.synth.objects.private_keys.writers import write_key
from dumpscan.synth.objects.symcrypt.keys import BUILDS
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.synth.objects.spec import ObjectSpec


_PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


def _truncated_certificate(spec: ObjectSpec, seed: str) -> bytes:
    content = certificate_der(spec, seed)
    return content[: len(content) // 2]


def _garbled_certificate(spec: ObjectSpec, seed: str) -> bytes:
    content = certificate_der(spec, seed)
    return content[:16] + SeededBytes("decoy", seed, spec.key).take(len(content) - 16)


def _broken_modulus(spec: ObjectSpec, seed: str) -> bytes:
    key = key_of(spec, seed).private
    if not isinstance(key, RSAPrivateKey):
        raise ScenarioError(f"this decoy needs an RSA key, not {spec.algorithm!r}")
    members = rsa_members(key)
    noise = SeededBytes("decoy", seed, spec.key)
    private = {name: noise.bits(members[name].bit_length()) | 1 << members[name].bit_length() - 1 for name in _PRIVATE}
    return pkcs1(members | {"n": members["n"] + 2} | private)


def _broken_blob(spec: ObjectSpec, seed: str) -> bytes:
    blob = bytearray(write_key(key_of(spec, seed), "cng"))
    blob[-1] ^= 0x80
    return bytes(blob)


DECOYS: dict[str, Callable[[ObjectSpec, str], bytes]] = {
    "truncated-certificate": _truncated_certificate,
    "garbled-certificate": _garbled_certificate,
    "broken-modulus": _broken_modulus,
    "broken-blob": _broken_blob,
    "broken-pem": lambda spec, seed: pem("RSA PRIVATE KEY", _broken_modulus(spec, seed)),
}
"""The decoys that are plain bytes.

`truncated-certificate` is the first half of a certificate, `garbled-certificate` its first 16 bytes followed by noise,
`broken-modulus` a PKCS#1 key with another modulus and noise for the private numbers, `broken-pem` the same as PEM, and
`broken-blob` a CNG blob whose last number is wrong. It should be of an EC key: an RSA key follows from n and p alone.
"""

GARBLED = {f"garbled-{build}": build for build in BUILDS}
"""Decoys that are SymCrypt keys with the right tags, sizes and pointers and with noise for numbers."""
