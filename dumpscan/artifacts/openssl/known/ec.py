"""Elliptic curves by public point: a number d is the private key if d*G is the point.

A number that something points to is tried first, and one that the length of an array stands before; then, if the search
is deep, all. Each is tried as it is and, for ring and rustls, which keep it so, as d*R modulo the order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.artifacts.keys.encode import point as write_point
from dumpscan.artifacts.keys.proof import ec_key
from dumpscan.artifacts.openssl.ec import CURVES
from dumpscan.artifacts.openssl.known.found import Names, number_found
from dumpscan.artifacts.openssl.known.pointers import Marks
from dumpscan.artifacts.openssl.known.windows import (
    BIG,
    FORMS,
    JAVA,
    LITTLE,
    WORD,
    Numbers,
    Wanted,
    as_integers,
    looks_random,
    matches_of,
)
from dumpscan.artifacts.symcrypt.curves import multiple_on_named_curve
from dumpscan.scan.engine import Engine
from dumpscan.scan.opening import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.keys.ec.weierstrass import Point
    from dumpscan.artifacts.openssl.ec import Curve
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Searchable
    from dumpscan.scan.signature import Signature

    Words = NDArray[np.uint64]
    Points = Mapping[str, set[Point]]

ORDERS = {
    "secp256r1": 2**256 - 2**224 + 2**192 - 0x4319055258E8617B0C46353D039CDAAF,
    "secp384r1": 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
    "secp256k1": 2**256 - 0x14551231950B75FC4402DA1732FC9BEBF,
}
"""Orders of the generators (SEC 2, 2.4.1, 2.4.2 and 2.5.1)."""
MAX_MARKED = 1 << 30
"""Bytes of the largest memory in which it is looked for what points to numbers."""
_PASS_PER_MIB = 800
"""Microseconds of both passes over a MiB: for numbers, and for what points to them."""
_LENGTH = 4
"""Bytes of an array's length in Java."""
_MIB = 1 << 20
_AT_ONCE = 1 << 14
_PLAIN = Names("ec-scalar", "scalar")
_MONTGOMERY = Names("ec-scalar", "scalar in Montgomery form", "ring")


def find_ec(
    space: Searchable, points: Points, authorities: Points, known: Mapping[str, Mapping[Point, int]], effort: Effort
) -> Iterator[Decoded]:
    """Yield the places of scalars.

    Args:
        space: The memory of a process.
        points: By the names of their curves.
        authorities: Further ones, which are looked for only if the search is deep, not among all numbers, and not as
            long as it takes.
        known: Scalars that are known already, by curve and point; their places are found if the search is deep.
        effort: How far to go.
    """
    size = sum(region.size for region in space.regions)
    limited = effort.limited(size)
    for curve in (curve for curve in CURVES if curve.curve.name in ORDERS):
        matter = points.get(curve.curve.name, set())
        others = authorities.get(curve.curve.name, set()) if effort.deep else set()
        if not matter | others:
            continue
        scalars = Scalars(curve)
        for point, scalar in known.get(curve.curve.name, {}).items() if effort.deep else ():
            scalars.add(scalar, point)
        if size > MAX_MARKED or not effort.affords(_PASS_PER_MIB * size / _MIB):
            effort.skip(f"private keys on {curve.curve.name}: the dump is too large")
        else:
            pointed = list(_pointed_to(space, curve, effort))
            yield from _try(space, pointed, scalars, matter, effort)
            yield from _try(space, pointed, scalars, others, limited)
        if effort.deep:
            yield from _try(space, _all(space, curve, effort), scalars, matter, effort)
        if scalars.keys:
            yield from _others(space, scalars, effort)


class _Candidates(NamedTuple):
    """Places where numbers may lie.

    Attributes:
        wanted: What they are.
        addresses: Shape (n,).
        montgomery: Whether the scalar may be in Montgomery form, or plain: what to try of the two.
    """

    wanted: Wanted
    addresses: Words
    montgomery: tuple[bool, ...]


_RARE = ((LITTLE, ()), (BIG, (True,)), (JAVA, (True,)))
_USUAL = ((LITTLE, (False, True)), (BIG, (False,)), (JAVA, (False,)))
"""Whether a number may be in Montgomery form, by its form: ring and rustls keep the lowest word first."""


class Scalars:
    """What is known of numbers on one curve.

    Attributes:
        curve: The curve.
        keys: Keys that were found, by their points.
    """

    def __init__(self, curve: Curve) -> None:
        self.curve = curve
        self.keys: dict[Point, tuple[int, PrivateKey]] = {}
        self._order = ORDERS[curve.curve.name]
        self._factor = 1 << 8 * WORD * curve.limbs
        self._inverse = pow(self._factor, -1, self._order)
        self._tried: dict[bool, dict[int, Point | None]] = {False: {}, True: {}}

    def montgomery(self, scalar: int) -> int:
        """Return a scalar in Montgomery form."""
        return scalar * self._factor % self._order

    def point(self, number: int, points: set[Point], effort: Effort, *, montgomery: bool) -> Point | None:
        """Return that of some points whose scalar a number is; None if it is none, or costs too much."""
        tried = self._tried[montgomery]
        if number not in tried:
            if not effort.affords(self.curve.microseconds):
                effort.skip(f"some numbers as private keys on {self.curve.curve.name}: there are too many")
                return None
            scalar = number * self._inverse % self._order if montgomery else number
            tried[number] = multiple_on_named_curve(self.curve.curve, scalar) if scalar < self._order else None
        found = tried[number]
        if found is None or found not in points:
            return None
        if found not in self.keys:
            self.add(number * self._inverse % self._order if montgomery else number, found)
        return found

    def add(self, scalar: int, point: Point) -> None:
        """Note the scalar of a point."""
        written = write_point(point, (self.curve.curve.key_size + 7) // 8)
        self.keys[point] = (scalar, ec_key(self.curve.curve, scalar, written))


def _try(
    space: Searchable, candidates: Iterable[_Candidates], scalars: Scalars, points: set[Point], effort: Effort
) -> Iterator[Decoded]:
    """Yield the places among candidates where scalars of points lie, until all of the points are found."""
    for wanted, starts, ways in candidates:
        numbers = Numbers(space, wanted)
        for begin in range(0, len(starts), _AT_ONCE):
            if points <= scalars.keys.keys():
                return
            addresses, values = numbers.at(starts[begin : begin + _AT_ONCE])
            random = looks_random(values)
            addresses, values = addresses[random], values[random]
            for address, value in zip(addresses.tolist(), as_integers(values), strict=True):
                for montgomery in ways:
                    point = scalars.point(value, points, effort, montgomery=montgomery)
                    if point is not None:
                        names = _MONTGOMERY if montgomery else _PLAIN
                        yield number_found(space, scalars.keys[point][1], address, wanted, names)


def _pointed_to(space: Searchable, curve: Curve, effort: Effort) -> Iterator[_Candidates]:
    """Yield the contents of arrays, then numbers that something points to."""
    plain = Wanted(LITTLE, curve.limbs)  # what fits another form fits this one too
    lengths = (LITTLE, curve.limbs * WORD), (BIG, curve.limbs * WORD), (JAVA, curve.limbs * WORD // 4)
    arrays = tuple(Wanted(form, curve.limbs, array=length) for form, length in lengths)
    marks = Marks(space)
    starts: list[list[Words]] = [[np.zeros(0, np.uint64)] for _ in arrays]
    for matches in matches_of(space, (plain, *arrays), threads=effort.threads):
        marks.add(matches.starts[matches.signatures == 0])
        for number, found in enumerate(starts, 1):
            found.append(matches.starts[matches.signatures == number])
    for each, found in zip(arrays, starts, strict=True):
        yield _Candidates(each, np.concatenate(found), (False,))
    pointed = marks.pointed_to(threads=effort.threads)
    for form, ways in (*_USUAL, *_RARE):
        yield _Candidates(Wanted(form, curve.limbs), pointed, ways)


def _all(space: Searchable, curve: Curve, effort: Effort) -> Iterator[_Candidates]:
    """Yield all numbers, twice: in the usual forms first."""
    plain = tuple(Wanted(form, curve.limbs) for form in FORMS)
    for forms in (_USUAL, _RARE):
        for matches in matches_of(space, plain, threads=effort.threads):
            for number, (_, ways) in enumerate(forms):
                yield _Candidates(plain[number], matches.starts[matches.signatures == number], ways)


def _others(space: Searchable, scalars: Scalars, effort: Effort) -> Iterator[Decoded]:
    """Yield all places of the scalars that were found, whatever points to them."""
    kinds: list[tuple[PrivateKey, Wanted, Names]] = []
    signatures: list[Signature] = []
    for scalar, key in scalars.keys.values():
        for form, montgomery in ((LITTLE, False), (BIG, False), (JAVA, False), (LITTLE, True)):
            wanted = Wanted(form, scalars.curve.limbs)
            data = form.written(scalars.montgomery(scalar) if montgomery else scalar, wanted.count)
            kinds.append((key, wanted, _MONTGOMERY if montgomery else _PLAIN))
            signatures.append(literal(f"scalar-{len(signatures)}", data))
    for matches in Engine(signatures, literal=True).batches(space, threads=effort.threads) if signatures else ():
        for number, address in zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True):
            key, wanted, names = kinds[number]
            length = int.from_bytes(space.read(max(address - _LENGTH, 0), _LENGTH), "little")
            if length == wanted.count * WORD:  # Java's, before the content of an array of bytes
                wanted = replace(wanted, array=length)
            yield number_found(space, key, address, wanted, names)
