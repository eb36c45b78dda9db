"""Diffie-Hellman keys over prime fields: their proof, and their PKCS#8 form.

Sources: PKCS #3, 9 (dhKeyAgreement, which names p and g), RFC 3279, 2.3.3 (dhpublicnumber of X9.42, which names q too).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.effort import charge_power
from dumpscan.artifacts.keys import encode as key_encode
from dumpscan.artifacts.keys.randomness import looks_random

if TYPE_CHECKING:
    from dumpscan.findings import PrivateKey

LEAST_BITS, MOST_BITS = 512, 8192
"""Of the prime: the largest group of RFC 7919 has 8192 bits, and a larger one would take seconds to prove."""
MOST_BYTES = MOST_BITS // 8 + 1
"""Of an INTEGER in a key, with its sign."""
_JUDGED = 64
"""Bytes of a private value by which it is seen whether it is random; it may have as many as the prime."""

_PKCS3, _X942 = bytes.fromhex("06092a864886f70d010301"), bytes.fromhex("06072a8648ce3e0201")


def dh_key(*, p: int, g: int, x: int, y: int | None = None, q: int | None = None) -> PrivateKey:
    """Prove a Diffie-Hellman key by its public value.

    Args:
        p: The prime.
        g: The generator.
        x: The private value.
        y: The public value, where it was stored; without it nothing proves x, and the key's `proof` is empty.
        q: The order of g, where it was stored.

    Raises:
        RefusedError: The numbers do not belong together, or there is no public value and x does not look random.
    """
    if not LEAST_BITS <= p.bit_length() <= MOST_BITS or not p & 1:
        raise RefusedError("no Diffie-Hellman group of a size in use")
    if not (1 < g < p - 1 and 1 < x < p - 1):
        raise RefusedError("a number out of the group's range")
    if y is None and not looks_random(x.to_bytes((x.bit_length() + 7) // 8, "big")[:_JUDGED]):
        raise RefusedError("nothing vouches for the private value, and it is not random")
    proof = []
    charge_power(p.bit_length(), x.bit_length())
    if q is not None:
        charge_power(p.bit_length(), min(q.bit_length(), MOST_BITS))
        if not 1 < q < p or (p - 1) % q or pow(g, q, p) != 1:
            raise RefusedError("the generator is not of the order stored")
        proof = ["q divides p-1", "g^q = 1 mod p"]
    derived = pow(g, x, p)
    if y is None:
        proof = []
        charge_power(p.bit_length(), p.bit_length())
        if pow(2, p - 1, p) != 1:
            raise RefusedError("the modulus is not prime")
    elif y == derived:
        proof = ["y = g^x mod p", *proof]
    else:
        raise RefusedError("the public value is not that of the private one")
    algorithm = key_encode.dh_algorithm(p, g) if q is None else key_encode.x942_algorithm(p, q, g)
    return key_encode.private_key(
        "DH",
        p.bit_length(),
        key_encode.public_info(algorithm, key_encode.integer_key(derived)),
        key_encode.pkcs8(algorithm, key_encode.integer_key(x)),
        proof=tuple(proof),
    )


def elgamal_key(*, p: int, g: int, x: int, y: int) -> PrivateKey:
    """Prove an ElGamal key, whose numbers are those of Diffie-Hellman.

    No standard writes such keys as PKCS#8; they get the form that Bouncy Castle and Crypto++ read.

    Raises:
        RefusedError: If the numbers do not belong together.
    """
    proof = dh_key(p=p, g=g, x=x, y=y).proof
    algorithm = key_encode.elgamal_algorithm(p, g)
    return key_encode.private_key(
        "ElGamal",
        p.bit_length(),
        key_encode.public_info(algorithm, key_encode.integer_key(y)),
        key_encode.pkcs8(algorithm, key_encode.integer_key(x)),
        proof=proof,
    )


def _from_pkcs8(parameters: list[der.Element], private: bytes, public: bytes | None, *, has_q: bool) -> PrivateKey:
    """Prove the key of a PKCS#8 structure.

    Args:
        parameters: Members of the AlgorithmIdentifier behind the identifier.
        private: Content of the private key's OCTET STRING: an INTEGER.
        public: Content of the public key's BIT STRING, where there is one: an INTEGER.
        has_q: Whether the parameters are those of X9.42.
    """
    if len(parameters) != 1:
        raise RefusedError("not one group")
    numbers = der.members(parameters[0].encoded, least=3 if has_q else 2)
    p, g, *others = (der.integer(number, most=MOST_BYTES) for number in numbers[: 3 if has_q else 2])
    return dh_key(
        p=p,
        g=g,
        q=others[0] if others else None,
        x=der.integer(der.one(private, der.INTEGER), most=MOST_BYTES),
        y=None if public is None else der.integer(der.one(public, der.INTEGER), most=MOST_BYTES),
    )


def from_pkcs3(parameters: list[der.Element], private: bytes, public: bytes | None) -> PrivateKey:
    """Prove a key whose group is p and g (and the private value's length, which proves nothing)."""
    return _from_pkcs8(parameters, private, public, has_q=False)


def from_x942(parameters: list[der.Element], private: bytes, public: bytes | None) -> PrivateKey:
    """Prove a key whose group is p, g and q (and how it was made)."""
    return _from_pkcs8(parameters, private, public, has_q=True)


PKCS8_ALGORITHMS = {_PKCS3: from_pkcs3, _X942: from_x942}
"""By the encoded object identifier."""
_VERSION = "02 01 00|01"
_PKCS3_PATTERN, _X942_PATTERN = (f"{identifier.hex(' ')} 30" for identifier in (_PKCS3, _X942))
PKCS8_OPENINGS = {
    f"{name}-{size}": f"{outer} {_VERSION} {inner} {pattern}"
    for name, pattern in (("dh", _PKCS3_PATTERN), ("dh-x942", _X942_PATTERN))
    for size, outer, inner in (
        ("long", "30 82 .. ..", "30 82 .. .."),
        ("long-middle", "30 82 .. ..", "30 81 .."),
        ("middle", "30 81 ..", "30 81 .."),
    )
}
