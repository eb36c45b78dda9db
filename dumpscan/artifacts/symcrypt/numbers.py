"""Big numbers of SymCrypt as they lie in memory: INT and MODULUS, their tags, sizes, values and Montgomery constants.

Nothing here trusts a size that it read: a number has at most `MAX_DIGITS` digits, and what is read is limited by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from dumpscan.artifacts.effort import charge
from dumpscan.model.c_symcrypt import GENERIC_MODULUS_TAG, INT_TAG, MAX_DIGITS, MODULUS_TAGS, abis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.space import Memory
    from dumpscan.model.c_symcrypt import Abi

_GRAIN = 32
_TAG = slice(2, 4)
_NDIGITS = slice(4, 8)
_CBSIZE = slice(8, 12)
_CBMODELEMENT = slice(16, 20)
_WORD = 0xFFFFFFFF
_HEADER = 20
"""Bytes that tell the size of a number; these fields lie alike in every build (a test compares them with the model)."""
_FACTOR, _FACTOR_2048 = 3, 30
"""Microseconds for a power of two modulo any number, and modulo one of 2048 bits."""


@dataclass(frozen=True, slots=True)
class NumberHeader:
    """What a number says of itself.

    Attributes:
        abi: The build that it fits: architecture and pointer size; its layout is told only by the object around it.
        digits: Digits of the value.
    """

    abi: Abi
    digits: int


def read_exactly(memory: Memory, address: int, size: int) -> bytes | None:
    """Return `size` bytes at an address, or None where the memory does not hold all of them."""
    if address < 0:
        return None
    data = memory.read(address, size)
    return data if len(data) == size else None


def read_struct(memory: Memory, address: int, abi: Abi, structure: str) -> Any | None:  # noqa: ANN401 - made at run time
    """Read a structure of the model; None where the memory does not hold it whole."""
    form = getattr(abi.c, structure)
    data = read_exactly(memory, address, len(form))
    return None if data is None else form(data)


def digest_present(memory: Memory, address: int, size: int) -> tuple[str, int]:
    """Hash an object as it lies in memory.

    Returns:
        SHA-256 (hex) of the bytes that the memory holds, in their order, and how many it does not hold. A hole is taken
        to end at a multiple of 32.
    """
    hashed = sha256()
    missing = 0
    end = address + size
    while address < end:
        part = memory.read(address, end - address) if address >= 0 else b""
        hashed.update(part)
        hole = 0 if part else min(_GRAIN - address % _GRAIN, end - address)
        missing += hole
        address += len(part) + hole
    return hashed.hexdigest(), missing


def int_header(memory: Memory, address: int, *, pointer_size: int | None = None) -> NumberHeader | None:
    """Read the header of an INT; None if there is none.

    Args:
        memory: Where it lies.
        address: Of its first byte.
        pointer_size: That of the code which made it, where it is known.
    """
    data = read_exactly(memory, address, _HEADER)
    if data is None or data[_TAG] != INT_TAG:
        return None
    digits, size = int.from_bytes(data[_NDIGITS], "little"), int.from_bytes(data[_CBSIZE], "little")
    if not 0 < digits <= MAX_DIGITS:
        return None
    for abi in abis(pointer_size or memory.pointer_size):
        if abi.int_size(digits) == size and pointer_size in (None, abi.pointer_size):
            return NumberHeader(abi, digits)
    return None


def modulus_header(memory: Memory, address: int, *, pointer_size: int | None = None) -> NumberHeader | None:
    """Read the header of a MODULUS; None if there is none (arguments as of `int_header`).

    How many numbers lie behind its value has changed between versions without a trace in the layout: one or two.
    """
    data = read_exactly(memory, address, _HEADER)
    if data is None or data[_TAG] not in MODULUS_TAGS:
        return None
    digits, size = int.from_bytes(data[_NDIGITS], "little"), int.from_bytes(data[_CBSIZE], "little")
    element = int.from_bytes(data[_CBMODELEMENT], "little")
    if not 0 < digits <= MAX_DIGITS or element % digits:
        return None
    for abi in abis(pointer_size or memory.pointer_size, element // digits):
        extras = size - abi.modulus_value - element
        if extras in (element, 2 * element) and pointer_size in (None, abi.pointer_size):
            return NumberHeader(abi, digits)
    return None


def read_number(memory: Memory, address: int, size: int) -> int | None:
    """Read a little-endian number of `size` bytes; None where the memory does not hold all of it."""
    data = read_exactly(memory, address, size)
    return None if data is None else int.from_bytes(data, "little")


def read_int(memory: Memory, address: int, abi: Abi) -> int | None:
    """Read the value of an INT; None if there is none, or the memory does not hold all of it."""
    header = int_header(memory, address, pointer_size=abi.pointer_size)
    if header is None or header.abi.digit != abi.digit:
        return None
    return read_number(memory, address + abi.int_value, header.digits * abi.digit)


def read_modulus(memory: Memory, address: int, abi: Abi) -> int | None:
    """Read the value of a MODULUS; None if there is none, or the memory does not hold all of it."""
    header = modulus_header(memory, address, pointer_size=abi.pointer_size)
    if header is None or header.abi.digit != abi.digit:
        return None
    return read_number(memory, address + abi.modulus_value, header.digits * abi.digit)


def modulus_proof(memory: Memory, address: int, header: NumberHeader, value: int) -> str | None:
    """Compare a modulus with what SymCrypt computed from it when it was set: a public number's own proof.

    R^2 mod n lies behind the value and depends on all of it. Where it is not held, or zero, the low 64 bits of -1/n,
    which lie in the header, must do. A generic modulus need not have either, and what is there instead may be anything:
    it has the size of n and the reciprocal of its highest bits, in the DIVISOR.

    Returns:
        What agrees, in words; None if it is not the modulus of these constants.
    """
    abi = header.abi
    if not value & 1:
        return None
    if element_factor(memory, address, header, value) not in (None, 1):
        return "the modulus agrees with its Montgomery constants"
    size = header.digits * abi.digit
    generic = _is_generic(memory, address)
    if not generic and read_number(memory, address + abi.modulus_value + size, size):
        return None
    data = memory.read(address + _HEADER, abi.modulus_divisor - _HEADER)
    if (-pow(value, -1, 1 << 64) % (1 << 64)).to_bytes(8, "little") in data:
        return "the low 64 bits of the modulus agree with their inverse"
    divisor = read_struct(memory, address + abi.modulus_divisor, abi, "SYMCRYPT_DIVISOR") if generic else None
    if divisor is not None and (divisor.nBits, divisor.W & _WORD) == (value.bit_length(), reciprocal(value)):
        return "the high 64 bits of the modulus agree with their reciprocal"
    return None


def element_factor(memory: Memory, address: int, header: NumberHeader, value: int) -> int | None:
    """Say by what a modulus' elements are multiplied: R, whose square mod n lies behind the value, or 1.

    Returns:
        The factor; None where no R^2 tells it and the modulus is no generic one.
    """
    size = header.digits * header.abi.digit
    behind = address + header.abi.modulus_value + size
    numbers = [number for at in (behind, behind + size) if (number := read_number(memory, at, size))]
    for factor in montgomery_factors(value, size):
        if factor != 1 and factor * factor % value in numbers:
            return factor
    return 1 if _is_generic(memory, address) else None


def _is_generic(memory: Memory, address: int) -> bool:
    return memory.read(address, _HEADER)[_TAG] == GENERIC_MODULUS_TAG


def reciprocal(divisor: int) -> int:
    """Compute the 32-bit reciprocal of a divisor's highest 64 bits, by which SymCrypt estimates quotients."""
    bits = divisor.bit_length()
    top = divisor << max(64 - bits, 0) >> max(bits - 64, 0)
    return ((1 << 96) - 1) // top - (1 << 32) & _WORD


def montgomery_factors(modulus: int, size: int) -> Iterator[int]:
    """Say by what the elements of a field may be multiplied: R for each form that a build may use, and 1 for none.

    Args:
        modulus: The field's.
        size: Bytes of an element, as it is stored.
    """
    whole = 8 * size
    least = -(-modulus.bit_length() // 64) * 64
    for bits in (whole, *range(least, whole, 64), 0):  # all digits, or as few words as hold it
        charge(_FACTOR + _FACTOR_2048 * (modulus.bit_length() / 2048) ** 2)
        yield pow(2, bits, modulus)
