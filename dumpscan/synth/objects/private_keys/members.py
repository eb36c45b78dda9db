"""The numbers of an RSA private key, and the DER that holds them.

Source: RFC 8017, A.1.2 (RSAPrivateKey). The DER is written here rather than by `cryptography`, which refuses numbers
that do not make a valid key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.synth.objects import der

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


def rsa_members(key: RSAPrivateKey) -> dict[str, int]:
    """Return the numbers of a key in the order of RSAPrivateKey, behind its version."""
    numbers = key.private_numbers()
    public = numbers.public_numbers
    return {
        "n": public.n,
        "e": public.e,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qi": numbers.iqmp,
    }


def pkcs1(members: Mapping[str, int]) -> bytes:
    """Return an RSAPrivateKey of these numbers, which need not make a valid key."""
    return der.sequence(der.integer(0), *map(der.integer, members.values()))
