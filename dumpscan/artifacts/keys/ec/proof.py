"""Proof of private keys on elliptic curves (SEC 1, 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys import encode
from dumpscan.artifacts.keys.ec.binary import BinaryCurve
from dumpscan.artifacts.keys.ec.library import LIBRARY_CURVES, cost_of_multiple, library_multiple
from dumpscan.artifacts.keys.ec.named import NamedCurve, all_curves, curve_named, curves_of_order_size
from dumpscan.artifacts.keys.randomness import looks_random

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.keys.ec.weierstrass import Point, Weierstrass
    from dumpscan.artifacts.keys.randomness import Plausible
    from dumpscan.findings import PrivateKey

PROOF = "Q = d*G"
_BINARY_283 = 45_000
"""Microseconds for a multiple of the generator on a curve over a binary field of 283 bits. What is computed here over a
prime field is charged there (`Weierstrass.multiply`)."""
_TRYING = 40
"""Microseconds to see which curves have coordinates as long as those of a point."""
_WRITING = 60
"""Microseconds for everything else about a key."""
_GUESSED = ("secp", "brainpool", "SM2")
"""How the names of curves begin that are tried for a private value whose curve is not told, and that lacks a point."""
_LEAST_BITS, _MOST_BITS = 100, 600
"""Bits of the field and the order of a curve that has no name."""
_MOST_KNOWN = 256
"""Keys that are remembered: the same one lies in memory in several encodings."""


class Named(Protocol):
    """A curve as far as its name: one of the table, or of `cryptography`."""

    @property
    def name(self) -> str:
        """e.g. `secp256r1`."""


@dataclass(frozen=True, slots=True)
class _Derived:
    """A key and its public point in each of the three forms of SEC 1, 2.3.3."""

    key: PrivateKey
    forms: frozenset[bytes]


def ec_key(curve: Named, private_value: int, *public_points: bytes, plausible: Plausible = looks_random) -> PrivateKey:
    """Prove a key on a named curve.

    Args:
        curve: The curve, whose generator is G.
        private_value: d.
        *public_points: Q, wherever it was stored, as SEC 1, 2.3.3 writes it (uncompressed, compressed or hybrid). A
            point of nothing but zeros counts as not stored.
        plausible: Says whether bytes may be a private value, where there is no public point.

    Returns:
        The key. Without a public point its proof is empty.

    Raises:
        RefusedError: The private value is out of range, a public point is another, or there is none and the private
            value is not plausible.
    """
    named = curve if isinstance(curve, NamedCurve) else curve_named(curve.name)
    points = [point for point in public_points if any(point[1:])]
    if not 0 < private_value < named.order:
        raise RefusedError("the private value is out of the curve's range")
    if not all(map(named.may_have, points)):
        raise RefusedError("the public point is not on the curve")
    if not points and not plausible(private_value.to_bytes(named.order_size, "big")):
        raise RefusedError("nothing vouches for the private value, and it is not plausible")
    derived = _derived(named, private_value)
    if not derived.forms.issuperset(points):
        raise RefusedError("the public point is not that of the private value")
    return replace(derived.key, proof=(PROOF,)) if points else derived.key


def sound_curve(curve: Weierstrass | BinaryCurve) -> NamedCurve:
    """Return a curve that has no name, with one of ours.

    Raises:
        RefusedError: It is smaller or larger than any in use, or its generator has not the order stated.
    """
    if not (_LEAST_BITS <= curve.bits <= _MOST_BITS and _LEAST_BITS <= curve.order.bit_length() <= curve.bits + 1):
        raise RefusedError("no curve that keys are on")
    if not all(0 <= value < 1 << curve.bits for value in (curve.a, curve.b, *curve.generator)):
        raise RefusedError("numbers that are not of the field")
    named = NamedCurve(encode.name_of_curve(curve.encoded, curve.bits), curve.encoded, curve)
    effort.charge(_cost(named))
    if not curve.is_sound():
        raise RefusedError("the generator has not the order stated")
    return named


def key_on_some_curve(private_value: int, points: Sequence[bytes]) -> PrivateKey:
    """Prove a key whose curve was not stored, by its public point.

    Args:
        private_value: d.
        points: As for `ec_key`; at least one.

    Raises:
        RefusedError: It is a key on none of the curves.
    """
    given = [point for point in points if any(point[1:])]
    effort.charge(_TRYING)
    for curve in all_curves():
        if given and all(map(curve.may_have, given)):
            try:
                return ec_key(curve, private_value, *given)
            except RefusedError:
                continue
    raise RefusedError("a key on none of the curves known")


def candidates(value: bytes) -> list[PrivateKey]:
    """Return the keys that a private value may be whose curve was not stored, and no public point either.

    Each needs the support of something that bears its public key.

    Raises:
        RefusedError: The value is not random, or as long as that of no curve in use.
    """
    if not looks_random(value):
        raise RefusedError("nothing vouches for the private value, and it is not random")
    found = list(_candidates(value))
    if not found:
        raise RefusedError("a private value of no curve in use")
    return found


def _candidates(value: bytes) -> Iterator[PrivateKey]:
    for curve in curves_of_order_size(len(value)):
        if curve.name.startswith(_GUESSED):
            try:
                yield replace(ec_key(curve, int.from_bytes(value, "big")), needs_support=True)
            except RefusedError:
                continue


@lru_cache(maxsize=_MOST_KNOWN)
def _derived(curve: NamedCurve, private_value: int) -> _Derived:
    """Return the key of a private value in the curve's range."""
    effort.charge(_cost(curve))
    point = _multiple(curve, private_value)
    if point is None:
        raise RefusedError("the curve has no such multiple")
    forms = curve.encodings(point)
    algorithm = encode.ec_algorithm(curve.parameters)
    key = encode.private_key(
        "EC",
        curve.bits,
        encode.public_info(algorithm, forms[0]),
        encode.pkcs8(algorithm, encode.ec_private(private_value, curve.order_size, forms[0])),
        proof=(),
        curve=curve.name,
    )
    return _Derived(key, frozenset(forms))


def _cost(curve: NamedCurve) -> float:
    """Return about how many microseconds a key takes."""
    multiple = 0.0
    if isinstance(curve.curve, BinaryCurve):
        multiple = _BINARY_283 * (curve.bits / 283) ** 2.5
    elif library := LIBRARY_CURVES.get(curve.name):
        multiple = cost_of_multiple(library)
    return _WRITING + multiple


def _multiple(curve: NamedCurve, scalar: int) -> Point | None:
    """Return scalar * G, by the library where it has the curve."""
    library = LIBRARY_CURVES.get(curve.name)
    if library is None:
        return curve.curve.multiply(scalar, curve.curve.generator)
    return library_multiple(library, scalar)
