"""SymCrypt keys to plant: what lies together in memory for one key, for the address at which it is to lie.

An object of this kind holds pointers, so its bytes depend on its address. The key's own allocation comes first; behind
it come, each aligned, what it points to (curve or group) and what points to it (the provider's handle).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519

from dumpscan.artifacts.keys.rsa import (
    CRT_EXPONENT_1,
    CRT_EXPONENT_2,
    EXPONENT,
    MODULUS,
    PRIME_1,
    PRIME_2,
    PRIVATE_EXPONENT,
)
from dumpscan.exceptions import ScenarioError
from dumpscan.model.c_symcrypt import ABIS, FLAG_AGREEMENT, FLAG_SIGNATURE
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from dumpscan.synth.objects.symcrypt.curves import CURVES
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dumpscan.model.c_symcrypt import Abi
    from dumpscan.synth.objects.keys import KeyPair

BUILDS = {f"symcrypt-{abi.architecture}{'' if abi.layout == '102+' else '-old'}": abi for abi in ABIS}
"""By the name that a scenario gives a key's encoding: `symcrypt-x64`, `symcrypt-x64-old`, `symcrypt-arm64` ..."""

ALIGNMENT = 32
"""Every build's objects may lie at multiples of this, which is 16 on x86 alone."""


KEY_STRUCTURE = "key structure"
CURVE = "curve"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a key, as `KeyObject.missing_parts` names it.

    Attributes:
        name: Its name.
        start: Offset of its first byte from the object's address.
        end: Past the last byte without which it cannot be read.
        value: Offset of its number, which ends with it; None where it is no number.
    """

    name: str
    start: int
    end: int
    value: int | None = None


@dataclass(frozen=True, slots=True)
class SymcryptObject:
    """A key with all that belongs to it.

    Attributes:
        abi: Build.
        key_size: Bytes of the key's own allocation, which begins at the object's address: the length of a finding.
        size: Bytes of everything.
        wrapper: Offset of the provider's handle; None without one.
        parts: Parts that can be missing by themselves, in the order in which findings name them.
    """

    abi: Abi
    key_size: int
    size: int
    wrapper: int | None
    _build: Callable[[int], list[bytes]] = field(repr=False)
    parts: tuple[Part, ...] = ()

    @property
    def alignment(self) -> int:
        """What its address must be a multiple of."""
        return ALIGNMENT

    def parts_in(self, holes: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """Name the parts that are not whole where some bytes, as (first offset, past the last), are not there."""
        return tuple(
            part.name for part in self.parts if any(low < part.end and part.start < high for low, high in holes)
        )

    def at(self, address: int) -> bytes:
        """Return the bytes for an address, which must be a multiple of `ALIGNMENT` that a pointer can hold.

        Raises:
            ScenarioError: If it is not.
        """
        if address % ALIGNMENT or not 0 <= address <= (1 << 8 * self.abi.pointer_size) - self.size:
            raise ScenarioError(f"a SymCrypt key of {self.abi.architecture} cannot lie at {address:#x}")
        return b"".join(self._build(address))


def make_symcrypt(
    key: KeyPair, build: str, *, public_only: bool = False, wrapped: bool = False, seed: str = ""
) -> SymcryptObject:
    """Lay out a key of RSA, DSA, X25519 or a NIST curve.

    Args:
        key: The key.
        build: One of `BUILDS`.
        public_only: Leave its private half out (not for DSA, whose keys are found by that half).
        wrapped: Add the provider's handle, which only RSA keys have.
        seed: Decides on what does not matter: the projective coordinate of a public point.

    Raises:
        ScenarioError: If there is no such build, or such a key of it.
    """
    if build not in BUILDS:
        raise ScenarioError(f"unknown build {build!r}; expected one of {', '.join(BUILDS)}")
    abi, private = BUILDS[build], key.private
    if wrapped and not isinstance(private, rsa.RSAPrivateKey):
        raise ScenarioError("only RSA keys have a handle of this kind")
    if isinstance(private, rsa.RSAPrivateKey):
        made = _object(abi, _rsa(abi, private, public_only=public_only, wrapped=wrapped), wrapped=wrapped)
        return replace(made, parts=_rsa_parts(abi, made.at(0)))
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        numbers = private.private_numbers()
        point = numbers.public_numbers.x, numbers.public_numbers.y
        scalar = None if public_only else numbers.private_value
        return _with_ec_parts(_object(abi, _ec(abi, private.curve.name, point, scalar, seed)))
    if isinstance(private, x25519.X25519PrivateKey):
        u = int.from_bytes(private.public_key().public_bytes_raw(), "little")
        scalar = None if public_only else _clamped(private.private_bytes_raw()) // 8
        return _with_ec_parts(_object(abi, _ec(abi, "curve25519", (u, 0), scalar, seed)))
    if isinstance(private, dsa.DSAPrivateKey) and not public_only:
        return _object(abi, _dsa(abi, private))
    raise ScenarioError(f"SymCrypt holds no such {key.algorithm} key")


def make_aes(key: bytes, build: str) -> SymcryptObject:
    """Lay out an AES key of 16, 24 or 32 bytes.

    Raises:
        ScenarioError: If there is no such build, or no such key.
    """
    if build not in BUILDS or len(key) not in (16, 24, 32):
        raise ScenarioError(f"an AES key of {len(key) * 8} bits in {build!r} cannot be made")
    abi = BUILDS[build]
    return _object(abi, lambda address: [symcrypt.aes_key(abi, address, key)])


def garbled(made: SymcryptObject, seed: str) -> SymcryptObject:
    """Return the same object with noise in place of its numbers: tags, sizes and pointers stay right."""

    def build(address: int) -> list[bytes]:
        data = bytearray(made.at(address))
        for part in made.parts:
            if part.value is not None:
                data[part.value : part.end] = SeededBytes("noise", seed, part.name).take(part.end - part.value)
        return [bytes(data)]

    return replace(made, _build=build)


def _rsa_parts(abi: Abi, data: bytes) -> tuple[Part, ...]:
    """Find the parts of a key whose bytes are those for address 0, so that its pointers are offsets."""
    structure = 0, abi.sizeof("SYMCRYPT_RSAKEY")
    key = abi.c.SYMCRYPT_RSAKEY(data)

    def number(name: str, start: int, value: int, digits: int) -> Part:
        return Part(name, start, start + value + digits * abi.digit, start + value)

    modulus = number(MODULUS, int(key.pmModulus), abi.modulus_value, int(key.nDigitsOfModulus))
    parts = [Part(KEY_STRUCTURE, *structure), modulus]
    if not key.nPrimes:
        return tuple(parts)
    parts.append(Part(EXPONENT, *structure))
    digits = [int(count) for count in key.nDigitsOfPrimes]
    for name, start, count in zip((PRIME_1, PRIME_2), key.pmPrimes, digits, strict=True):
        parts.append(number(name, int(start), abi.modulus_value, count))
    parts.append(number(PRIVATE_EXPONENT, int(key.piPrivExps[0]), abi.int_value, int(key.nDigitsOfModulus)))
    for name, start, count in zip((CRT_EXPONENT_1, CRT_EXPONENT_2), key.piCrtPrivExps, digits, strict=True):
        parts.append(number(name, int(start), abi.int_value, count))
    return tuple(parts)


def _with_ec_parts(made: SymcryptObject) -> SymcryptObject:
    abi = made.abi
    key = abi.c.SYMCRYPT_ECKEY(made.at(0))
    curve, point, scalar = int(key.pCurve), int(key.poPublicKey), int(key.piPrivateKey)
    parts = (
        Part(KEY_STRUCTURE, 0, abi.sizeof("SYMCRYPT_ECKEY")),
        Part(CURVE, curve, curve + len(abi.c.SYMCRYPT_ECURVE)),
        Part("public point", point, scalar, point + abi.sizeof("SYMCRYPT_ECPOINT")),
        Part("private scalar", scalar, made.key_size, scalar + abi.int_value),
    )
    return replace(made, parts=parts)


def _object(abi: Abi, build: Callable[[int], list[bytes]], *, wrapped: bool = False) -> SymcryptObject:
    """Pad the parts, which must not change their sizes with the address, and measure them."""

    def padded(address: int) -> list[bytes]:
        return [part + bytes(-len(part) % ALIGNMENT) for part in build(address)]

    sizes = [len(part) for part in padded(0)]
    wrapper = sum(sizes[:-1]) if wrapped else None
    return SymcryptObject(abi, len(build(0)[0]), sum(sizes), wrapper, padded)


def _rsa(abi: Abi, key: rsa.RSAPrivateKey, *, public_only: bool, wrapped: bool) -> Callable[[int], list[bytes]]:
    numbers = key.private_numbers()

    def build(address: int) -> list[bytes]:
        parts = [symcrypt.rsa_key(abi, address, numbers.public_numbers, None if public_only else numbers)]
        if wrapped:
            parts.append(symcrypt.rsa_wrapper(abi, address, key.key_size))
        return parts

    return build


def _ec(abi: Abi, name: str, point: tuple[int, int], scalar: int | None, seed: str) -> Callable[[int], list[bytes]]:
    curve = CURVES[name]
    z = SeededBytes("projective coordinate", seed, name, str(point[0])).below(curve.p - 1) + 1
    flags = FLAG_AGREEMENT if name == "curve25519" else FLAG_SIGNATURE

    def build(address: int) -> list[bytes]:
        def key_with(curve_address: int) -> bytes:
            return symcrypt.ec_key(abi, address, curve_address, curve, public=point, scalar=scalar, z=z, flags=flags)

        at_curve = address + -(-len(key_with(address)) // ALIGNMENT) * ALIGNMENT
        return [key_with(at_curve), symcrypt.ec_curve(abi, at_curve, curve)]

    return build


def _dsa(abi: Abi, key: dsa.DSAPrivateKey) -> Callable[[int], list[bytes]]:
    numbers = key.private_numbers()
    group = numbers.public_numbers.parameter_numbers

    def build(address: int) -> list[bytes]:
        def key_with(group_address: int) -> bytes:
            return symcrypt.dl_key(abi, address, group_address, (group.p, group.q, group.g), numbers.x)

        at_group = address + -(-len(key_with(address)) // ALIGNMENT) * ALIGNMENT
        return [key_with(at_group), symcrypt.dl_group(abi, at_group, group.p, group.q, group.g)]

    return build


def _clamped(private: bytes) -> int:
    """Return an X25519 private value as a number (RFC 7748, 5)."""
    return int.from_bytes(private, "little") & ((1 << 254) - 8) | 1 << 254
