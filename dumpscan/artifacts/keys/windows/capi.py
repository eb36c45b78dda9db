"""Private keys as CAPI exports them: PRIVATEKEYBLOB.

Layouts: `dumpscan.model.c_keyblob`, from Microsoft's `wincrypt.h`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Detector, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.private_key import read_from
from dumpscan.artifacts.keys.windows.blob import Numbers, read_header
from dumpscan.artifacts.opening import opening
from dumpscan.model.c_keyblob import c_keyblob

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory

_KEY = len(c_keyblob.PUBLICKEYSTRUC)
_HEADER = _KEY + len(c_keyblob.RSAPUBKEY)
_LEAST_BITS, _MOST_BITS = key_proof.LEAST_RSA_BITS, key_proof.MOST_RSA_BITS


def parse_rsa(data: bytes) -> Parsed:
    """Prove a PRIVATEKEYBLOB of an RSA key."""
    head = c_keyblob.RSAPUBKEY(data[_KEY:])
    numbers, half = Numbers(data, _HEADER, "little"), head.bitlen // 16
    modulus, p, q, dp, dq, qinv, d = map(numbers.take, (2 * half, *[half] * 5, 2 * half))
    if modulus.bit_length() != head.bitlen:
        raise RefusedError("a modulus of another size than announced")
    key = key_proof.rsa_key(modulus=modulus, exponent=head.pubexp, p=p, q=q, private_exponent=d, crt=(dp, dq, qinv))
    return Parsed(read_from(key, data), "capi")


def _extract_rsa(memory: Memory, address: int) -> Raw:
    bits = c_keyblob.RSAPUBKEY(read_header(memory, address, _HEADER)[_KEY:]).bitlen
    if not _LEAST_BITS <= bits <= _MOST_BITS or bits % 16:
        raise RefusedError("no size of an RSA key")
    length = _HEADER + 2 * (bits // 8) + 5 * (bits // 16)
    return Raw(memory.read(address, length), length)


DETECTORS: tuple[Detector, ...] = (
    # bType, bVersion, reserved, aiKeyAlg, magic, bitlen
    (
        opening("capi-rsa", "07 02 00 00 00 24|a4 00 00 52 53 41 32 .. 02-40 00 00"),
        BytesDecoder(_extract_rsa, parse_rsa),
    ),
)
