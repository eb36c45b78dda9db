"""The structures of libraries around the headers of a key's numbers: the objects by which a key is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts.openssl.ec import ec_keys_around
from dumpscan.artifacts.openssl.headers import MBEDTLS, OPENSSL
from dumpscan.artifacts.openssl.numbers import all_headers
from dumpscan.model.c_big_numbers import layouts

if TYPE_CHECKING:
    from dumpscan.artifacts.openssl.ec import EcKey
    from dumpscan.artifacts.openssl.near import Surroundings
    from dumpscan.artifacts.openssl.numbers import Header, Numbers
    from dumpscan.artifacts.openssl.rsa import RsaKey

MAX_COPIES = 16
"""Headers of one number around which structures are looked for."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Where a key lies.

    Attributes:
        address: Of the first byte that is known.
        size: Bytes from there.
        name: Of the structure.
        kind: Of the headers of its numbers.
        boring: Whether an OpenSSL header is BoringSSL's.
    """

    address: int
    size: int
    name: str
    kind: str
    boring: bool = False


def rsa_structures(numbers: Numbers, surroundings: Surroundings, rsa: RsaKey) -> list[Structure]:
    """Return the structures that hold an RSA key; headers of its private numbers where there are none."""
    form = layouts(surroundings.word).rsa_st_numbers
    primes = all_headers(numbers, rsa.primes)
    private = all_headers(numbers, [rsa.private_exponent]) if rsa.private_exponent else []
    at = {header.address for header in primes}
    boring = not any(header.private for header in (*private, *primes))  # the flags are OpenSSL's alone
    found = []
    for header in numbers.headers[rsa.modulus][:MAX_COPIES]:
        if header.kind == OPENSSL.name:
            for place in surroundings.places(header.address, header.address):
                data = surroundings.memory.read(place, len(form))
                if len(data) == len(form) and int(form(data).p) in at:
                    found.append(Structure(place, len(form), "rsa_st", header.kind, boring))
        elif header.kind == MBEDTLS.name and header.address + 3 * header.size in at:
            # N, E, D, P, Q, DP, DQ, QP
            found.append(Structure(header.address, 8 * header.size, "mbedtls_rsa_context", header.kind))
    return found or _alone(private or primes, boring=boring)


def scalar_structures(numbers: Numbers, surroundings: Surroundings, key: EcKey) -> list[Structure]:
    """Return the structures that hold a scalar; its headers where there are none."""
    points = numbers.headers.get(key.x, ())
    boring = not any(header.kind == OPENSSL.name for header in points)  # its points are no numbers with headers
    at = {header.address for header in points}
    found = []
    for header in numbers.headers[key.scalar][:MAX_COPIES]:
        if header.kind == OPENSSL.name:
            for start, fields in ec_keys_around(surroundings, header.address):
                pointers = int(fields.group), int(fields.pub_key)
                if all(pointer and pointer % surroundings.word == 0 for pointer in pointers):
                    found.append(Structure(start, len(fields), "ec_key_st", header.kind, boring))
        elif header.kind == MBEDTLS.name and header.address + header.size in at:
            found.append(Structure(header.address, 4 * header.size, "mbedtls_ecp_keypair", header.kind))
    return found or _alone(numbers.headers[key.scalar], boring=boring)


def _alone(private: list[Header], *, boring: bool) -> list[Structure]:
    return [Structure(header.address, header.size, header.kind, header.kind, boring) for header in private]
