"""SYMCRYPT_ECKEY: from the INT of a private scalar to the key before it.

A key, its public point and its scalar lie in one allocation, in this order (`SymCryptEckeyCreate`), so that the INT
says where the key would be, up to the number of coordinates of a point. The curve is an object of its own.

The scalar is plain; it is stored divided by the cofactor, so that Q = (h*d)*G, and an X25519 key is 8*d as it goes
over the wire (`SymCryptEckeySetValue`; so it is in the Wine dump). The point is in Montgomery form, and
not normalized; it is what proves the scalar.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.decoded import Decoded, RefusedError
from dumpscan.artifacts.effort import charge_inverse
from dumpscan.artifacts.keys.ec.weierstrass import Weierstrass, to_affine
from dumpscan.artifacts.keys.encode import private_key, public_key
from dumpscan.artifacts.keys.proof import X25519, ec_key, raw_key
from dumpscan.artifacts.symcrypt.curves import (
    NAMED_FIELDS,
    P25519,
    multiple_on_named_curve,
    named_curves,
    on_named_curve,
)
from dumpscan.artifacts.symcrypt.numbers import (
    digest_present,
    int_header,
    montgomery_factors,
    read_exactly,
    read_int,
    read_modulus,
    read_number,
    read_struct,
)
from dumpscan.artifacts.symcrypt.rsa import ENCODING, uses
from dumpscan.findings import KeyObject, PrivateKey, PublicKey
from dumpscan.model import c_symcrypt
from dumpscan.model.c_symcrypt import FROM_102, abis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.keys.ec.weierstrass import Point
    from dumpscan.artifacts.symcrypt.numbers import NumberHeader
    from dumpscan.memory.space import Memory
    from dumpscan.model.c_symcrypt import Abi

STRUCTURE = "SYMCRYPT_ECKEY"
MOST_FIELD_BITS = 1024
_LEAST_FIELD_BITS = 32
_POWERS = {
    c_symcrypt.COORDINATES_JACOBIAN: (2, 3),
    c_symcrypt.COORDINATES_PROJECTIVE: (1, 1),
    c_symcrypt.COORDINATES_AFFINE: (0, 0),
}
_USES = c_symcrypt.FLAG_SIGNATURE | c_symcrypt.FLAG_AGREEMENT
_WEIERSTRASS = (c_symcrypt.CURVE_WEIERSTRASS, c_symcrypt.CURVE_WEIERSTRASS_MINUS_3)
_COORDINATE_COUNTS = (3, 2, 4)
_X_AND_Z = 2
_X25519_TOP = 254
"""The bit that is set in every private key of X25519 (RFC 7748, 5); of the 255 bits it is the highest."""


@dataclass(frozen=True, slots=True)
class EcAllocation:
    """Where a key would lie: pure arithmetic on addresses.

    Attributes:
        abi: Build (in either layout, which have the same sizes).
        key: Address of the structure.
        digits: Of the scalar, and of a coordinate.
        coordinates: Of the public point.
    """

    abi: Abi
    key: int
    digits: int
    coordinates: int

    @property
    def point(self) -> int:
        """Address of the public point."""
        return self.key + self.abi.sizeof(STRUCTURE)

    @property
    def scalar(self) -> int:
        """Address of the private scalar's INT."""
        return self.point + self.abi.sizeof("SYMCRYPT_ECPOINT") + self.coordinates * self.element

    @property
    def element(self) -> int:
        """Bytes of a coordinate."""
        return self.digits * self.abi.digit

    @property
    def size(self) -> int:
        """Bytes of the whole allocation."""
        return self.scalar + self.abi.int_size(self.digits) - self.key


def allocations_of_scalar(abi: Abi, address: int, digits: int) -> Iterator[EcAllocation]:
    """Say where the keys could lie whose scalar is the INT at an address."""
    for coordinates in _COORDINATE_COUNTS:
        place = EcAllocation(abi, 0, digits, coordinates)
        yield replace(place, key=address - place.scalar)


@dataclass(frozen=True, slots=True)
class _Curve:
    """As much of the curve as is needed to read a point.

    Attributes:
        bits: Of the field.
        field: Its modulus.
        kind: As in `SYMCRYPT_ECURVE.type`.
        coordinates: As in `SYMCRYPT_ECURVE.eCoordinates`.
        cofactor: h.
        fields: The whole object; None where it is not held and the curve was guessed.
    """

    bits: int
    field: int
    kind: int
    coordinates: int
    cofactor: int = 1
    fields: Any = None


@dataclass(frozen=True, slots=True)
class _Structure:
    """The key's structure as far as it is there.

    Attributes:
        abi: In the layout that it fits; `layout` is None where none does.
        linked: Whether its own pointers say that these are its point and its scalar.
    """

    abi: Abi
    layout: str | None
    fields: Any
    linked: bool


def decode_scalar(memory: Memory, address: int, header: NumberHeader) -> Decoded | None:
    """Decode the elliptic-curve key whose private scalar is the INT at `address`."""
    scalar = read_int(memory, address, header.abi)
    if scalar is None or header.digits * header.abi.digit * 8 > 2 * MOST_FIELD_BITS:
        return None
    for place in allocations_of_scalar(header.abi, address, header.digits):
        if place.key < 0:
            continue
        structure = _structure(memory, place)
        if structure is None:
            continue
        for curve in _curves(memory, place, structure):
            found = _decode(memory, place, structure, curve, scalar)
            if found is not None:
                return found
    return None


def _structure(memory: Memory, place: EcAllocation) -> _Structure | None:
    """Read the structure in the layout that its pointers and flags agree with; None if something else is there."""
    data = read_exactly(memory, place.key, place.scalar - place.key)
    if data is None:
        return _Structure(place.abi, None, None, linked=False)
    found = None
    for abi in abis(place.abi.pointer_size, place.abi.digit):
        if not _linked(data, place, abi):
            continue
        fields = getattr(abi.c, STRUCTURE)(data)
        flags = _flags(fields, abi.layout)
        plausible = flags is None or bool(flags & _USES and flags < 1 << 16)
        if plausible and fields.hasPrivateKey in (0, 1):
            return _Structure(abi, abi.layout, fields, linked=True)
        found = found or _Structure(abi, None, fields, linked=True)
    return found


def _linked(data: bytes, place: EcAllocation, abi: Abi) -> bool:
    """Whether a structure's pointers lead to the point and the scalar behind it, or to the curve that the point has."""
    point, scalar = abi.number(data, STRUCTURE, "poPublicKey"), abi.number(data, STRUCTURE, "piPrivateKey")
    if point == place.point or scalar == place.scalar or scalar - point == place.scalar - place.point:
        return True
    curve = abi.number(data, STRUCTURE, "pCurve")
    return bool(curve) and curve == abi.number(data[place.point - place.key :], "SYMCRYPT_ECPOINT", "pCurve")


def _flags(fields: Any, layout: str | None) -> int | None:  # noqa: ANN401 - made at run time
    """Return `fAlgorithmInfo`, in the layout that has it."""
    return int(fields.fAlgorithmInfo) if layout == FROM_102 else None


def _curves(memory: Memory, place: EcAllocation, structure: _Structure) -> Iterator[_Curve]:
    """Read the curve that the key, or its point, points to; without one, guess from the sizes if the key is linked."""
    abi = structure.abi
    point = read_struct(memory, place.point, abi, "SYMCRYPT_ECPOINT")
    pointers = [int(fields.pCurve) for fields in (structure.fields, point) if fields is not None]
    for pointer in dict.fromkeys(pointers):
        curve = _read_curve(memory, pointer, place)
        if curve is not None:
            yield curve
            return
    if not structure.linked:
        return
    if place.coordinates == _X_AND_Z and abi.digits(P25519.bit_length()) == place.digits:
        yield _Curve(255, P25519, c_symcrypt.CURVE_MONTGOMERY, c_symcrypt.COORDINATES_SINGLE_PROJECTIVE, 8)
    for bits, modulus in NAMED_FIELDS.items():
        if abi.digits(bits) == place.digits and place.coordinates == c_symcrypt.COORDINATES_JACOBIAN & 15:
            yield _Curve(bits, modulus, c_symcrypt.CURVE_WEIERSTRASS_MINUS_3, c_symcrypt.COORDINATES_JACOBIAN)


def _read_curve(memory: Memory, address: int, place: EcAllocation) -> _Curve | None:
    """Read a curve and check that it is one, and of the key's size."""
    abi = place.abi
    fields = read_struct(memory, address, abi, "SYMCRYPT_ECURVE")
    if fields is None or fields.version != 1 or fields.eCoordinates & 15 != place.coordinates:
        return None
    bits = int(fields.FModBitsize)
    if not _LEAST_FIELD_BITS <= bits <= MOST_FIELD_BITS or fields.FModDigits != place.digits:
        return None
    if fields.cbModElement != place.element or fields.FModBytesize != (bits + 7) // 8 or fields.coFactorPower > 8:  # noqa: PLR2004
        return None
    modulus = read_modulus(memory, int(fields.FMod), abi)
    if modulus is None and fields.curve_type in _WEIERSTRASS:
        modulus = NAMED_FIELDS.get(bits)
    if modulus is None and (fields.curve_type, bits) == (c_symcrypt.CURVE_MONTGOMERY, P25519.bit_length()):
        modulus = P25519
    if modulus is None or modulus.bit_length() != bits or not modulus & 1:
        return None
    return _Curve(
        bits, modulus, int(fields.curve_type), int(fields.eCoordinates), 1 << int(fields.coFactorPower), fields
    )


def _decode(memory: Memory, place: EcAllocation, structure: _Structure, curve: _Curve, scalar: int) -> Decoded | None:
    """Prove the key at a place, on a curve."""
    start = place.point + place.abi.sizeof("SYMCRYPT_ECPOINT")
    stored = [read_number(memory, start + number * place.element, place.element) for number in range(place.coordinates)]
    coordinates = tuple(value for value in stored if value is not None)
    if len(coordinates) < place.coordinates:
        return None
    wrong: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    finding: PrivateKey | PublicKey | None = None
    if curve.kind == c_symcrypt.CURVE_MONTGOMERY and curve.field == P25519:
        finding = _x25519(coordinates, scalar, curve)
    elif curve.kind in _WEIERSTRASS and curve.coordinates in _POWERS:
        points = list(_points(coordinates, curve, place.element))
        finding = _named(points, scalar * curve.cofactor, curve)
        if finding is None and curve.fields is not None:
            finding, parameters = _unnamed(memory, place, curve, points, scalar)
    if finding is None or (isinstance(finding, PublicKey) and not structure.linked):
        return None
    has_private = None if structure.fields is None else bool(structure.fields.hasPrivateKey)
    if isinstance(finding, PublicKey) and scalar:
        wrong = ("private scalar",)
    missing = [name for name, part in (("key structure", structure.fields), ("curve", curve.fields)) if part is None]
    flags = _flags(structure.fields, structure.layout)
    digest, absent = digest_present(memory, place.key, place.size)
    key_object = KeyObject(
        library="symcrypt",
        structure=STRUCTURE,
        layout=structure.layout,
        architecture=place.abi.architecture,
        has_private=has_private,
        flags=flags,
        uses=uses(flags, "ecdsa", "ecdh"),
        missing_parts=tuple(missing),
        wrong_parts=wrong,
        whole=isinstance(finding, PrivateKey) or not has_private,
        parameters=parameters,
    )
    return Decoded(finding, place.key, place.size, digest, ENCODING, absent, key_object)


def _points(coordinates: tuple[int, ...], curve: _Curve, size: int) -> Iterator[Point]:
    """Say which affine point the coordinates are, for each form that elements may have; at most one is on the curve."""
    p = curve.field
    seen = set()
    for factor in montgomery_factors(p, size):
        charge_inverse(p.bit_length())
        try:
            inverse = pow(factor, -1, p)
        except ValueError:
            return
        x, y, *rest = (value * inverse % p for value in coordinates)
        point = to_affine(x, y, rest[0] if rest else 1, p, _POWERS[curve.coordinates])
        if point is not None and point not in seen:
            seen.add(point)
            yield point


def _named(points: list[Point], scalar: int, curve: _Curve) -> PrivateKey | PublicKey | None:
    """Prove a key on one of the library's curves: private if the scalar gives the point, else public if it is on it."""
    for named in named_curves(curve.bits):
        derived = multiple_on_named_curve(named, scalar) if scalar else None
        if derived is not None and derived in points:
            size = (curve.bits + 7) // 8
            try:
                return ec_key(named, scalar, b"\x04" + b"".join(part.to_bytes(size, "big") for part in derived))
            except RefusedError:
                continue
    for named in named_curves(curve.bits):
        for point in points:
            public = on_named_curve(named, point)
            if public is not None:
                info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                return public_key("EC", curve.bits, info, proof=("Q is on the curve",), curve=named.name)
    return None


def _x25519(coordinates: tuple[int, ...], scalar: int, curve: _Curve) -> PrivateKey | PublicKey | None:
    """Prove an X25519 key: its coordinates are X and Z, and u = X/Z whether they are multiplied by R or not."""
    affine = to_affine(coordinates[0], 0, coordinates[1], curve.field, (1, 1))
    if affine is None:
        return None
    public = affine[0].to_bytes(32, "little")
    wire = scalar * 8
    if wire >> _X25519_TOP == 1:
        try:
            return raw_key(X25519, wire.to_bytes(32, "little"), public)
        except RefusedError:
            return None
    if scalar or curve.fields is None:
        return None
    info = x25519.X25519PublicKey.from_public_bytes(public).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return public_key(X25519.name, X25519.bits, info, proof=("the field of its curve is 2^255 - 19",))


def _unnamed(
    memory: Memory, place: EcAllocation, curve: _Curve, points: list[Point], scalar: int
) -> tuple[PrivateKey | PublicKey | None, tuple[tuple[str, str], ...]]:
    """Prove a key on a curve of which only the parameters in memory are known."""
    found = _read_weierstrass(memory, place, curve)
    if found is None:
        return None, ()
    scalar = scalar * curve.cofactor % found.order
    derived = found.multiply(scalar, found.generator) if scalar else None
    proof = ("G is on the curve", "n*G = O")
    if derived is not None and derived in points:
        info, private = found.public_info(derived), found.pkcs8(scalar, derived)
        key = private_key("EC", curve.bits, info, private, proof=(*proof, "Q = d*G"), curve=found.name)
        return key, found.parameters()
    point = next(filter(found.has, points), None)
    if point is None:
        return None, ()
    info = found.public_info(point)
    public = public_key("EC", curve.bits, info, proof=(*proof, "Q is on the curve"), curve=found.name)
    return public, found.parameters()


def _read_weierstrass(memory: Memory, place: EcAllocation, curve: _Curve) -> Weierstrass | None:
    """Read all parameters of a curve, in the form in which its generator is on it and has its order."""
    fields, p = curve.fields, curve.field
    generator = int(fields.G) + place.abi.sizeof("SYMCRYPT_ECPOINT")
    order = read_modulus(memory, int(fields.GOrd), place.abi)
    count = curve.coordinates & 15
    addresses = [int(fields.A), int(fields.B), *(generator + number * place.element for number in range(count))]
    stored = [read_number(memory, address, place.element) for address in addresses]
    if order is None or order.bit_length() != fields.GOrdBitsize or None in stored:
        return None
    for factor in montgomery_factors(p, place.element):
        charge_inverse(p.bit_length())
        try:
            inverse = pow(factor, -1, p)
        except ValueError:
            return None
        a, b, x, y, *rest = (value * inverse % p for value in stored if value is not None)
        point = to_affine(x, y, rest[0] if rest else 1, p, _POWERS[curve.coordinates])
        if point is not None:
            found = Weierstrass(p, a, b, point, order, curve.cofactor)
            if found.has(point) and found.is_sound():
                return found
    return None


def decode_int(memory: Memory, address: int) -> Decoded | None:
    """Decode the elliptic-curve key to which the INT at `address` belongs."""
    header = int_header(memory, address)
    return None if header is None else decode_scalar(memory, address, header)
