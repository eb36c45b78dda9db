"""Private keys of elliptic curves among big numbers: a scalar whose public point lies among them, or near."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts import effort
from dumpscan.artifacts.keys.ec.weierstrass import to_affine
from dumpscan.artifacts.keys.encode import point as write_point
from dumpscan.artifacts.keys.proof import ec_key
from dumpscan.artifacts.openssl.headers import OPENSSL
from dumpscan.artifacts.openssl.numbers import read_bignum
from dumpscan.artifacts.symcrypt.curves import NAMED_FIELDS, multiple_on_named_curve
from dumpscan.model.c_big_numbers import LIMB, LIMB_32, NID_P256, NID_P384, NID_P521, NID_SECP256K1, c_numbers, layouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dumpscan.artifacts.keys.ec.weierstrass import Point
    from dumpscan.artifacts.openssl.near import Surroundings
    from dumpscan.artifacts.openssl.numbers import Numbers
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

MAX_SCALARS = 4096
"""Numbers of one address space that are tried on each curve."""
_LEAST_DISTINCT = 0.6
"""Different bytes in a number, by its bytes. Random 32 bytes have 20 or more but once in 10^7, random 64 have 40."""
_PER_NUMBER = 5
"""Microseconds to see whether a number looks random."""
MAX_COPIES = 4
"""Copies of a scalar around which its point is looked for."""
_SQUARING = 4
"""Microseconds to look for a value among the coordinates of points."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve on which scalars are tried.

    Attributes:
        curve: The curve.
        field: Modulus of its field.
        a: Coefficient of its equation, y^2 = x^3 + a*x + b.
        order: Of the generator.
        limbs: Of a scalar, and of a coordinate.
        microseconds: What a multiplication of its generator takes.
    """

    curve: ec.EllipticCurve
    field: int
    a: int
    order: int
    limbs: int
    microseconds: int

    def forms(self, coordinate: int) -> tuple[int, ...]:
        """Return a coordinate as libraries may hold it: plain, and in Montgomery form."""
        return coordinate, *(coordinate * factor % self.field for factor in self._montgomery_factors)

    @property
    def _montgomery_factors(self) -> tuple[int, ...]:
        """R as 64-bit and as 32-bit programs have it: 2 to the bits of all limbs."""
        bits = self.curve.key_size
        return tuple({1 << -(-bits // unit) * unit: None for unit in (8 * LIMB, 8 * LIMB_32)})

    def written(self, point: Point) -> Iterator[tuple[int, int]]:
        """Yield the coordinates of a point in each form."""
        x, y = point
        yield from zip(self.forms(x), self.forms(y), strict=True)

    def points(self, values: Sequence[int]) -> Iterator[tuple[Point, Point]]:
        """Yield the points whose coordinates are among some values, both in the same form.

        Yields:
            A point, and its coordinates as they are written.
        """
        if not values:
            return
        x, y = self.generator
        b = y**2 - x**3 - self.a * x
        for factor in (1, *self._out_of_montgomery):
            plain = [(value * factor % self.field, value) for value in values if value < self.field]
            squares: dict[int, list[tuple[int, int]]] = defaultdict(list)
            for y, written in plain:
                squares[y * y % self.field].append((y, written))
            for x, written in plain:
                for y, other in squares.get((x * x * x + self.a * x + b) % self.field, ()):
                    yield (x, y), (written, other)

    @property
    def generator(self) -> Point:
        """G: every process that uses the curve has it."""
        return _generator(self.curve)

    @property
    def _out_of_montgomery(self) -> tuple[int, ...]:
        """The factors that turn a number in Montgomery form into the plain one."""
        return tuple(_inverse(factor, self.field) for factor in self._montgomery_factors)

    def affine(self, x: int, y: int, z: int) -> Iterator[Point | None]:
        """Turn Jacobian coordinates, all in Montgomery form, into plain ones; None for the point at infinity."""
        for factor in self._out_of_montgomery:
            yield to_affine(x * factor % self.field, y * factor % self.field, z * factor % self.field, self.field)


CURVES = (
    Curve(ec.SECP256R1(), NAMED_FIELDS[256], -3, 2**256 - 2**224 + 2**192 - 0x4319055258E8617B0C46353D039CDAAF, 4, 80),
    Curve(ec.SECP384R1(), NAMED_FIELDS[384], -3, 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D, 6, 300),
    Curve(
        ec.SECP521R1(),
        NAMED_FIELDS[521],
        -3,
        2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
        9,
        700,
    ),
    Curve(ec.SECP256K1(), 2**256 - 2**32 - 977, 0, 2**256 - 0x14551231950B75FC4402DA1732FC9BEBF, 4, 400),
)
"""Orders: SEC 2, 2.4.2, 2.5.1, 2.6.1 and 2.4.1."""


@cache
def _generator(curve: ec.EllipticCurve) -> Point:
    numbers = ec.derive_private_key(1, curve).public_key().public_numbers()
    return numbers.x, numbers.y


_CURVES_BY_NID = dict(zip((NID_P256, NID_P384, NID_P521, NID_SECP256K1), CURVES, strict=True))
_POINT = 100
"""Microseconds to read a point and to make its coordinates plain."""


@dataclass(frozen=True, slots=True)
class EcKey:
    """A key, and its numbers.

    Attributes:
        key: The proven key.
        curve: Its curve.
        scalar: d.
        point: d*G.
        x: The public point's first coordinate as it lies in memory.
    """

    key: PrivateKey
    curve: Curve
    scalar: int = field(repr=False)
    point: Point
    x: int


def openssl_points(memory: Memory, addresses: Iterable[int]) -> dict[str, dict[Point, int]]:
    """Read the points of OpenSSL whose structures may be at some addresses; the generators are left out.

    Returns:
        By curve's name and point: the first coordinate as it lies in memory. A structure that is none gives any points.
    """
    points: dict[str, dict[Point, int]] = defaultdict(dict)
    for address in addresses:
        effort.charge(_POINT)
        name = int.from_bytes(memory.read(address + LIMB, 4), "little")
        for x, y, z in _openssl_point(memory, address) if name in _CURVES_BY_NID else ():
            curve = _CURVES_BY_NID[name]
            for point in (*curve.affine(x, y, z), to_affine(x, y, z, curve.field)):
                if point is not None and point != curve.generator:
                    points[curve.curve.name][point] = x
    return points


def ec_keys(
    numbers: Numbers, near: Surroundings, far: Surroundings, known: Mapping[str, Mapping[Point, int]]
) -> Iterator[EcKey]:
    """Tie scalars to their public points.

    The coordinates of a point are numbers too, or the structure that holds the scalar leads to them, or they lie near
    it as plain words.

    Args:
        numbers: All numbers of a process.
        near: Finds what lies near any of them.
        far: The same for those that are private; it is slower, and looks further.
        known: Points as `openssl_points` returns them.

    Raises:
        TooCostlyError: There are too many numbers.
    """
    effort.charge(_PER_NUMBER * len(numbers.headers))
    sizes = numbers.by_limbs()
    proven: set[int] = set()
    left: list[tuple[Curve, int]] = []
    for curve in CURVES:
        values = sizes.get(curve.limbs, [])
        effort.charge(_SQUARING * len(values))
        pairs = dict(curve.points(values))
        coordinates = {part for written in pairs.values() for part in written}  # they are no scalars
        points = dict(known.get(curve.curve.name, {})) | {point: written[0] for point, written in pairs.items()}
        points.pop(curve.generator, None)  # its scalar is 1
        scalars = [value for value in values if value not in coordinates and looks_random(value, curve.limbs)]
        for scalar in scalars[:MAX_SCALARS]:
            public = _multiple(curve, scalar) if points else None
            if public in points:
                proven.add(scalar)
                yield _key(curve, scalar, public, points[public])
            else:
                left.append((curve, scalar))
    for curve, scalar in left:
        if scalar not in proven:
            private = any(header.private or header.inline for header in numbers.headers[scalar])
            for key in _by_surroundings(curve, scalar, numbers, far if private else near):
                proven.add(scalar)
                yield key


def _by_surroundings(curve: Curve, scalar: int, numbers: Numbers, surroundings: Surroundings) -> Iterator[EcKey]:
    """Yield the key of a scalar of OpenSSL or BoringSSL whose point is not a number in plain coordinates."""
    places = [header.address for header in numbers.headers[scalar] if header.kind == OPENSSL.name][:MAX_COPIES]
    points = [point for place in places for point in _points_beside(curve, place, surroundings)]
    public = _multiple(curve, scalar) if points else None
    for point, x in points:
        if point == public:
            yield _key(curve, scalar, point, x)
            return
    if not any(header.inline for header in numbers.headers[scalar]):  # only BoringSSL has points without headers
        return
    public = public or _multiple(curve, scalar)
    if public is None:
        return
    for x, y in curve.written(public):
        if all(surroundings.number_at(part, curve.limbs, places) is not None for part in (x, y)):
            yield _key(curve, scalar, public, x)
            return


def _points_beside(curve: Curve, scalar: int, surroundings: Surroundings) -> Iterator[tuple[Point, int]]:
    """Yield the points of keys that hold the scalar whose header is at an address; and x as it is written.

    A key that was generated here has its point in Jacobian coordinates, as they were computed.
    """
    memory = surroundings.memory
    for _, fields in ec_keys_around(surroundings, scalar):
        public = int(fields.pub_key)
        for x, y, z in (*_openssl_point(memory, public), *_boringssl_point(memory, public, curve.limbs)):
            for point in (*curve.affine(x, y, z), to_affine(x, y, z, curve.field)):
                if point is not None:
                    yield point, x


def ec_keys_around(surroundings: Surroundings, scalar: int) -> Iterator[tuple[int, Any]]:
    """Yield where OpenSSL's `ec_key_st` may hold the scalar whose header is at an address, and its fields."""
    form = layouts(surroundings.word).ec_key_st_numbers
    for place in surroundings.places(scalar, scalar):
        start = place + surroundings.word - len(form)  # the pointer to the scalar is the last
        data = surroundings.memory.read(start, len(form)) if start >= 0 else b""
        if len(data) == len(form):
            yield start, form(data)


def _openssl_point(memory: Memory, address: int) -> Iterator[tuple[int, int, int]]:
    """Yield the coordinates of OpenSSL's point at an address, if there is one."""
    form = layouts(memory.pointer_size).ec_point_st
    data = memory.read(address, len(form))
    if len(data) == len(form):
        fields = form(data)
        x, y, z = (read_bignum(memory, int(pointer)) for pointer in (fields.X, fields.Y, fields.Z))
        if x and y and z:
            yield x, y, z


def _boringssl_point(memory: Memory, address: int, limbs: int) -> Iterator[tuple[int, int, int]]:
    """Yield the coordinates of BoringSSL's point at an address, if there may be one."""
    data = memory.read(address, len(c_numbers.boringssl_ec_point))
    if len(data) == len(c_numbers.boringssl_ec_point) and memory.pointer_size == LIMB:
        fields = c_numbers.boringssl_ec_point(data)
        x, y, z = (_number(coordinate[:limbs]) for coordinate in (fields.X, fields.Y, fields.Z))
        if x and y and z:
            yield x, y, z


@cache
def _inverse(factor: int, field: int) -> int:
    return pow(factor, -1, field)


def _number(limbs: Sequence[int]) -> int:
    return sum(int(limb) << 8 * LIMB * index for index, limb in enumerate(limbs))


def _multiple(curve: Curve, scalar: int) -> Point | None:
    return multiple_on_named_curve(curve.curve, scalar)


def looks_random(value: int, limbs: int) -> bool:
    """Say whether a number may be a scalar: one in five thousand scalars of 256 bits does not look so.

    The upper quarter of each limb has bits of both kinds, and few bytes occur twice.
    """
    data = value.to_bytes(limbs * LIMB, "little")
    whole = data if value.bit_length() > 8 * (len(data) - LIMB // 4) else data[:-LIMB]
    ends = {whole[at : at + 2] for at in range(LIMB - 2, len(whole), LIMB)}
    return not ends & {b"\0\0", b"\xff\xff"} and len(set(whole)) >= _LEAST_DISTINCT * len(whole)


def _key(curve: Curve, scalar: int, public: Point, x: int) -> EcKey:
    written = write_point(public, (curve.field.bit_length() + 7) // 8)
    return EcKey(ec_key(curve.curve, scalar, written), curve, scalar, public, x)
