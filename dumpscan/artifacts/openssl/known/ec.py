"""Elliptic curves by public point: a number d is the private key if d*G is the point.

A number that something points to is tried first, and one that the length of an array stands before; then, if the search
is deep, all. Each is tried as it is and, for ring and rustls, which keep it so, as d*R modulo the order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts.keys.encode import point as write_point
from dumpscan.artifacts.keys.proof import ec_key
from dumpscan.artifacts.openssl.ec import CURVES
from dumpscan.artifacts.openssl.known.candidates import Arrays, affords_passes, all_numbers, pointed_to, random_ones
from dumpscan.artifacts.openssl.known.found import Names, number_found
from dumpscan.artifacts.openssl.known.windows import BIG, FORMS, JAVA, LITTLE, Wanted, as_integers
from dumpscan.artifacts.symcrypt.curves import multiple_on_named_curve
from dumpscan.memory.regions import WORD, total_size
from dumpscan.scan.engine import Engine
from dumpscan.scan.opening import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.keys.ec.weierstrass import Point
    from dumpscan.artifacts.openssl.ec import Curve
    from dumpscan.artifacts.openssl.known.candidates import Candidates
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.artifacts.openssl.known.pointers import Targets
    from dumpscan.artifacts.openssl.known.windows import Form
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Searchable
    from dumpscan.scan.signature import Signature

    Words = NDArray[np.uint64]
    Points = Mapping[str, set[Point]]

ORDERS = {curve.curve.name: curve.order for curve in CURVES if curve.curve.key_size % 64 == 0}
"""Orders of the curves whose scalars fill their words, by name."""
_LENGTH = 4
"""Bytes of an array's length in Java."""
PLAIN = Names("ec-scalar", "scalar")
MONTGOMERY = Names("ec-scalar", "scalar in Montgomery form", "ring")


def find_ec(
    space: Searchable,
    targets: Targets,
    points: Points,
    authorities: Points,
    effort: Effort,
    *,
    known: Mapping[str, Mapping[Point, int]],
) -> Iterator[Decoded]:
    """Yield the places of scalars.

    Args:
        space: The memory of a process.
        targets: What its words point to.
        points: By the names of their curves.
        authorities: Further ones, which are looked for only if the search is deep, not among all numbers, and not as
            long as it takes.
        effort: How far to go.
        known: Scalars that are known already, by curve and point; their places are found if the search is deep.
    """
    size = total_size(space.regions)
    limited = effort.limited(size)
    if not effort.deep:
        authorities = {}
    searched = [Scalars(curve) for curve in CURVES if curve.curve.name in {**points, **authorities}]
    arrays = Arrays(space, (each for scalars in searched for each in scalars.arrays), effort.threads)
    for scalars in searched:
        curve = scalars.curve
        matter = points.get(curve.curve.name, set())
        others = authorities.get(curve.curve.name, set())
        for point, scalar in known.get(curve.curve.name, {}).items() if effort.deep else ():
            scalars.add(scalar, point)
        if not affords_passes(effort, size):
            effort.skip(f"private keys on {curve.curve.name}: the dump is too large")
        else:
            pointed = list(_pointed_to(space, targets, arrays, scalars))
            yield from _try(space, pointed, scalars, matter, effort)
            yield from _try(space, pointed, scalars, others, limited)
        if effort.deep:
            yield from _try(space, _all(space, scalars, effort), scalars, matter, effort)
        if scalars.keys:
            yield from _others(space, scalars, effort)


class _Try(NamedTuple):
    """Numbers to try.

    Attributes:
        places: What they are, and where.
        montgomery: Whether the scalar may be in Montgomery form, or plain: what to try of the two.
    """

    places: Candidates
    montgomery: tuple[bool, ...]


_AS_IT_IS: tuple[bool, ...] = (False,)
_USUAL: dict[Form, tuple[bool, ...]] = {LITTLE: (False, True), BIG: _AS_IT_IS, JAVA: _AS_IT_IS}
_RARE: dict[Form, tuple[bool, ...]] = {BIG: (True,), JAVA: (True,)}
"""Whether a number may be in Montgomery form, by its form: ring and rustls keep the lowest word first."""


class Scalars:
    """What is known of numbers on one curve.

    Attributes:
        curve: The curve.
        plain: What its numbers are, in each form.
        arrays: What they are as the contents of Java's arrays.
        keys: Keys that were found, by their points.
    """

    def __init__(self, curve: Curve) -> None:
        self.curve = curve
        self.keys: dict[Point, tuple[int, PrivateKey]] = {}
        count, extra = divmod(curve.curve.key_size, 8 * WORD)
        self.plain = tuple(Wanted(form, count, extra=extra) for form in FORMS)
        self.arrays = tuple(
            replace(each, array=each.form.size(each.bits) // 4 if each.form is JAVA else BIG.size(each.bits))
            for each in self.plain
        )
        self._factor = 1 << 8 * WORD * curve.limbs
        self._inverse = pow(self._factor, -1, curve.order)
        self._tried: dict[bool, dict[int, Point | None]] = {False: {}, True: {}}

    def montgomery(self, scalar: int) -> int:
        """Return a scalar in Montgomery form."""
        return scalar * self._factor % self.curve.order

    def point(self, number: int, points: set[Point], effort: Effort, *, montgomery: bool) -> Point | None:
        """Return that of some points whose scalar a number is; None if it is none, or costs too much."""
        tried = self._tried[montgomery]
        if number >= self.curve.order:
            return None
        if number not in tried:
            if not effort.affords(self.curve.microseconds):
                effort.skip(f"some numbers as private keys on {self.curve.curve.name}: there are too many")
                return None
            scalar = number * self._inverse % self.curve.order if montgomery else number
            tried[number] = multiple_on_named_curve(self.curve.curve, scalar)
        found = tried[number]
        if found is None or found not in points:
            return None
        if found not in self.keys:
            self.add(number * self._inverse % self.curve.order if montgomery else number, found)
        return found

    def add(self, scalar: int, point: Point) -> None:
        """Note the scalar of a point."""
        written = write_point(point, (self.curve.curve.key_size + 7) // 8)
        self.keys[point] = (scalar, ec_key(self.curve.curve, scalar, written))


def _try(
    space: Searchable, tries: Iterable[_Try], scalars: Scalars, points: set[Point], effort: Effort
) -> Iterator[Decoded]:
    """Yield the places among candidates where scalars of points lie, until all of the points are found."""
    for places, ways in tries:
        for addresses, values in random_ones(space, places):
            if points <= scalars.keys.keys():
                return
            for address, value in zip(addresses.tolist(), as_integers(values), strict=True):
                for montgomery in ways:
                    point = scalars.point(value, points, effort, montgomery=montgomery)
                    if point is not None:
                        names = MONTGOMERY if montgomery else PLAIN
                        yield number_found(space, scalars.keys[point][1], address, places.wanted, names)


def _pointed_to(space: Searchable, targets: Targets, arrays: Arrays, scalars: Scalars) -> Iterator[_Try]:
    """Yield the contents of arrays, then numbers that something points to."""
    for wanted in scalars.arrays:
        yield _Try(arrays.of(wanted), _AS_IT_IS)
    pointed = list(pointed_to(space, targets, scalars.plain))
    for ways in _ways(scalars):
        for each in pointed:
            yield _Try(each, ways.get(each.wanted.form, ()))


def _all(space: Searchable, scalars: Scalars, effort: Effort) -> Iterator[_Try]:
    """Yield all numbers, twice: in the usual forms first."""
    for ways in _ways(scalars):
        for each in all_numbers(space, scalars.plain, effort.threads):
            yield _Try(each, ways.get(each.wanted.form, ()))


def _ways(scalars: Scalars) -> tuple[dict[Form, tuple[bool, ...]], ...]:
    """Return what to try of numbers in each form; ring has no curve whose scalars do not fill their words."""
    if scalars.curve.curve.name in ORDERS:
        return _USUAL, _RARE
    return (dict.fromkeys(FORMS, _AS_IT_IS),)


def _others(space: Searchable, scalars: Scalars, effort: Effort) -> Iterator[Decoded]:
    """Yield all places of the scalars that were found, whatever points to them."""
    kinds: list[tuple[PrivateKey, Wanted, Names]] = []
    signatures: list[Signature] = []
    for scalar, key in scalars.keys.values():
        for wanted, montgomery in (*((each, False) for each in scalars.plain), (scalars.plain[0], True)):
            value = scalars.montgomery(scalar) if montgomery else scalar
            data = wanted.form.written(value, wanted.bits)
            kinds.append((key, wanted, MONTGOMERY if montgomery else PLAIN))
            signatures.append(literal(f"scalar-{len(signatures)}", data))
    for matches in Engine(signatures, literal=True).batches(space, threads=effort.threads) if signatures else ():
        for number, address in zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True):
            key, wanted, names = kinds[number]
            length = int.from_bytes(space.read(max(address - _LENGTH, 0), _LENGTH), "little")
            if length == BIG.size(wanted.bits):  # Java's, before the content of an array of bytes
                wanted = replace(wanted, array=length)
            yield number_found(space, key, address, wanted, names)
