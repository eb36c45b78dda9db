"""Public keys by themselves: SubjectPublicKeyInfo in DER, and as SSH sends them.

They are no secrets, and no command lists them. But the private key of one may lie in the same memory in a form that
nothing else tells: a search for known keys takes those that have no certificate from here.

Sources: RFC 5280, 4.1 (SubjectPublicKeyInfo), RFC 3279, 2.3.1 (RSA), RFC 5480 (EC), RFC 8410 (Ed25519 and its like);
RFC 4253, 6.6, RFC 5656, 3.1, and RFC 8709, 4 (SSH).
"""

from __future__ import annotations

import binascii
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_ssh_public_key,
)

from dumpscan.artifacts import der, effort
from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import encode
from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS
from dumpscan.artifacts.keys.proof import ED448, ED25519, LEAST_RSA_BITS, MOST_RSA_BITS, X448, X25519
from dumpscan.artifacts.keys.ssh.private_keys import CURVES, OPENINGS_OF_PUBLIC_HALVES, read_counted
from dumpscan.artifacts.keys.ssh.wire import Strings, string_pattern
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from dumpscan.artifacts.detector import Detector
    from dumpscan.memory.space import Memory

_MAX_BYTES = 2100
"""Of a key: RSA with 16384 bits and a small exponent."""
_READING = 40
"""Microseconds to read one."""
_RAW = {
    ed25519.Ed25519PublicKey: ED25519,
    ed448.Ed448PublicKey: ED448,
    x25519.X25519PublicKey: X25519,
    x448.X448PublicKey: X448,
}


def parse_info(data: bytes) -> Parsed:
    """Read a SubjectPublicKeyInfo."""
    effort.charge(_READING)
    if der.members(data, least=2, most=2)[1].content[:1] != b"\0":  # the library minds since version 45
        raise RefusedError("bits of the key that are not used")
    try:
        key = load_der_public_key(data)
    except LIBRARY_ERRORS:
        raise RefusedError("no public key") from None
    return _parsed(key, data, "spki")


def parse_ssh(data: bytes) -> Parsed:
    """Read a public key as SSH sends it."""
    effort.charge(_READING)
    kind = Strings(data).string()
    try:
        key = load_ssh_public_key(kind + b" " + binascii.b2a_base64(data, newline=False))
    except LIBRARY_ERRORS:
        raise RefusedError("no public key") from None
    return _parsed(key, data, "ssh")


def _parsed(key: PublicKeyTypes, data: bytes, encoding: str) -> Parsed:
    # Written anew: a key is the same whether or not its point is compressed, or NULL parameters are left out.
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, rsa.RSAPublicKey):
        if not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
            raise RefusedError("a modulus of a size that is not looked for")
        found = encode.public_key("RSA", key.key_size, info, proof=())
    elif isinstance(key, ec.EllipticCurvePublicKey):
        found = encode.public_key("EC", key.key_size, info, proof=("Q is on the curve",), curve=key.curve.name)
    else:
        raw = next((algorithm for kind, algorithm in _RAW.items() if isinstance(key, kind)), None)
        if raw is None:
            raise RefusedError("a key of an algorithm that is not looked for")
        found = encode.public_key(raw.name, raw.bits, info, proof=())
    return Parsed(replace(found, sha256=sha256(data).hexdigest(), size=len(data)), encoding)


def _extract_info(memory: Memory, address: int) -> Raw:
    head = der.header(memory.read(address, 4))
    if head.total > _MAX_BYTES:
        raise RefusedError("no size of a public key")
    return Raw(memory.read(address, head.total), head.total)


_STRINGS = {b"ssh-rsa": 2, b"ssh-ed25519": 1, **{b"ecdsa-sha2-" + curve: 2 for curve in CURVES}}
"""Strings behind the name of a type."""
_INFO = BytesDecoder(_extract_info, parse_info, in_certificates=True)
_SSH = BytesDecoder(partial(read_counted, counts=_STRINGS, most=_MAX_BYTES), parse_ssh)

_OPENINGS = {
    "rsa-middle": "30 81 .. 30 0d 06 09 2a 86 48 86 f7 0d 01 01 01 05 00 03",
    "rsa-long": "30 82 .. .. 30 0d 06 09 2a 86 48 86 f7 0d 01 01 01 05 00 03",
    "ec-short": "30 36-7f 30 10-14 06 07 2a 86 48 ce 3d 02 01 06",
    "ec-middle": "30 81 .. 30 10-14 06 07 2a 86 48 ce 3d 02 01 06",
    "raw": "30 2a|42|43 30 05 06 03 2b 65 6e-71 03",
}
_SSH_OPENINGS = {
    # The exponent, then the modulus
    "rsa": f"{string_pattern(b'ssh-rsa')} 00 00 00 03 01 00 01 00 00",
    "rsa-small": f"{string_pattern(b'ssh-rsa')} 00 00 00 01 03-7f 00 00",
    **OPENINGS_OF_PUBLIC_HALVES,
}
DETECTORS: tuple[Detector, ...] = (
    *((opening(f"public-{name}", pattern), _INFO) for name, pattern in _OPENINGS.items()),
    *((opening(f"ssh-public-{name}", pattern), _SSH) for name, pattern in _SSH_OPENINGS.items()),
)
