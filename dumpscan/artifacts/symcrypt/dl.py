"""SYMCRYPT_DLKEY, keys of DSA and Diffie-Hellman: from the INT of a private value to the key before it.

Key, public element and private INT lie in one allocation, in this order (`SymCryptDlkeyCreate`); how long the element
is only the group tells, so a private key is found by its pointer to the INT. The INT is made when a private value is
set. Group elements are in Montgomery form, the private value is plain. `dl_public` finds keys without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dumpscan.artifacts.decoded import Decoded
from dumpscan.artifacts.effort import charge_inverse, charge_power
from dumpscan.artifacts.keys import encode as key_encode
from dumpscan.artifacts.symcrypt.numbers import (
    digest_present,
    modulus_header,
    montgomery_factors,
    read_int,
    read_modulus,
    read_number,
    read_struct,
)
from dumpscan.artifacts.symcrypt.rsa import ENCODING, uses
from dumpscan.findings import KeyObject
from dumpscan.memory.space import read_before
from dumpscan.model.c_symcrypt import FLAG_AGREEMENT, FLAG_SIGNATURE, MAX_DIGITS, PRE_102, abis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.symcrypt.numbers import NumberHeader
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory
    from dumpscan.model.c_symcrypt import Abi

STRUCTURE = "SYMCRYPT_DLKEY"
GROUP = "SYMCRYPT_DLGROUP"
MOST_BITS = 8192
"""Of the prime: the largest group of RFC 7919. A larger one would take seconds to prove."""
_LEAST_BITS = 256
_MOST_POINTERS = 16
"""So many words that hold the INT's address are looked at; a key has one."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group's numbers, as they are stored.

    Attributes:
        p: Its prime.
        q: Order of the generator; None where it has none, or the memory does not hold it.
        q_missing: Whether it is the memory that does not hold it.
        generator: In whatever form elements have.
        safe: Whether it is a named group of a safe prime, which is for Diffie-Hellman only.
        at_p: Address of the prime's MODULUS.
        element: Bytes of an element.
    """

    p: int
    q: int | None
    q_missing: bool
    generator: int
    safe: bool
    at_p: int
    element: int


def decode_private(memory: Memory, address: int, header: NumberHeader) -> Decoded | None:
    """Decode the DSA or Diffie-Hellman key whose private value is the INT at `address`."""
    private = read_int(memory, address, header.abi)
    if not private or private.bit_length() > MOST_BITS:
        return None
    for abi, key in keys_before(memory, address, header):
        found = _decode(memory, abi, key, address, private=private, digits=header.digits)
        if found is not None:
            return found
    return None


def keys_before(memory: Memory, address: int, header: NumberHeader) -> Iterator[tuple[Abi, int]]:
    """Find the structures before an INT that point to it as a DLKEY does."""
    reach = header.abi.sizeof(STRUCTURE) + MOST_BITS // 8
    if address >> 8 * header.abi.pointer_size:
        return
    before = read_before(memory, address, reach)
    start = address - len(before)
    pointer = address.to_bytes(header.abi.pointer_size, "little")
    positions: list[int] = []
    position = before.rfind(pointer)
    while position >= 0 and len(positions) < _MOST_POINTERS:
        positions.append(position)
        position = before.rfind(pointer, 0, position + len(pointer) - 1)
    for abi in abis(header.abi.pointer_size, header.abi.digit):
        for position in positions:
            key = start + position - abi.offset(STRUCTURE, "piPrivateKey")
            if key >= start and key % abi.alignment == 0:
                yield abi, key


def _decode(memory: Memory, abi: Abi, key: int, address: int, *, private: int, digits: int) -> Decoded | None:
    """Prove the key whose structure is at `key`."""
    fields = read_struct(memory, key, abi, STRUCTURE)
    element = address - key - abi.sizeof(STRUCTURE)
    if fields is None or fields.fHasPrivateKey != 1 or element <= 0 or element % abi.digit:
        return None
    if int(fields.pePublicKey) != key + abi.sizeof(STRUCTURE):
        return None
    group = read_group(memory, int(fields.pDlgroup), abi)
    public = read_number(memory, int(fields.pePublicKey), element)
    if group is None or group.element != element or public is None or private >= group.p:
        return None
    finding = _prove(group, public, private, signs=signs_with(group, fields, abi))
    if finding is None:
        return None
    size = address + abi.int_size(max(digits, element // abi.digit)) - key
    digest, missing = digest_present(memory, key, size)
    return Decoded(finding, key, size, digest, ENCODING, missing, key_object(abi, fields, group))


def key_object(abi: Abi, fields: Any, group: Group, missing: tuple[str, ...] = ()) -> KeyObject:  # noqa: ANN401 - made at run time
    """Describe the key that has such fields, and parts that the memory does not hold."""
    flags = _flags(fields, abi)
    parameters = [("p", group.p), *([] if group.q is None else [("q", group.q)])]
    return KeyObject(
        library="symcrypt",
        structure=STRUCTURE,
        layout=abi.layout,
        architecture=abi.architecture,
        has_private=bool(fields.fHasPrivateKey),
        flags=flags,
        uses=uses(flags, "dsa", "dh"),
        parameters=tuple((name, f"{value:x}") for name, value in parameters),
        missing_parts=missing,
        whole=not missing,
    )


def _flags(fields: Any, abi: Abi) -> int | None:  # noqa: ANN401 - made at run time
    return None if abi.layout == PRE_102 else int(fields.fAlgorithmInfo)


def signs_with(group: Group, fields: Any, abi: Abi) -> bool:  # noqa: ANN401 - made at run time
    """Say whether a key is one of DSA: by its flags, or, in the layout without, if it could be."""
    flags = _flags(fields, abi)
    if group.q is None:
        return False
    if flags is not None and flags & (FLAG_SIGNATURE | FLAG_AGREEMENT):
        return bool(flags & FLAG_SIGNATURE)
    return bool(fields.fPrivateModQ) and not group.safe


def read_group(memory: Memory, address: int, abi: Abi) -> Group | None:
    """Read the DLGROUP at an address; None if there is none."""
    fields: Any = read_struct(memory, address, abi, GROUP)
    if fields is None or not _LEAST_BITS <= fields.nBitsOfP <= MOST_BITS:
        return None
    element = int(fields.nDigitsOfP) * abi.digit
    if not 0 < element <= MAX_DIGITS * abi.digit:
        return None
    header = modulus_header(memory, int(fields.pmP), pointer_size=abi.pointer_size)
    p = read_modulus(memory, int(fields.pmP), abi)
    generator = read_number(memory, int(fields.peG), element)
    if header is None or p is None or generator is None or p.bit_length() != fields.nBitsOfP or not p & 1:
        return None
    q = read_modulus(memory, int(fields.pmQ), abi) if fields.fHasPrimeQ else None
    missing = bool(fields.fHasPrimeQ) and not q
    return Group(p, q or None, missing, generator, bool(fields.isSafePrimeGroup), int(fields.pmP), element)


def _prove(group: Group, stored: int, private: int, *, signs: bool) -> PrivateKey | None:
    """Check y = g^x mod p in each form that elements may have."""
    p = group.p
    for factor in montgomery_factors(p, group.element):
        charge_inverse(p.bit_length())
        try:
            inverse = pow(factor, -1, p)
        except ValueError:
            return None
        g, y = group.generator * inverse % p, stored * inverse % p
        if not 1 < g < p - 1 or not 1 < y < p - 1:
            continue
        charge_power(p.bit_length(), private.bit_length())
        if pow(g, private, p) != y:
            continue
        proof = ["y = g^x mod p"]
        algorithm, name = key_encode.dh_algorithm(p, g), "DH"
        if group.q is not None and private < group.q and (p - 1) % group.q == 0 and _has_order(g, group.q, p):
            proof += ["q divides p-1", "g^q = 1 mod p"]
            if signs:
                algorithm, name = key_encode.dsa_algorithm(p, group.q, g), "DSA"
        info = key_encode.public_info(algorithm, key_encode.integer_key(y))
        secret = key_encode.pkcs8(algorithm, key_encode.integer_key(private))
        return key_encode.private_key(name, p.bit_length(), info, secret, proof=tuple(proof))
    return None


def _has_order(g: int, q: int, p: int) -> bool:
    charge_power(p.bit_length(), q.bit_length())
    return pow(g, q, p) == 1
