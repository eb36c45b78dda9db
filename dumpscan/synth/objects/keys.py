"""Key pairs from a seed, and every way in which Windows and OpenSSL write a private key."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dumpscan.exceptions import ScenarioError
from dumpscan.model.c_keyblob import c_keyblob
from dumpscan.synth.objects import der
from dumpscan.synth.seeded import SeededBytes, seeded_dsa_group, seeded_rsa_primes

if TYPE_CHECKING:
    from collections.abc import Callable

PrivateKeyObject = (
    rsa.RSAPrivateKey
    | dsa.DSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
)

RSA_EXPONENT = 65537
RSA_BITS = (512, 768, 1024, 1536, 2048, 3072, 4096)
DSA_BITS = {1024: 160, 2048: 256}
"""Bits of p, and of q, of the groups of FIPS 186-4 that are made here."""

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "p256": ec.SECP256R1,
    "p384": ec.SECP384R1,
    "p521": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
}

_EDWARDS: dict[str, tuple[str, int, int, Callable[[bytes], PrivateKeyObject]]] = {
    # algorithm: (its name in a finding, bits, bytes of the private value, constructor)
    "ed25519": ("Ed25519", 256, 32, ed25519.Ed25519PrivateKey.from_private_bytes),
    "x25519": ("X25519", 256, 32, x25519.X25519PrivateKey.from_private_bytes),
    "ed448": ("Ed448", 456, 57, ed448.Ed448PrivateKey.from_private_bytes),
    "x448": ("X448", 448, 56, x448.X448PrivateKey.from_private_bytes),
}

ALGORITHMS = (
    *(f"rsa-{bits}" for bits in RSA_BITS),
    *(f"ec-{name}" for name in CURVES),
    *_EDWARDS,
    *(f"dsa-{bits}" for bits in DSA_BITS),
)
"""Every algorithm of key pairs that a scenario can name."""

SYMMETRIC = {"aes-128": 16, "aes-192": 24, "aes-256": 32}
"""Bytes of a key, by every algorithm of symmetric keys that a scenario can name."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key made from a seed.

    Attributes:
        algorithm: As in a finding: `RSA`, `EC`, `Ed25519`, `X25519`, `Ed448`, `X448`, `DSA`.
        bits: Of the modulus or field.
        curve: Name of the curve of an EC key, as `cryptography` and findings call it, e.g. `secp256r1`.
        private: The key itself; its `repr` shows no numbers.
    """

    algorithm: str
    bits: int
    curve: str | None
    private: PrivateKeyObject

    @property
    def public_info(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """SHA-256 (hex) of the SubjectPublicKeyInfo."""
        return sha256(self.public_info).hexdigest()


@lru_cache(maxsize=256)
def make_key(algorithm: str, seed: str) -> KeyPair:
    """Return the key that `algorithm` (one of `ALGORITHMS`) and `seed` determine.

    Raises:
        ScenarioError: For an algorithm that is not known.
    """
    source = SeededBytes("key", algorithm, seed)
    if algorithm not in ALGORITHMS:
        raise ScenarioError(f"unknown algorithm {algorithm!r}; expected one of {', '.join(ALGORITHMS)}")
    family, _, variant = algorithm.partition("-")
    if family == "rsa":
        return KeyPair("RSA", int(variant), None, _rsa(source, int(variant)))
    if family == "dsa":
        return KeyPair("DSA", int(variant), None, _dsa(source, int(variant)))
    if family == "ec":
        curve = CURVES[variant]()
        return KeyPair("EC", curve.key_size, curve.name, _ec(source, curve))
    name, bits, size, construct = _EDWARDS[algorithm]
    return KeyPair(name, bits, None, construct(source.take(size)))


def make_symmetric_key(algorithm: str, seed: str) -> bytes:
    """Return the key that `algorithm` (one of `SYMMETRIC`) and `seed` determine.

    Raises:
        ScenarioError: For an algorithm that is not known.
    """
    if algorithm not in SYMMETRIC:
        raise ScenarioError(f"unknown algorithm {algorithm!r}; expected one of {', '.join(SYMMETRIC)}")
    return SeededBytes("symmetric key", algorithm, seed).take(SYMMETRIC[algorithm])


def symmetric_key_id(name: str, key: bytes) -> str:
    """Return the id of a symmetric key, as `findings.SymmetricKey` defines it."""
    return sha256(b"\0".join((b"dumpscan symmetric key", name.encode(), key))).hexdigest()


def _rsa(source: SeededBytes, bits: int) -> rsa.RSAPrivateKey:
    p, q = seeded_rsa_primes(source, bits, RSA_EXPONENT)
    return rsa_numbers(p, q, RSA_EXPONENT).private_key()


def rsa_numbers(p: int, q: int, exponent: int) -> rsa.RSAPrivateNumbers:
    """Return all the numbers of the key that two primes and a public exponent make."""
    private = rsa.rsa_recover_private_exponent(exponent, p, q)
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=private,
        dmp1=rsa.rsa_crt_dmp1(private, p),
        dmq1=rsa.rsa_crt_dmq1(private, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(exponent, p * q),
    )


def _dsa(source: SeededBytes, bits: int) -> dsa.DSAPrivateKey:
    p, q, g = seeded_dsa_group(source, bits, DSA_BITS[bits])
    private = source.below(q - 1) + 1
    parameters = dsa.DSAParameterNumbers(p, q, g)
    return dsa.DSAPrivateNumbers(private, dsa.DSAPublicNumbers(pow(g, private, p), parameters)).private_key()


def _ec(source: SeededBytes, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    while True:
        try:
            return ec.derive_private_key(source.bits(curve.key_size), curve)
        except ValueError:  # zero, or not below the order of the curve: draw again
            continue


def _private_bytes(encoding: Encoding, form: PrivateFormat) -> Callable[[PrivateKeyObject], bytes]:
    def write(key: PrivateKeyObject) -> bytes:
        return key.private_bytes(encoding, form, NoEncryption())

    return write


def _pem_utf16(key: PrivateKeyObject) -> bytes:
    return pem_to_utf16(_private_bytes(Encoding.PEM, PrivateFormat.PKCS8)(key))


def pem(label: str, content: bytes) -> bytes:
    """PEM text (RFC 7468) from DER, with the newline at its end that tools write."""
    body = base64.encodebytes(content).replace(b"\n", b"")
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return b"\n".join((b"-----BEGIN %s-----" % label.encode(), *lines, b"-----END %s-----\n" % label.encode()))


def pem_to_utf16(text: bytes) -> bytes:
    """PEM text as Windows programs hold it: UTF-16LE with carriage returns."""
    return text.decode("ascii").replace("\n", "\r\n").encode("utf-16-le")


def _cng(*, full: bool = False, agreement: bool = False) -> Callable[[PrivateKeyObject], bytes]:
    def write(key: PrivateKeyObject) -> bytes:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return _cng_ec(key, agreement=agreement)
        assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 -- WRITERS names the algorithms of each encoding
        return _cng_rsa(key, full=full)

    return write


def _cng_rsa(key: rsa.RSAPrivateKey, *, full: bool) -> bytes:
    numbers = key.private_numbers()
    public = numbers.public_numbers
    size, half = key.key_size // 8, key.key_size // 16
    exponent = public.e.to_bytes((public.e.bit_length() + 7) // 8, "big")
    header = c_keyblob.BCRYPT_RSAKEY_BLOB(
        Magic=b"RSA3" if full else b"RSA2",
        BitLength=key.key_size,
        cbPublicExp=len(exponent),
        cbModulus=size,
        cbPrime1=half,
        cbPrime2=half,
    )
    widths = [(public.n, size), (numbers.p, half), (numbers.q, half)]
    if full:
        widths += [(numbers.dmp1, half), (numbers.dmq1, half), (numbers.iqmp, half), (numbers.d, size)]
    return bytes(header.dumps()) + exponent + b"".join(value.to_bytes(width, "big") for value, width in widths)


_CNG_EC_MAGIC = {256: 2, 384: 4, 521: 6}
"""Last digit of the private blobs' magics ECS2, ECK2 ... by bits of the field (bcrypt.h)."""


def _cng_ec(key: ec.EllipticCurvePrivateKey, *, agreement: bool) -> bytes:
    numbers = key.private_numbers()
    size = (key.key_size + 7) // 8
    magic = f"EC{'K' if agreement else 'S'}{_CNG_EC_MAGIC[key.key_size]}".encode()
    header = c_keyblob.BCRYPT_ECCKEY_BLOB(dwMagic=magic, cbKey=size)
    values = (numbers.public_numbers.x, numbers.public_numbers.y, numbers.private_value)
    return bytes(header.dumps()) + b"".join(value.to_bytes(size, "big") for value in values)


def _capi(key: PrivateKeyObject) -> bytes:
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 -- WRITERS names the algorithms of each encoding
    numbers = key.private_numbers()
    size, half = key.key_size // 8, key.key_size // 16
    head = c_keyblob.PUBLICKEYSTRUC(bType=7, bVersion=2, reserved=0, aiKeyAlg=0xA400)
    body = c_keyblob.RSAPUBKEY(magic=b"RSA2", bitlen=key.key_size, pubexp=numbers.public_numbers.e)
    widths = (
        (numbers.public_numbers.n, size),
        (numbers.p, half),
        (numbers.q, half),
        (numbers.dmp1, half),
        (numbers.dmq1, half),
        (numbers.iqmp, half),
        (numbers.d, size),
    )
    values = b"".join(value.to_bytes(width, "little") for value, width in widths)
    return bytes(head.dumps()) + bytes(body.dumps()) + values


def pkcs1(numbers: rsa.RSAPrivateNumbers) -> bytes:
    """RSAPrivateKey (RFC 8017, A.1.2), of numbers that need not make a key: `cryptography` would refuse those."""
    public = numbers.public_numbers
    values = (0, public.n, public.e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return der.sequence(*map(der.integer, values))


@dataclass(frozen=True, slots=True)
class KeyWriter:
    """One way of writing a private key.

    Attributes:
        encoding: As in `Location.encoding`.
        algorithms: `KeyPair.algorithm` values that can be written so; empty for all of them.
        write: The key's bytes.
    """

    encoding: str
    algorithms: tuple[str, ...]
    write: Callable[[PrivateKeyObject], bytes]

    def takes(self, key: KeyPair) -> bool:
        """Whether `key` can be written so."""
        if self.encoding == "cng" and key.algorithm == "EC" and key.curve == ec.SECP256K1.name:
            return False  # CNG has no magic for it, only the generic blobs
        return not self.algorithms or key.algorithm in self.algorithms


_PKCS8_DER = _private_bytes(Encoding.DER, PrivateFormat.PKCS8)
_TRADITIONAL_DER = _private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL)
_TRADITIONAL_PEM = _private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL)

WRITERS = {
    "pkcs8": KeyWriter("pkcs8", (), _PKCS8_DER),
    "pkcs1": KeyWriter("pkcs1", ("RSA",), _TRADITIONAL_DER),
    "sec1": KeyWriter("sec1", ("EC",), _TRADITIONAL_DER),
    "pem": KeyWriter("pem", (), _private_bytes(Encoding.PEM, PrivateFormat.PKCS8)),
    "pem-traditional": KeyWriter("pem", ("RSA", "EC", "DSA"), _TRADITIONAL_PEM),
    "pem-utf16": KeyWriter("pem-utf16", (), _pem_utf16),
    "cng": KeyWriter("cng", ("RSA", "EC"), _cng()),
    "cng-full": KeyWriter("cng", ("RSA",), _cng(full=True)),
    "cng-ecdh": KeyWriter("cng", ("EC",), _cng(agreement=True)),
    "capi": KeyWriter("capi", ("RSA",), _capi),
}
"""Every encoding of a private key that a scenario can name."""


def write_key(key: KeyPair, encoding: str) -> bytes:
    """Return `key` as `encoding` (a name of `WRITERS`) writes it.

    Raises:
        ScenarioError: If the encoding is not known, or cannot hold this kind of key.
    """
    writer = WRITERS.get(encoding)
    if writer is None:
        raise ScenarioError(f"unknown encoding {encoding!r} of a private key; expected one of {', '.join(WRITERS)}")
    if not writer.takes(key):
        raise ScenarioError(
            f"encoding {encoding!r} cannot hold a key of algorithm {key.algorithm} {key.curve or ''}".rstrip()
        )
    return writer.write(key.private)
