"""Hostile contents of memory: as much of it as one likes, made of nothing but what costs a search most.

Each kind is a memory whose every opening is followed as far as it goes: numbers of the right sizes that belong together
in all that is quick to see, and not in the last step. `test_contents.py` checks that a search announces what it does
with them; `python -m fuzz.measure` measures how long that takes.
"""

from __future__ import annotations

import base64
import random
import struct
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import DNSName, SubjectAlternativeName

from dumpscan.artifacts.keys.ec.named import curve_named
from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.search import scanner
from dumpscan.search.decoding import Decoding
from dumpscan.search.merge import Collector
from fuzz import text_contents
from fuzz.library_contents import WHOLE, composite_rsa, odd
from fuzz.pgp_contents import PGP_AND_SSH
from support.artifact_samples import Space, certificate_der, certificate_of, ec_key, pem, rewritten, tlv
from support.blob_samples import FFDHE2048, G_256, P_256, Q_256, Numbers, capi_2, cng_dh, cng_dsa2
from support.core_bytes import CoreBytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Piece = Callable[[Random], bytes]

BASE = 0x5560_0000_0000


def integer(value: int) -> bytes:
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _big(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def _numbers(bits: int, rng: Random) -> tuple[int, int, int, int, int]:
    key = composite_rsa(bits, rng)
    return key.public_numbers.n, key.public_numbers.e, key.d, key.p, key.q


def _pkcs1(n: int, e: int, d: int, p: int, q: int) -> bytes:
    crt = (d % (p - 1), d % (q - 1), pow(q, -1, p))
    return tlv(0x30, *map(integer, (0, n, e, d, p, q, *crt)))


def _pkcs1_composite(bits: int) -> Piece:
    return lambda rng: _pkcs1(*_numbers(bits, rng))


def _pkcs1_unrelated(rng: Random) -> bytes:
    """Nothing belongs to anything, so that the modulus is factored in every way."""
    half = [odd(1024, rng) for _ in range(5)]
    return tlv(0x30, *map(integer, (0, odd(2048, rng), rng.getrandbits(200) | 1, odd(2047, rng), *half)))


def _many_primes(rng: Random) -> bytes:
    primes = [odd(512, rng) for _ in range(8)]
    n, order = 1, 1
    for prime in primes:
        n, order = n * prime, order * (prime - 1)
    try:
        d = pow(65537, -1, order)
    except ValueError:
        return _many_primes(rng)
    p, q, *others = primes
    infos = [tlv(0x30, integer(r), integer(d % (r - 1)), integer(1)) for r in others]
    return tlv(0x30, *map(integer, (1, n, 65537, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))), tlv(0x30, *infos))


def _sec1(name: str, *, point: bool = True, named: bool = True) -> Piece:
    """A point that is on the curve, and is not that of the private value."""
    curve = curve_named(name)
    other = curve.encodings(curve.curve.generator)[0]

    def make(rng: Random) -> bytes:
        value = _big(rng.randrange(1 << 100, curve.order), curve.order_size)
        parts = [integer(1), tlv(4, value)]
        if named:
            parts.append(tlv(0xA0, curve.parameters))
        if point:
            parts.append(tlv(0xA1, tlv(3, b"\0" + other)))
        return tlv(0x30, *parts)

    return make


def _pkcs8(oid: str, parameters: bytes, private: Callable[[Random], bytes]) -> Piece:
    algorithm = tlv(0x30, bytes.fromhex(oid), parameters)
    return lambda rng: tlv(0x30, integer(0), algorithm, tlv(4, private(rng)))


def _random(size: int) -> Piece:
    return lambda rng: tlv(4, rng.randbytes(size))


def _dsa(bits: int) -> Piece:
    """An even order, of which p-1 is a multiple, and a generator that has it: the last power fails."""
    source = random.Random(bits)  # noqa: S311 - repeatable on purpose
    q = source.getrandbits(510) << 1 | 1 << 511
    p = (1 << bits - 1) // q * q + 1

    def make(rng: Random) -> bytes:
        y, x = rng.getrandbits(bits - 8), rng.randrange(1 << 500, q)
        return tlv(0x30, *map(integer, (0, p, q, p - 1, y, x)))

    return make


def _dsa_unproven(rng: Random) -> bytes:
    return _pkcs8(
        "06072a8648ce380401",
        tlv(0x30, *map(integer, (P_256, Q_256, G_256))),
        lambda rng: integer(rng.randrange(1 << 200, Q_256)),
    )(rng)


def _dh(p: int) -> Piece:
    return _pkcs8(
        "06092a864886f70d010301",
        tlv(0x30, integer(p), integer(2)),
        lambda rng: integer(rng.getrandbits(p.bit_length() - 2)),
    )


def _with_tail(data: bytes, size: int) -> Piece:
    """A structure whose last bytes are others each time."""
    return lambda rng: data[:-size] + rng.randbytes(size)


def _nested(layers: int, piece: Piece) -> Piece:
    def make(rng: Random) -> bytes:
        data = piece(rng)
        for _ in range(layers):
            data = base64.b64encode(data)
        return data + b"\n"

    return make


def _cng_rsa(rng: Random) -> bytes:
    n, e, _, p, q = _numbers(2048, rng)
    return (
        struct.pack("<4s5I", b"RSA2", 2048, 3, 256, 128, 128) + _big(e, 3) + _big(n, 256) + _big(p, 128) + _big(q, 128)
    )


def _cng_ec(rng: Random) -> bytes:
    curve = curve_named("secp521r1").curve
    values = (*curve.generator, rng.getrandbits(500))
    return struct.pack("<4sI", b"ECS6", 66) + b"".join(_big(value, 66) for value in values)


def _cng_dh(bits: int) -> Piece:
    def make(rng: Random) -> bytes:
        p = rng.getrandbits(bits) | 1 << bits - 1 | 1
        return cng_dh(Numbers(p=p, g=2, x=rng.getrandbits(bits - 2), y=rng.getrandbits(bits - 2)))

    return make


def _cng_dsa(rng: Random) -> bytes:
    return cng_dsa2(Numbers(p=P_256, g=G_256, x=rng.randrange(Q_256), y=rng.getrandbits(2000), q=Q_256))


def _capi_dh(rng: Random) -> bytes:
    return capi_2(Numbers(p=FFDHE2048, g=2, x=rng.getrandbits(2040), y=0))


def _jwk(rng: Random) -> bytes:
    n, e, d, p, q = _numbers(1024, rng)
    numbers = {"n": n, "e": e, "d": d, "p": p, "q": q}
    parts = ",".join(
        f'"{name}":"{base64.urlsafe_b64encode(_big(value, (value.bit_length() + 7) // 8)).decode()}"'
        for name, value in numbers.items()
    )
    return f'{{"kty":"RSA",{parts}}}\n'.encode()


@cache
def _encrypted() -> bytes:
    cipher = tlv(0x30, bytes.fromhex("060960864801650304012a"), tlv(4, bytes(16)))
    kdf = tlv(0x30, bytes.fromhex("06092a864886f70d01050c"), tlv(0x30, tlv(4, bytes(8)), integer(2048)))
    algorithm = tlv(0x30, bytes.fromhex("06092a864886f70d01050d"), tlv(0x30, kdf, cipher))
    return tlv(0x30, algorithm, tlv(4, bytes(160)))


@cache
def _pfx() -> bytes:
    data = bytes.fromhex("06092a864886f70d010701")
    bags = tlv(0x30, *[tlv(0x30, data, tlv(0xA0, tlv(4, tlv(0x30)))) for _ in range(40)], tlv(0x30, data))
    return tlv(0x30, integer(3), tlv(0x30, data, tlv(0xA0, tlv(4, bags + bytes(20)))))


def _repeated(data: bytes) -> Piece:
    return lambda _: data


PIECES: dict[str, Piece] = {
    **{f"rsa-composite-{bits}": _pkcs1_composite(bits) for bits in (512, 1024, 2048, 4096, 8192, 16384)},
    "rsa-unrelated": _pkcs1_unrelated,
    "rsa-many-primes": _many_primes,
    "rsa-rest": lambda rng: b"".join(map(integer, (65537, odd(2047, rng), odd(1024, rng), odd(1024, rng)))),
    **{
        f"sec1-{name}": _sec1(name)
        for name in ("secp256r1", "secp384r1", "secp521r1", "secp256k1", "sect283k1", "sect571k1", "brainpoolP512t1")
    },
    "sec1-no-point": _sec1("secp521r1", point=False),
    "sec1-no-point-binary": _sec1("sect571k1", point=False),
    "sec1-no-curve": _sec1("secp256r1", named=False),
    "sec1-value-only": _sec1("secp256r1", point=False, named=False),
    "ed25519": _pkcs8("06032b6570", b"", _random(32)),
    "ed448": _pkcs8("06032b6571", b"", _random(57)),
    "x448": _pkcs8("06032b656f", b"", _random(56)),
    "ml-dsa-87": _pkcs8("0609608648016503040313", b"", lambda rng: tlv(0x80, rng.randbytes(32))),
    "ml-kem-1024": _pkcs8("0609608648016503040403", b"", lambda rng: tlv(0x80, rng.randbytes(64))),
    "dsa-2048": _dsa(2048),
    "dsa-4096": _dsa(4096),
    "dsa-unproven": _dsa_unproven,
    "dh-2048": _dh(FFDHE2048),
    "dh-8192": _dh(random.Random(1).getrandbits(8192) | 1 << 8191 | 1),  # noqa: S311 - repeatable on purpose
    "certificate": _with_tail(certificate_der("secp256r1"), 30),
    "certificate-of-many-names": lambda rng: certificate_of(
        ec_key("secp256r1"),
        extensions=[SubjectAlternativeName([DNSName(f"{rng.getrandbits(20)}.example") for _ in range(40_000)])],
    ).public_bytes(Encoding.DER),
    "certificate-of-many-extensions": lambda rng: rewritten(
        certificate_der("secp256r1"),
        extensions=tlv(0xA3, tlv(0x30, *(tlv(0x30, b"\6\5*\3" + rng.randbytes(3), tlv(4)) for _ in range(90_000)))),
    ),
    "encrypted": _with_tail(_encrypted(), 100),
    "pkcs12": _with_tail(_pfx(), 16),
    "ber": _repeated(bytes.fromhex("30803080020101")),
    "der-within-der": _repeated(bytes.fromhex("30820fff0201000282")),
    "certificate-openings": _repeated(bytes.fromhex("30820fff30820ff0a003020102020101")),
    "certificate-validities": _repeated(bytes.fromhex("308201ff308201f0020101 301e170d32")),
    "certificate-validities-nested": lambda _: (
        bytes.fromhex("308201ff308201f0020101300030") * 250 + bytes.fromhex("301e170d32") * 400
    ),
    "tls-records": _repeated(bytes.fromhex("1603030010") + bytes.fromhex("30820fff30820ff0a003020102")),
    "cng-rsa": _cng_rsa,
    "cng-ec": _cng_ec,
    "cng-dh-4096": _cng_dh(4096),
    "cng-dh-8192": _cng_dh(8192),
    "cng-dsa": _cng_dsa,
    "capi-dh": _capi_dh,
    "openssh-magic": _repeated(b"openssh-key-v1\0" + bytes.fromhex("000000046e6f6e65000000046e6f6e650000000000000001")),
    "putty": _repeated(b"PuTTY-User-Key-File-3: ssh-rsa\r\nEncryption: none\r\nComment: x\r\nPublic-Lines: 9\r\n"),
    "jks": _repeated(bytes.fromhex("feedfeed00000002000000010000000100016100000000000000000000000a")),
    "bouncycastle": _repeated(bytes.fromhex("0000000200000014") + bytes(range(20)) + bytes.fromhex("0000040001")),
    "pvk": _repeated(bytes.fromhex("1ef1b5b0000000000100000001000000100000009402000000")),
    "pem-composite": lambda rng: pem(_pkcs1_composite(2048)(rng), "RSA PRIVATE KEY") + b"\n",
    "pem-ed25519": lambda rng: pem(PIECES["ed25519"](rng), "PRIVATE KEY") + b"\n",
    "pem-begin": _repeated(b"-----BEGIN RSA PRIVATE KEY-----\n"),
    "pem-begin-16": _repeated("-----BEGIN RSA PRIVATE KEY-----\n".encode("utf-16-le")),
    "pem-dashes": _repeated(b"-----BEGIN"),
    "pem-escaped": _repeated(b"%2d%2dBEGIN\\\\\\\\n"),
    "base64": _nested(1, _pkcs1_composite(1024)),
    "base64-twice": _nested(2, lambda rng: pem(_pkcs1_composite(1024)(rng), "RSA PRIVATE KEY")),
    "base64-four-times": _nested(4, lambda rng: pem(_pkcs1_composite(1024)(rng), "RSA PRIVATE KEY")),
    "base64-openings": _repeated(b"AgEAMA"),
    "base64-certificates": _repeated(b"oAMCAQIC"),
    "base64-of-openings": _nested(1, _repeated(bytes.fromhex("30820fff0201000282") * 1000)),
    "hex": lambda rng: _pkcs1_composite(1024)(rng).hex().encode() + b"\n",
    "hex-openings": _repeated(b"020100300d06092a864886f70d010101"),
    "hex-spaced": _repeated(b"30 82 0f ff 02 01 00 30 "),
    "list": _repeated(b"0x30, 0x82, 0x0f, 0xff, 0x02, 0x01, 0x00, 0x30, "),
    "jwk": _jwk,
    "jwk-names": _repeated(b'"kty":'),
    "jwk-braces": _repeated(b'{"kty":"RSA"'),
    "xml": _repeated(b"<RSAKeyValue><Modulus>AAAA</Modulus>"),
    **PGP_AND_SSH,
    **text_contents.pieces(_pkcs1_composite(1024)),
}
"""Kinds of memory that are one structure after another, each with other numbers."""

NAMES = (*PIECES, *WHOLE)


@cache
def content(kind: str, size: int, *, base: int = BASE, seed: int = 1) -> bytes:
    """Return `size` bytes of memory of a kind, as it lies at `base`."""
    rng = random.Random(f"{kind}-{seed}")  # noqa: S311 - repeatable on purpose
    if kind in WHOLE:
        return WHOLE[kind](rng, size, base)[:size].ljust(size, b"\0")
    made = bytearray()
    while len(made) < size:
        made += PIECES[kind](rng)
    return bytes(made[:size])


def core(kind: str, size: int, *, seed: int = 1) -> bytes:
    """Return a core whose memory is of a kind."""
    return CoreBytes().process(1, "hostile").memory(BASE, content(kind, size, seed=seed)).finish()


class _Unlimited(Decoding):
    """Counts microseconds, and never runs out of them."""

    announced = 0.0

    def pay(self, microseconds: float) -> None:
        self._patience = float("inf")
        self.announced += microseconds


def announced(kind: str, size: int, *, seed: int = 1) -> float:
    """Search memory of a kind, and return how many microseconds the decoders announced: no budget ends it."""
    made: list[_Unlimited] = []

    def make(*arguments: Any) -> _Unlimited:  # noqa: ANN401 - handed on
        made.append(_Unlimited(*arguments))
        return made[-1]

    with patch.object(scanner, "Decoding", make):
        space = Space({BASE: content(kind, size, seed=seed)})
        scanner.Scanner(EVERYTHING.detectors, EVERYTHING.groups).scan(space, Collector(), threads=1)
    return sum(decoding.announced for decoding in made)
