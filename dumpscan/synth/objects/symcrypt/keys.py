"""SymCrypt keys to plant, with everything that belongs to a key, made for the address at which they lie.

The bytes of such an object depend on its address, because it holds pointers. The key's own allocation comes first. What
it points to (its curve or group) and what points to it (the provider's handle) follow, each aligned.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519

from dumpscan.artifacts.keys.rsa.proof import (
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
from dumpscan.synth.alignment import align, pad
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from dumpscan.synth.objects.symcrypt.aes import aes_key
from dumpscan.synth.objects.symcrypt.curves import CURVES
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dumpscan.model.c_symcrypt import Abi
    from dumpscan.synth.objects.keys import KeyPair

    Build = Callable[[int], list[bytes]]  # the allocations of an object at an address

BUILDS = {f"symcrypt-{abi.architecture}{'' if abi.layout == '102+' else '-old'}": abi for abi in ABIS}
"""The builds by the name that a scenario gives as an encoding: `symcrypt-x64`, `symcrypt-x64-old` ..."""
ALIGNMENT = 32
"""An object may lie at any multiple of this. On x86, 16 would do."""
KEY_STRUCTURE = "key structure"
CURVE = "curve"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a key, as in `KeyObject.missing_parts`.

    Attributes:
        name: Name of the part.
        start: Offset of its first byte in the object.
        end: Offset past the last byte that is needed to read it.
        value: Offset of its number, which extends to `end`; None if it is no number.
    """

    name: str
    start: int
    end: int
    value: int | None = None


@dataclass(frozen=True, slots=True)
class SymcryptObject:
    """A key with everything that belongs to it.

    Attributes:
        abi: Build.
        key_size: Bytes of the key's own allocation, which is the length of a finding.
        size: Bytes of everything.
        wrapper: Offset of the provider's handle; None if there is none.
        parts: Parts that can be missing by themselves, in the order in which findings name them.
    """

    abi: Abi
    key_size: int
    size: int
    wrapper: int | None
    _build: Build = field(repr=False)
    parts: tuple[Part, ...] = ()

    @property
    def alignment(self) -> int:
        """The address must be a multiple of this."""
        return ALIGNMENT

    def parts_in(self, holes: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        """Return the names of the parts that have bytes in holes: (first offset, offset past the last)."""
        return tuple(
            part.name for part in self.parts if any(low < part.end and part.start < high for low, high in holes)
        )

    def at(self, address: int) -> bytes:
        """Return the bytes for an address.

        Raises:
            ScenarioError: If it is no multiple of `ALIGNMENT`, or no pointer of the build can hold it.
        """
        if address % ALIGNMENT or not 0 <= address <= (1 << 8 * self.abi.pointer_size) - self.size:
            raise ScenarioError(f"a SymCrypt key of {self.abi.architecture} cannot lie at {address:#x}")
        return b"".join(self._build(address))


def make_symcrypt(
    key: KeyPair, build: str, *, public_only: bool = False, wrapped: bool = False, seed: str = ""
) -> SymcryptObject:
    """Return an RSA, DSA or X25519 key, or one on a NIST curve, as an object of SymCrypt.

    Args:
        key: The key.
        build: One of `BUILDS`.
        public_only: Whether to leave out the private half.
        wrapped: Whether to add the provider's handle, which only RSA keys have.
        seed: Determines the projective coordinate of a public point.

    Raises:
        ScenarioError: If there is no such build, or it cannot hold such a key.
    """
    if build not in BUILDS:
        raise ScenarioError(f"unknown build {build!r}; expected one of {', '.join(BUILDS)}")
    abi, private = BUILDS[build], key.private
    if wrapped and not isinstance(private, rsa.RSAPrivateKey):
        raise ScenarioError("only an RSA key has a provider's handle; leave out wrapped")
    if isinstance(private, rsa.RSAPrivateKey):
        made = _object(abi, _rsa(abi, private, public_only=public_only, wrapped=wrapped), wrapped=wrapped)
        return replace(made, parts=_rsa_parts(abi, made.at(0)))
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        numbers = private.private_numbers()
        point = numbers.public_numbers.x, numbers.public_numbers.y
        return _with_ec_parts(
            _object(abi, _ec(abi, private.curve.name, point, None if public_only else numbers.private_value, seed))
        )
    if isinstance(private, x25519.X25519PrivateKey):
        u = int.from_bytes(private.public_key().public_bytes_raw(), "little")
        scalar = None if public_only else _clamped(private.private_bytes_raw()) // 8
        return _with_ec_parts(_object(abi, _ec(abi, "curve25519", (u, 0), scalar, seed)))
    if isinstance(private, dsa.DSAPrivateKey):
        return _object(abi, _dsa(abi, private, public_only=public_only))
    raise ScenarioError(f"SymCrypt has no such {key.algorithm} key; expected RSA, DSA, X25519 or a NIST curve")


def make_aes(key: bytes, build: str) -> SymcryptObject:
    """Return an AES key of 16, 24 or 32 bytes as an object of SymCrypt.

    Raises:
        ScenarioError: If there is no such build, or the key has another size.
    """
    if build not in BUILDS or len(key) not in (16, 24, 32):
        expected = f"expected 128, 192 or 256 bits and one of {', '.join(BUILDS)}"
        raise ScenarioError(f"an AES key of {len(key) * 8} bits as {build!r}; {expected}")
    abi = BUILDS[build]
    return _object(abi, lambda address: [aes_key(abi, address, key)])


def garbled(made: SymcryptObject, seed: str) -> SymcryptObject:
    """Return an object with noise in place of its numbers. Tags, sizes and pointers stay right."""

    def build(address: int) -> list[bytes]:
        data = bytearray(made.at(address))
        for part in made.parts:
            if part.value is not None:
                data[part.value : part.end] = SeededBytes("noise", seed, part.name).take(part.end - part.value)
        return [bytes(data)]

    return replace(made, _build=build)


def _rsa_parts(abi: Abi, data: bytes) -> tuple[Part, ...]:
    """Return the parts of a key made for address 0, whose pointers are offsets."""
    structure = 0, abi.sizeof("SYMCRYPT_RSAKEY")
    key = abi.c.SYMCRYPT_RSAKEY(data)

    def number(name: str, start: int, value: int, digits: int) -> Part:
        return Part(name, int(start), int(start) + value + int(digits) * abi.digit, int(start) + value)

    bits = key.nDigitsOfModulus
    parts = [Part(KEY_STRUCTURE, *structure), number(MODULUS, key.pmModulus, abi.modulus_value, bits)]
    if key.nPrimes:
        digits = list(key.nDigitsOfPrimes)
        primes = zip((PRIME_1, PRIME_2), key.pmPrimes, digits, strict=True)
        exponents = zip((CRT_EXPONENT_1, CRT_EXPONENT_2), key.piCrtPrivExps, digits, strict=True)
        parts.append(Part(EXPONENT, *structure))
        parts += [number(name, start, abi.modulus_value, count) for name, start, count in primes]
        parts.append(number(PRIVATE_EXPONENT, key.piPrivExps[0], abi.int_value, bits))
        parts += [number(name, start, abi.int_value, count) for name, start, count in exponents]
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


def _object(abi: Abi, build: Build, *, wrapped: bool = False) -> SymcryptObject:
    """Return an object of padded allocations, whose sizes must not depend on the address."""

    def padded(address: int) -> list[bytes]:
        return [pad(part, ALIGNMENT) for part in build(address)]

    sizes = [len(part) for part in padded(0)]
    wrapper = sum(sizes[:-1]) if wrapped else None
    return SymcryptObject(abi, len(build(0)[0]), sum(sizes), wrapper, padded)


def _rsa(abi: Abi, key: rsa.RSAPrivateKey, *, public_only: bool, wrapped: bool) -> Build:
    numbers = key.private_numbers()

    def build(address: int) -> list[bytes]:
        parts = [symcrypt.rsa_key(abi, address, numbers.public_numbers, None if public_only else numbers)]
        return [*parts, symcrypt.rsa_wrapper(abi, address, key.key_size)] if wrapped else parts

    return build


def _ec(abi: Abi, name: str, point: tuple[int, int], scalar: int | None, seed: str) -> Build:
    curve = CURVES[name]
    z = SeededBytes("projective coordinate", seed, name, str(point[0])).below(curve.p - 1) + 1
    flags = FLAG_AGREEMENT if name == "curve25519" else FLAG_SIGNATURE
    key = partial(symcrypt.ec_key, abi, curve=curve, public=point, scalar=scalar, z=z, flags=flags)
    return _followed(key, lambda address: symcrypt.ec_curve(abi, address, curve))


def _dsa(abi: Abi, key: dsa.DSAPrivateKey, *, public_only: bool) -> Build:
    numbers = key.private_numbers()
    group = numbers.public_numbers.parameter_numbers
    values = group.p, group.q, group.g
    private = None if public_only else numbers.x
    return _followed(
        lambda address, at_group: symcrypt.dl_key(
            abi, address, at_group, values, private, public=numbers.public_numbers.y
        ),
        lambda address: symcrypt.dl_group(abi, address, *values),
    )


def _followed(key: Callable[[int, int], bytes], other: Callable[[int], bytes]) -> Build:
    """Return a function that builds a key and, behind it, another object to which the key points."""

    def build(address: int) -> list[bytes]:
        behind = address + align(len(key(address, address)), ALIGNMENT)
        return [key(address, behind), other(behind)]

    return build


def _clamped(private: bytes) -> int:
    """Return an X25519 private value as a number (RFC 7748, 5)."""
    return int.from_bytes(private, "little") & ((1 << 254) - 8) | 1 << 254
