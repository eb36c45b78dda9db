"""SYMCRYPT_RSAKEY: from one big number's tag to the key around it.

A key and everything that it points to lie in one allocation, in a fixed order (`SymCryptRsakeyCreate`): the structure,
the modulus, two primes (each in the room of a modulus), two CRT inverses, the private exponent, two CRT exponents. So
any MODULUS in it says where the key would be (`RsaAllocation`), without a wrapper and without a symbol. Pointers that
are right say the same. Which parts are really there, each part's own tag tells; whether they make a key, arithmetic
does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.decoded import Decoded
from dumpscan.artifacts.keys.encode import public_key
from dumpscan.artifacts.keys.proof import LEAST_RSA_BITS, LIBRARY_ERRORS, MOST_RSA_BITS
from dumpscan.artifacts.keys.rsa.parts import RsaParts, rebuild
from dumpscan.artifacts.symcrypt.numbers import (
    digest_present,
    int_header,
    modulus_header,
    modulus_proof,
    read_exactly,
    read_int,
    read_modulus,
)
from dumpscan.findings import KeyObject
from dumpscan.model.c_symcrypt import FLAG_AGREEMENT, FLAG_SIGNATURE, PRE_102, abis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.symcrypt.numbers import NumberHeader
    from dumpscan.findings import PublicKey
    from dumpscan.memory.space import Memory
    from dumpscan.model.c_symcrypt import Abi

STRUCTURE = "SYMCRYPT_RSAKEY"
ENCODING = "symcrypt"

_ENOUGH = 5
_ALL = 7
"""Checks that a structure passes: so many make out its layout (in the other one nearly all of them fail); if all of
them hold, it is intact."""
_ENOUGH_TAGS = 2
_LEAST_DIGITS_BITS = 256


@dataclass(frozen=True, slots=True)
class RsaAllocation:
    """Where a key would lie: pure arithmetic on addresses.

    Attributes:
        abi: Build; of the two layouts the one whose sizes were assumed.
        key: Address of the structure.
        digits: Of the modulus.
        stride: Bytes from the modulus to the first prime, and from that to the second.
    """

    abi: Abi
    key: int
    digits: int
    stride: int

    @property
    def modulus(self) -> int:
        """Address of the modulus."""
        return self.key + self.abi.sizeof(STRUCTURE)

    def prime(self, number: int) -> int:
        """Address of a prime (0 or 1)."""
        return self.modulus + (1 + number) * self.stride

    def exponent(self, number: int) -> int:
        """Address of the private exponent (0) or a CRT exponent (1, 2)."""
        element = self.digits * self.abi.digit
        return self.modulus + 3 * self.stride + 2 * element + number * self.abi.int_size(self.digits)

    @property
    def size(self) -> int:
        """Bytes of the whole allocation of a private key."""
        return self.exponent(3) - self.key

    @property
    def public_size(self) -> int:
        """Bytes of the allocation of a key without primes, which has room for a private exponent all the same."""
        return self.prime(0) + self.abi.int_size(self.digits) - self.key


def allocation_of_modulus(abi: Abi, address: int, digits: int, stride: int) -> RsaAllocation:
    """Say where the key lies whose modulus is at an address."""
    return RsaAllocation(abi, address - abi.sizeof(STRUCTURE), digits, stride)


def allocations_of_prime(abi: Abi, address: int, digits: int) -> Iterator[RsaAllocation]:
    """Say where the keys could lie one of whose primes is at an address: n has twice its digits, or one less."""
    for modulus_digits in (2 * digits, 2 * digits - 1):
        stride = abi.modulus_size(modulus_digits)
        for number in (1, 2):
            yield RsaAllocation(abi, address - number * stride - abi.sizeof(STRUCTURE), modulus_digits, stride)


def decode_modulus(memory: Memory, address: int) -> Decoded | None:
    """Decode the RSA key to which the MODULUS at `address` belongs, as its modulus or, if that is gone, as a prime."""
    header = modulus_header(memory, address)
    if header is None:
        return None
    stride = _stride(memory, address)
    found = _decode(memory, allocation_of_modulus(header.abi, address, header.digits, stride), header)
    if found is not None:
        return found
    for abi in abis(memory.pointer_size, header.abi.digit):
        for place in allocations_of_prime(abi, address, header.digits):
            if place.key >= 0 and modulus_header(memory, place.modulus) is None and _partner(memory, place, address):
                found = _decode(memory, place, None)
                if found is not None:
                    return found
    return None


def _partner(memory: Memory, place: RsaAllocation, prime: int) -> bool:
    """Whether there is another prime, or a private exponent, beside one."""
    other = place.prime(1) if prime == place.prime(0) else place.prime(0)
    return modulus_header(memory, other) is not None or int_header(memory, place.exponent(0)) is not None


def decode_key(memory: Memory, address: int) -> Decoded | None:
    """Decode the RSA key whose structure is at `address`."""
    for abi in abis(memory.pointer_size):
        modulus = address + abi.sizeof(STRUCTURE)
        header = modulus_header(memory, modulus, pointer_size=abi.pointer_size)
        if header is not None and header.abi.digit == abi.digit:
            return _decode(
                memory, allocation_of_modulus(header.abi, modulus, header.digits, _stride(memory, modulus)), header
            )
    return None


def _stride(memory: Memory, modulus: int) -> int:
    """Read a modulus' own size, which `modulus_header` has checked."""
    return int.from_bytes(memory.read(modulus + 8, 4), "little")


@dataclass(frozen=True, slots=True)
class _Structure:
    """The key's structure as far as it is there.

    Attributes:
        layout: `pre-102`, `102+`, or None if its fields fit neither.
        fields: The structure in that layout.
        slide: What must be added to its pointers: zero, unless it lies where it was not made.
        intact: Whether nothing in it is off.
    """

    layout: str | None = None
    fields: Any = None
    slide: int = 0
    intact: bool = False

    def pointer(self, name: str, number: int) -> int | None:
        if self.fields is None:
            return None
        return int(getattr(self.fields, name)[number]) + self.slide


def _structure(memory: Memory, place: RsaAllocation, header: NumberHeader | None) -> _Structure:
    """Read the structure in the layout that its own fields agree with."""
    best, most = _Structure(), _ENOUGH
    data = read_exactly(memory, place.key, place.abi.sizeof(STRUCTURE))
    for abi in abis(place.abi.pointer_size, place.abi.digit):
        if data is None or not _likely(data, abi, place, header):
            continue
        fields = getattr(abi.c, STRUCTURE)(data)
        slide = place.modulus - int(fields.pmModulus)
        agreeing = _agreeing(fields, place, header, slide)
        if agreeing + (slide == 0) > most:
            best, most = _Structure(abi.layout, fields, slide, agreeing == _ALL), agreeing + (slide == 0)
    return best


def _likely(data: bytes, abi: Abi, place: RsaAllocation, header: NumberHeader | None) -> bool:
    """Whether two of the four most telling fields are right."""
    right = (
        abi.number(data, STRUCTURE, "pmModulus") == place.modulus,
        abi.number(data, STRUCTURE, "nDigitsOfModulus") == (header.digits if header else place.digits),
        abi.number(data, STRUCTURE, "nPubExp") == 1,
        abi.number(data, STRUCTURE, "nPrimes") in (0, 2),
    )
    return sum(right) >= 2  # noqa: PLR2004


def _agreeing(fields: Any, place: RsaAllocation, header: NumberHeader | None, slide: int) -> int:  # noqa: ANN401 - made at run time
    """Count the fields that are as they must be."""
    bits = int(fields.nBitsOfModulus)
    end = place.key + place.size
    return sum(
        (
            fields.nDigitsOfModulus == (header.digits if header else place.digits),
            fields.nPubExp == 1,
            fields.nPrimes in (0, 2),
            fields.hasPrivateKey in (0, 1),
            place.abi.digits(bits) <= place.digits and bits >= _LEAST_DIGITS_BITS,
            place.stride < fields.cbTotalSize <= place.size,
            place.modulus < int(fields.pbPrivExps[0]) + slide < end,
        )
    )


def _decode(memory: Memory, place: RsaAllocation, header: NumberHeader | None) -> Decoded | None:
    """Read the key at a place, if there is one, and prove it."""
    structure = _structure(memory, place, header)
    if structure.fields is None and _tags(memory, place) < _ENOUGH_TAGS:
        return None
    parts = _parts(memory, place, structure)
    rebuilt = rebuild(parts)
    public_only = structure.fields is not None and structure.fields.nPrimes == 0
    length = place.public_size if public_only else place.size
    digest, missing = digest_present(memory, place.key, length)
    if rebuilt is not None:
        finding = rebuilt.key
        return Decoded(
            finding,
            place.key,
            length,
            digest,
            ENCODING,
            missing,
            _key_object(place, structure, parts.missing(), rebuilt.wrong),
        )
    public = _public(memory, place, structure, parts)
    if public is None:
        return None
    whole = public_only or not structure.fields.hasPrivateKey
    absent = () if whole else parts.missing()
    return Decoded(
        public, place.key, length, digest, ENCODING, missing, _key_object(place, structure, absent, (), whole=whole)
    )


def _tags(memory: Memory, place: RsaAllocation) -> int:
    """Count the objects of a private key that are where they would be."""
    moduli = [place.modulus, place.prime(0), place.prime(1)]
    ints = [place.exponent(number) for number in range(3)]
    return sum(
        (
            *(modulus_header(memory, address) is not None for address in moduli[1:]),
            *(int_header(memory, address) is not None for address in ints),
        )
    )


def _parts(memory: Memory, place: RsaAllocation, structure: _Structure) -> RsaParts:
    """Read every part, by its pointer where that leads to such an object in the key's allocation, else by its place."""
    abi = place.abi

    def where(pointer: int | None, otherwise: int) -> Iterator[int]:
        if pointer is not None and place.modulus < pointer < place.key + place.size:
            yield pointer
        yield otherwise

    def modulus(pointer: int | None, otherwise: int) -> int | None:
        return next((value for at in where(pointer, otherwise) if (value := read_modulus(memory, at, abi))), None)

    def integer(pointer: int | None, otherwise: int) -> int | None:
        return next((value for at in where(pointer, otherwise) if (value := read_int(memory, at, abi))), None)

    exponent = None if structure.fields is None else int(structure.fields.au64PubExp[0])
    return RsaParts(
        modulus=read_modulus(memory, place.modulus, abi),
        exponent=exponent,
        p=modulus(structure.pointer("pmPrimes", 0), place.prime(0)),
        q=modulus(structure.pointer("pmPrimes", 1), place.prime(1)),
        d=integer(structure.pointer("piPrivExps", 0), place.exponent(0)),
        dp=integer(structure.pointer("piCrtPrivExps", 0), place.exponent(1)),
        dq=integer(structure.pointer("piCrtPrivExps", 1), place.exponent(2)),
    )


def _public(memory: Memory, place: RsaAllocation, structure: _Structure, parts: RsaParts) -> PublicKey | None:
    """Make a public key, if the modulus is proven by its own constants and the structure stands.

    Nothing but the structure vouches for the exponent, which may be any odd number of 64 bits.
    """
    modulus, exponent = parts.modulus, parts.exponent
    if not structure.intact or modulus is None or exponent is None:
        return None
    if (
        not LEAST_RSA_BITS <= modulus.bit_length() <= MOST_RSA_BITS
        or modulus.bit_length() != structure.fields.nBitsOfModulus
    ):
        return None
    header = modulus_header(memory, place.modulus, pointer_size=place.abi.pointer_size)
    proof = header and modulus_proof(memory, place.modulus, header, modulus)
    if not proof:
        return None
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        public_info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except LIBRARY_ERRORS:
        return None
    return public_key("RSA", modulus.bit_length(), public_info, proof=(proof,))


def _key_object(
    place: RsaAllocation, structure: _Structure, missing: tuple[str, ...], wrong: tuple[str, ...], *, whole: bool = True
) -> KeyObject:
    fields = structure.fields
    flags = None if structure.layout in (None, PRE_102) else int(fields.fAlgorithmInfo)
    return KeyObject(
        library="symcrypt",
        structure=STRUCTURE,
        layout=structure.layout,
        architecture=place.abi.architecture,
        has_private=None if fields is None else bool(fields.hasPrivateKey),
        flags=flags,
        uses=uses(flags, "sign", "encrypt"),
        missing_parts=missing if fields is not None else ("key structure", *missing),
        wrong_parts=wrong,
        whole=whole,
    )


def uses(flags: int | None, signature: str, agreement: str) -> tuple[str, ...]:
    """Name what `fAlgorithmInfo` allows."""
    named = ((FLAG_SIGNATURE, signature), (FLAG_AGREEMENT, agreement))
    return tuple(name for flag, name in named if flags is not None and flags & flag)
