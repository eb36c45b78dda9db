"""SYMCRYPT_DLKEY without a private value: from the group whose prime is a MODULUS to the keys that point to it.

A key does not lie beside its group, and has nothing in it that a signature could find. It points to the group, so it is
looked for around it only, as far as a heap's next allocations are likely to be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import Decoded
from dumpscan.artifacts.effort import charge, charge_inverse, charge_power
from dumpscan.artifacts.keys import encode as key_encode
from dumpscan.artifacts.symcrypt.dl import GROUP, STRUCTURE, key_object, read_group, signs_with
from dumpscan.artifacts.symcrypt.numbers import (
    digest_present,
    element_factor,
    modulus_header,
    modulus_proof,
    read_int,
    read_number,
    read_struct,
)
from dumpscan.artifacts.symcrypt.rsa import ENCODING
from dumpscan.model.c_symcrypt import abis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.symcrypt.dl import Group
    from dumpscan.artifacts.symcrypt.numbers import NumberHeader
    from dumpscan.memory.space import Memory
    from dumpscan.model.c_symcrypt import Abi

_AROUND = 1 << 20
"""How far from a group its public keys are looked for, in bytes."""
_COST_OF_LOOKING_AROUND = 2000
"""Microseconds."""
_MOST_POINTERS_TO_A_GROUP = 4096
_MOST_KEYS = 64
_PAGE = 0x1000


def decode_group(memory: Memory, address: int) -> Decoded | None:
    """Decode the public keys of the group whose prime is the MODULUS at `address`, if they lie around it.

    A key that should have a private value is one of them where the memory does not hold that.

    Returns:
        The keys by their addresses, the first with the others; None if there is none.
    """
    header = modulus_header(memory, address)
    if header is None:
        return None
    at = address - header.abi.sizeof(GROUP)
    group = read_group(memory, at, header.abi) if at >= 0 else None
    if group is None or group.q_missing or group.at_p != address or at >> 8 * header.abi.pointer_size:
        return None
    charge(_COST_OF_LOOKING_AROUND)
    places = {key: abi for abi, key in islice(_public_keys(memory, at, header.abi, group), _MOST_KEYS)}
    if not places:
        return None
    proven = _ProvenGroup.of(memory, group, header)
    if proven is None:
        return None
    found = [decoded for key, abi in sorted(places.items()) if (decoded := proven.key(memory, abi, key))]
    return replace(found[0], others=tuple(found[1:])) if found else None


def _public_keys(memory: Memory, group_address: int, made_by: Abi, group: Group) -> Iterator[tuple[Abi, int]]:
    """Find the structures around a group that point to it as a DLKEY does, and have no private value."""
    pointer = group_address.to_bytes(made_by.pointer_size, "little")
    looked_at = 0
    for start, data in _held(memory, max(group_address - _AROUND, 0), group_address + _AROUND):
        position = data.find(pointer)
        while position >= 0 and looked_at < _MOST_POINTERS_TO_A_GROUP:
            looked_at += 1
            for abi in abis(made_by.pointer_size, made_by.digit):
                if abi.pointer_size == made_by.pointer_size:
                    key = start + position - abi.offset(STRUCTURE, "pDlgroup")
                    if key >= 0 and key % abi.alignment == 0 and _is_public(memory, abi, key, group):
                        yield abi, key
            position = data.find(pointer, position + 1)


def _held(memory: Memory, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield the runs of bytes that the memory holds between two addresses; holes end at pages."""
    while start < end:
        data = memory.read(start, end - start)
        if data:
            yield start, data
        start = start + len(data) if data else (start // _PAGE + 1) * _PAGE


def _is_public(memory: Memory, abi: Abi, key: int, group: Group) -> bool:
    """Whether a DLKEY is there whose public element is where it must be, and whose private value is not."""
    fields = read_struct(memory, key, abi, STRUCTURE)
    at_public = key + abi.sizeof(STRUCTURE)
    if fields is None or fields.pePublicKey != at_public or fields.pbPrivate not in (0, at_public + group.element):
        return False
    if fields.fHasPrivateKey == 1:
        return read_int(memory, int(fields.pbPrivate), abi) is None
    return bool(fields.fHasPrivateKey == 0)


@dataclass(frozen=True, slots=True)
class _ProvenGroup:
    """A group whose prime agrees with what SymCrypt computed from it.

    Attributes:
        group: The group.
        inverse: What an element is to be multiplied by.
        generator: Its value.
        proof: What was checked.
    """

    group: Group
    inverse: int
    generator: int
    proof: tuple[str, ...]

    @classmethod
    def of(cls, memory: Memory, group: Group, header: NumberHeader) -> _ProvenGroup | None:
        """Prove a group; None if it is none."""
        p, q = group.p, group.q
        agrees = modulus_proof(memory, group.at_p, header, p)
        factor = element_factor(memory, group.at_p, header, p)
        if agrees is None or factor is None:
            return None
        charge_inverse(p.bit_length())
        inverse = pow(factor, -1, p)
        g = group.generator * inverse % p
        if not 1 < g < p - 1:
            return None
        proof = [agrees.replace("modulus", "prime")]
        if q is not None:
            charge_power(p.bit_length(), q.bit_length())
            if (p - 1) % q or pow(g, q, p) != 1:
                return None
            proof += ["q divides p-1", "g^q = 1 mod p"]
        return cls(group, inverse, g, tuple(proof))

    def key(self, memory: Memory, abi: Abi, key: int) -> Decoded | None:
        """Make the public key whose structure is at `key`; None if its element is not one of the group."""
        fields = read_struct(memory, key, abi, STRUCTURE)
        group = self.group
        stored = read_number(memory, key + abi.sizeof(STRUCTURE), group.element)
        if fields is None or stored is None or stored >= group.p:
            return None
        p, q, y = group.p, group.q, stored * self.inverse % group.p
        if not 1 < y < p - 1:
            return None
        proof = self.proof
        algorithm, name = key_encode.dh_algorithm(p, self.generator), "DH"
        if q is not None:
            charge_power(p.bit_length(), q.bit_length())
            if pow(y, q, p) != 1:
                return None
            proof += ("y^q = 1 mod p",)
            if signs_with(group, fields, abi):
                algorithm, name = key_encode.dsa_algorithm(p, q, self.generator), "DSA"
        info = key_encode.public_info(algorithm, key_encode.integer_key(y))
        finding = key_encode.public_key(name, p.bit_length(), info, proof=proof)
        size = abi.sizeof(STRUCTURE) + group.element + abi.int_size(group.element // abi.digit)
        digest, missing = digest_present(memory, key, size)
        absent = ("private value",) if fields.fHasPrivateKey else ()
        return Decoded(finding, key, size, digest, ENCODING, missing, key_object(abi, fields, group, absent))
