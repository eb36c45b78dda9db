"""DER of keys that `cryptography` does not write: curves without a name, groups of sizes it does not take.

Sources: RFC 5280 4.1 (SubjectPublicKeyInfo), RFC 5208 (PKCS#8), RFC 3279 2.3.2 (DSA) and 2.3.3 (X9.42),
PKCS #3 9 and 11 (Diffie-Hellman), SEC 1 C.2 to C.4 (elliptic curves with explicit parameters), ITU-T X.690 8.1.3 and
10.1 (DER).
"""

from __future__ import annotations

from hashlib import sha256

from dumpscan.findings import PrivateKey, PublicKey

RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
"""AlgorithmIdentifier of RSA keys (RFC 8017, A.1)."""

_DSA = bytes.fromhex("06072a8648ce380401")
_DH = bytes.fromhex("06092a864886f70d010301")
_DH_X942 = bytes.fromhex("06072a8648ce3e0201")
_ELGAMAL = bytes.fromhex("06062b0e07020101")
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
PRIME_FIELD = bytes.fromhex("06072a8648ce3d0101")
BINARY_FIELD = bytes.fromhex("06072a8648ce3d0102")
TRINOMIAL = bytes.fromhex("06092a8648ce3d01020302")
PENTANOMIAL = bytes.fromhex("06092a8648ce3d01020303")
"""Object identifiers of SEC 1, C.2."""
_SHORT_FORM = 0x80


def algorithm(identifier: bytes) -> bytes:
    """AlgorithmIdentifier without parameters, given its object identifier as it is encoded."""
    return tlv(0x30, identifier)


def dsa_algorithm(p: int, q: int, g: int) -> bytes:
    """AlgorithmIdentifier of DSA keys in a group."""
    return tlv(0x30, _DSA, tlv(0x30, _integer(p), _integer(q), _integer(g)))


def dh_algorithm(p: int, g: int) -> bytes:
    """AlgorithmIdentifier of Diffie-Hellman keys in a group."""
    return tlv(0x30, _DH, tlv(0x30, _integer(p), _integer(g)))


def x942_algorithm(p: int, q: int, g: int) -> bytes:
    """AlgorithmIdentifier of Diffie-Hellman keys in a group whose generator's order is given."""
    return tlv(0x30, _DH_X942, tlv(0x30, _integer(p), _integer(g), _integer(q)))


def elgamal_algorithm(p: int, g: int) -> bytes:
    """AlgorithmIdentifier of ElGamal keys in a group, as Bouncy Castle writes it (of OIW's security working group)."""
    return tlv(0x30, _ELGAMAL, tlv(0x30, _integer(p), _integer(g)))


def ec_parameters(*, p: int, a: int, b: int, generator: tuple[int, int], order: int, cofactor: int) -> bytes:
    """ECParameters of a curve over a prime field (SEC 1, C.2)."""
    size = (p.bit_length() + 7) // 8
    field = tlv(0x30, PRIME_FIELD, _integer(p))
    numbers = _integer(order), _integer(cofactor)
    return tlv(0x30, _integer(1), field, _coefficients(a, b, size), tlv(0x04, point(generator, size)), *numbers)


def binary_ec_parameters(
    *, polynomial: int, a: int, b: int, generator: tuple[int, int], order: int, cofactor: int
) -> bytes:
    """ECParameters of a curve over a binary field of a trinomial or pentanomial (SEC 1, C.2)."""
    degree, *middle, _ = (exponent for exponent in range(polynomial.bit_length(), -1, -1) if polynomial >> exponent & 1)
    size = (degree + 7) // 8
    terms = [_integer(exponent) for exponent in reversed(middle)]
    basis = (TRINOMIAL, *terms) if len(terms) == 1 else (PENTANOMIAL, tlv(0x30, *terms))
    field = tlv(0x30, BINARY_FIELD, tlv(0x30, _integer(degree), *basis))
    numbers = _integer(order), _integer(cofactor)
    return tlv(0x30, _integer(1), field, _coefficients(a, b, size), tlv(0x04, point(generator, size)), *numbers)


def name_of_curve(parameters: bytes, bits: int) -> str:
    """A name for a curve that has none: its size, and the beginning of the SHA-256 of its ECParameters."""
    return f"explicit-{bits}-{sha256(parameters).hexdigest()[:8]}"


def _coefficients(a: int, b: int, size: int) -> bytes:
    return tlv(0x30, tlv(0x04, a.to_bytes(size, "big")), tlv(0x04, b.to_bytes(size, "big")))


def ec_algorithm(parameters: bytes) -> bytes:
    """AlgorithmIdentifier of keys on a curve."""
    return tlv(0x30, _EC_PUBLIC_KEY, parameters)


def point(coordinates: tuple[int, int], size: int) -> bytes:
    """Write a point uncompressed, `size` bytes a coordinate (SEC 1, 2.3.3)."""
    return b"\x04" + b"".join(coordinate.to_bytes(size, "big") for coordinate in coordinates)


def ec_private(scalar: int, size: int, public: bytes) -> bytes:
    """ECPrivateKey with its public point, the scalar in `size` bytes."""
    return tlv(0x30, _integer(1), tlv(0x04, scalar.to_bytes(size, "big")), tlv(0xA1, tlv(0x03, b"\0", public)))


def object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER, given as numbers with dots between them (ITU-T X.690, 8.19)."""
    first, second, *others = map(int, dotted.split("."))
    content = bytearray()
    for number in (40 * first + second, *others):
        content += bytes(
            0x80 | number >> shift & 0x7F for shift in range(7 * (number.bit_length() // 7), 0, -7) if number >> shift
        )
        content.append(number & 0x7F)
    return tlv(0x06, bytes(content))


def integer_key(value: int) -> bytes:
    """Key that is one INTEGER, as DSA and Diffie-Hellman have them."""
    return _integer(value)


def public_info(algorithm: bytes, key: bytes) -> bytes:
    """SubjectPublicKeyInfo."""
    return tlv(0x30, algorithm, tlv(0x03, b"\0", key))


def pkcs8(algorithm: bytes, key: bytes) -> bytes:
    """PKCS#8 PrivateKeyInfo."""
    return tlv(0x30, _integer(0), algorithm, tlv(0x04, key))


def private_key(
    algorithm: str, bits: int, info: bytes, private: bytes, *, proof: tuple[str, ...], curve: str | None = None
) -> PrivateKey:
    """Make the finding of a key from its SubjectPublicKeyInfo and its PKCS#8."""
    return PrivateKey(
        sha256="",
        size=0,
        algorithm=algorithm,
        bits=bits,
        curve=curve,
        key_id=sha256(info).hexdigest(),
        proof=proof,
        pkcs8=private,
    )


def public_key(
    algorithm: str, bits: int, info: bytes, *, proof: tuple[str, ...], curve: str | None = None
) -> PublicKey:
    """Make the finding of a public key from its SubjectPublicKeyInfo."""
    return PublicKey(
        sha256="",
        size=0,
        algorithm=algorithm,
        bits=bits,
        curve=curve,
        key_id=sha256(info).hexdigest(),
        proof=proof,
        public_info=info,
    )


def tlv(tag: int, *parts: bytes) -> bytes:
    """DER element of a tag of one byte."""
    content = b"".join(parts)
    length = len(content)
    if length < _SHORT_FORM:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT_FORM | len(octets))) + octets + content


def _integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))
