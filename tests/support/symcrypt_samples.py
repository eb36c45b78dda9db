"""Keys and memories for the tests of SymCrypt's objects: synthetic keys for every build, in memory with holes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dumpscan.model.c_symcrypt import ABIS, FLAG_AGREEMENT, Abi
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from dumpscan.synth.objects.symcrypt.curves import CURVES

BASE = 0x7FFE_4000
"""An address that pointers of both sizes can hold."""
GROUP = 0x1234_0000
CURVE = 0x2345_0000

ABI_NAMES = {f"{abi.architecture}-{abi.layout}": abi for abi in ABIS}


@dataclass
class Patches:
    """Memory made of pieces; what no piece holds, it does not hold. Adjacent pieces are read as one."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    pointer_size: int = 8

    def read(self, address: int, size: int) -> bytes:
        data = b""
        while len(data) < size:
            at = address + len(data)
            piece = next((piece for start, piece in self.pieces.items() if start <= at < start + len(piece)), None)
            if piece is None:
                break
            start = next(
                start for start, other in self.pieces.items() if other is piece and start <= at < start + len(piece)
            )
            data += piece[at - start : at - start + size - len(data)]
        return data

    def without(self, start: int, end: int) -> Patches:
        """The same memory with a hole."""
        pieces = {}
        for at, piece in self.pieces.items():
            if at < start:
                pieces[at] = piece[: start - at]
            if at + len(piece) > end:
                pieces[max(at, end)] = piece[max(end - at, 0) :]
        return Patches({at: piece for at, piece in pieces.items() if piece}, self.pointer_size)

    def patched(self, address: int, data: bytes) -> Patches:
        """The same memory with other bytes at an address (within one piece)."""
        pieces = dict(self.pieces)
        for at, piece in self.pieces.items():
            if at <= address < at + len(piece):
                pieces[at] = (piece[: address - at] + data + piece[address - at + len(data) :])[: len(piece)]
        return Patches(pieces, self.pointer_size)


@cache
def rsa_numbers(bits: int = 1024) -> rsa.RSAPrivateNumbers:
    """A test key."""
    key = make_key(f"rsa-{bits}", "symcrypt").private
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.private_numbers()


@cache
def rsa_memory(abi: Abi, bits: int = 1024, *, private: bool = True) -> Patches:
    """An RSA key at `BASE`."""
    numbers = rsa_numbers(bits)
    data = symcrypt.rsa_key(abi, BASE, numbers.public_numbers, numbers if private else None)
    return Patches({BASE: data}, abi.pointer_size)


EC_CURVES: dict[str, ec.EllipticCurve] = {
    "secp256r1": ec.SECP256R1(),
    "secp384r1": ec.SECP384R1(),
    "secp521r1": ec.SECP521R1(),
}
SCALAR = 0x0123_4567_89AB_CDEF_0F1E_2D3C_4B5A_6978_1122


def public_point(name: str, scalar: int = SCALAR) -> tuple[int, int]:
    """scalar * G of one of the library's curves."""
    numbers = ec.derive_private_key(scalar, EC_CURVES[name]).public_key().public_numbers()
    return numbers.x, numbers.y


def ec_memory(
    abi: Abi, name: str, public: tuple[int, int], scalar: int | None = SCALAR, *, z: int = 0xABCDEF0123456789
) -> Patches:
    """A key at `BASE` and its curve at `CURVE`."""
    curve = CURVES[name]
    data = symcrypt.ec_key(abi, BASE, CURVE, curve, public=public, scalar=scalar, z=z, flags=FLAG_AGREEMENT)
    return Patches({BASE: data, CURVE: symcrypt.ec_curve(abi, CURVE, curve)}, abi.pointer_size)


def tags(memory: Patches, tag: bytes) -> list[int]:
    """Addresses of the objects whose tag, at offset 2, is in memory."""
    found = []
    for start, piece in memory.pieces.items():
        at = piece.find(tag)
        while at >= 0:
            found.append(start + at - 2)
            at = piece.find(tag, at + 1)
    return sorted(found)
