"""What the one scan looks for to find SymCrypt's keys: the tag of its big numbers, and the provider's RSA handle.

A private value is an INT, and so is the value of every modulus, in the MODULUS's DIVISOR: one signature finds both,
whatever tag the MODULUS has. The signatures cover the digits of all architectures, so that the size of an INT is a
multiple of 16. They match a handful of times in a GiB of other memory (docs/memory-layouts.md, "SymCrypt signatures").
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dumpscan.artifacts.symcrypt import dl as symcrypt_dl
from dumpscan.artifacts.symcrypt import dl_public as symcrypt_dl_public
from dumpscan.artifacts.symcrypt import ec as symcrypt_ec
from dumpscan.artifacts.symcrypt import rsa as symcrypt_rsa
from dumpscan.artifacts.symcrypt.numbers import int_header, read_exactly
from dumpscan.model.c_symcrypt import DIVISOR_TAG, WRAPPER_MAGIC, X64, X86
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.detector import Detector
    from dumpscan.memory.space import Memory

# 0x02 tag, 0x04 nDigits, 0x08 cbSize
_INT_SIZES = "|".join(f"{size:02x}" for size in range(0, 0x100, 0x10))
INT = replace(opening("symcrypt-int", f"49 67 01-80 00 00 00 {_INT_SIZES} .. 00 00"), lead=2)

# 0x00 cbLength, 0x04 magic, 0x08 dwAlgorithm: CALG_RSA_KEYX or CALG_RSA_SIGN
WRAPPER = opening("symcrypt-wrapper", "20|28 00 00 00 4b 52 53 4d")

_ALIGNMENT = X86.alignment
"""The least alignment of any number: hits elsewhere are not looked into."""
_TAG_OFFSET = 2


def decode_modulus(memory: Memory, address: int) -> Decoded | None:
    """Decode the RSA key to which a MODULUS belongs, or the public keys of the group whose prime it is."""
    if address < 0 or address % _ALIGNMENT:
        return None
    return symcrypt_rsa.decode_modulus(memory, address) or symcrypt_dl_public.decode_group(memory, address)


def decode_int(memory: Memory, address: int) -> Decoded | None:
    """Decode the key to which an INT belongs: in a DIVISOR by the MODULUS around it, else as a private value."""
    header = None if address % _ALIGNMENT else int_header(memory, address)
    if header is None:
        return None
    divisor = address - header.abi.divisor_int
    if divisor >= 0 and memory.read(divisor + _TAG_OFFSET, len(DIVISOR_TAG)) == DIVISOR_TAG:
        return decode_modulus(memory, divisor - header.abi.modulus_divisor)
    return symcrypt_ec.decode_scalar(memory, address, header) or symcrypt_dl.decode_private(memory, address, header)


def decode_wrapper(memory: Memory, address: int) -> Decoded | None:
    """Decode the RSA key to which a provider's handle points, and tie the handle to it."""
    for abi in (X64, X86):
        form = abi.c.MSBCRYPT_RSAKEY
        data = read_exactly(memory, address, len(form))
        if data is None or abi.pointer_size > memory.pointer_size:
            continue
        fields = form(data)
        if fields.cbLength != len(form) or fields.magic != WRAPPER_MAGIC:
            continue
        decoded = symcrypt_rsa.decode_key(memory, int(fields.pKey))
        if decoded is not None and decoded.key_object is not None:
            tied = replace(decoded.key_object, wrapper=address, wrapper_algorithm=int(fields.dwAlgorithm))
            return replace(decoded, key_object=tied)
    return None


DETECTORS: tuple[Detector, ...] = (
    (INT, decode_int),
    (WRAPPER, decode_wrapper),
)
