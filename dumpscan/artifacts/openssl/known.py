"""The private key of a public key that is known, in whatever form its numbers lie in memory.

RSA: any number of half the modulus's length that divides it is a prime of it, which is a proof. Elliptic curves: a
number d is the private key if d*G is the public point. Ed25519: libraries keep the seed right before the public key.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.decoded import Decoded, RefusedError
from dumpscan.artifacts.keys.encode import point as write_point
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.proof import ED25519, MOST_RSA_BITS, ec_key, raw_key, rsa_key
from dumpscan.artifacts.openssl.ec import CURVES, looks_random
from dumpscan.artifacts.openssl.rsa import LOW_WORD, with_partner
from dumpscan.artifacts.openssl.windows import FORMS, JAVA, WORD, Wanted, finder, pointed_to
from dumpscan.artifacts.symcrypt.curves import multiple_on_named_curve
from dumpscan.findings import KeyObject
from dumpscan.scan.engine import Engine
from dumpscan.scan.passes import aligned_matches
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from numpy.typing import NDArray

    from dumpscan.artifacts.keys.ec.weierstrass import Point
    from dumpscan.artifacts.openssl.ec import Curve
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import AddressSpace
    from dumpscan.scan.searcher import Matches

MAX_CANDIDATES = 500_000
"""Numbers by which moduli are divided unless the search is deep: a second for one modulus."""
MAX_DIVIDED = 4
"""Moduli of one size that are divided by every number."""
MAX_JOINED = 2_000_000
"""Numbers that are kept to be joined for the other moduli."""
MAX_MULTIPLICATIONS = 4096
"""Points computed on one curve unless the search is deep: half a second on P-256."""
MAX_PLACES = 1024
"""Places of one public key of Ed25519 that are looked at."""
_WORD_BITS = 64


@dataclass(frozen=True, slots=True)
class Effort:
    """How far a search goes.

    Attributes:
        deep: Whether all candidates are tried, whatever that takes.
        threads: As for `dumpscan.scan.searcher.Searcher`.
    """

    deep: bool = False
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """A number that lies in memory.

    Attributes:
        wanted: What it was looked for as.
        address: Of its first byte.
        value: The number.
    """

    wanted: Wanted
    address: int
    value: int = field(repr=False)


def find_known(space: AddressSpace, keys: Sequence[PublicKeyTypes], effort: Effort) -> Iterator[Decoded]:
    """Search the memory of a process for the private halves of public keys.

    Args:
        space: The process dump.
        keys: RSA keys, keys on the curves of `CURVES`, and Ed25519 keys; others are passed over.
        effort: How far to go.

    Yields:
        Each place of a private number of theirs.
    """
    moduli = [key.public_numbers() for key in keys if isinstance(key, rsa.RSAPublicKey)]
    yield from _rsa(space, {numbers.n: numbers.e for numbers in moduli}, effort)
    points = [key.public_numbers() for key in keys if isinstance(key, ec.EllipticCurvePublicKey)]
    for curve in (curve for curve in CURVES if curve.curve.name in ORDERS):
        on_it = {(point.x, point.y) for point in points if point.curve.name == curve.curve.name}
        if on_it:
            yield from _ec(space, curve, on_it, effort)
    yield from _ed25519(space, [key for key in keys if isinstance(key, ed25519.Ed25519PublicKey)], effort)


def _rsa(space: AddressSpace, exponents: dict[int, int], effort: Effort) -> Iterator[Decoded]:
    sizes: dict[int, list[int]] = defaultdict(list)
    for modulus in exponents:
        if modulus.bit_length() % (2 * _WORD_BITS) == 0 and modulus.bit_length() <= MOST_RSA_BITS:
            sizes[modulus.bit_length() // (2 * _WORD_BITS)].append(modulus)
    wanted = tuple(
        Wanted(form, count, min(moduli) >> (2 * count - 1) * _WORD_BITS, odd=True)  # p = n/q > n / 2^(64 * count)
        for count, moduli in sizes.items()
        for form in FORMS
    )
    for place, modulus in _divisors(space, wanted, sizes, effort):
        key = _rsa_key(modulus, exponents[modulus], place.value)
        if key is not None:
            yield _decoded(space, key, place, "rsa-prime", "prime")


def _divisors(
    space: AddressSpace, wanted: tuple[Wanted, ...], sizes: dict[int, list[int]], effort: Effort
) -> Iterator[tuple[_Place, int]]:
    """Yield places of numbers that divide a modulus.

    A few moduli are divided by every number. For more, a number is kept only if the low word of its partner, which is
    that of the modulus times its inverse, is the low word of another number too.
    """
    lows: dict[int, tuple[list[int], list[_Place]]] = {count: ([], []) for count in sizes}
    for count, place in enumerate(_places(space, wanted, effort)):
        moduli = sizes[place.wanted.count]
        if count >= MAX_CANDIDATES and not effort.deep:
            return
        yield from ((place, modulus) for modulus in moduli[:MAX_DIVIDED] if modulus % place.value == 0)
        if len(moduli) > MAX_DIVIDED and count < MAX_JOINED:
            words, places = lows[place.wanted.count]
            words.append(place.value & LOW_WORD)
            places.append(place)
    for size, (words, places) in lows.items():
        for modulus in sizes[size][MAX_DIVIDED:]:
            pairs = with_partner(np.array(words, np.uint64), modulus & LOW_WORD)
            yield from ((places[index], modulus) for index in pairs if modulus % places[index].value == 0)


def _rsa_key(modulus: int, exponent: int, p: int) -> PrivateKey | None:
    try:
        return rsa_key(modulus=modulus, exponent=exponent, p=p, q=modulus // p)
    except RefusedError:
        return None


def _ec(space: AddressSpace, curve: Curve, points: set[Point], effort: Effort) -> Iterator[Decoded]:
    """Find scalars among the numbers that something points to; among all if the search is deep."""
    wanted = tuple(Wanted(form, curve.limbs) for form in FORMS) if curve.curve.key_size % _WORD_BITS == 0 else ()
    tried: dict[int, tuple[PrivateKey, str] | None] = {}
    for number, address in _candidates(space, wanted, effort):
        place = _place(space, wanted[number], address)
        if place is None or not looks_random(place.value, curve.limbs):
            continue
        if place.value not in tried:
            if len(tried) >= MAX_MULTIPLICATIONS and not effort.deep:
                return
            tried[place.value] = _ec_key(curve, place.value, points)
        key = tried[place.value]
        if key is not None:
            yield _decoded(space, key[0], place, "ec-scalar", key[1])


def _candidates(space: AddressSpace, wanted: tuple[Wanted, ...], effort: Effort) -> Iterator[tuple[int, int]]:
    """Yield which number is looked for, and where it may lie."""
    found: list[tuple[int, NDArray[np.uint64]]] = []
    for matches in _matches(space, wanted, effort):
        found += ((number, matches.starts[matches.signatures == number]) for number in range(len(wanted)))
    if not found:
        return
    targets = np.unique(np.concatenate([starts for _, starts in found]))
    if not effort.deep:
        targets = pointed_to(space, targets, threads=effort.threads)
    for number, starts in found:
        yield from ((number, address) for address in starts[np.isin(starts, targets)].tolist())


def _ec_key(curve: Curve, number: int, points: set[Point]) -> tuple[PrivateKey, str] | None:
    """Return the key of one of the points whose scalar a number is, plain or in Montgomery form; None if it is none."""
    order = ORDERS[curve.curve.name]
    plain = number * pow(1 << _WORD_BITS * curve.limbs, -1, order) % order  # ring and rustls keep d*R mod the order
    for scalar, structure in ((number, "scalar"), (plain, "scalar in Montgomery form")):
        point = multiple_on_named_curve(curve.curve, scalar) if 0 < scalar < order else None
        if point in points and point is not None:
            return ec_key(curve.curve, scalar, write_point(point, (curve.curve.key_size + 7) // 8)), structure
    return None


ORDERS = {
    "secp256r1": 2**256 - 2**224 + 2**192 - 0x4319055258E8617B0C46353D039CDAAF,
    "secp384r1": 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
    "secp256k1": 2**256 - 0x14551231950B75FC4402DA1732FC9BEBF,
}
"""Orders of the generators (SEC 2, 2.4.1, 2.4.2 and 2.5.1)."""


def _ed25519(space: AddressSpace, keys: Sequence[ed25519.Ed25519PublicKey], effort: Effort) -> Iterator[Decoded]:
    values = [key.public_bytes(Encoding.Raw, PublicFormat.Raw) for key in keys]
    signatures = [
        Signature(f"ed25519-{number}", b"".join(b"\\x%02x" % byte for byte in value), len(value))
        for number, value in enumerate(values)
    ]
    counts: dict[int, int] = defaultdict(int)
    for matches in Engine(signatures).batches(space, threads=effort.threads) if signatures else ():
        for number, start in zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True):
            counts[number] += 1
            address = start - ED25519.size
            if counts[number] > MAX_PLACES or address < 0:
                continue
            try:
                key = raw_key(ED25519, space.read(address, ED25519.size), values[number])
            except RefusedError:
                continue
            yield _object(space, key, address, 2 * ED25519.size, ("ed25519-seed", None, "seed and public key"))


def _places(space: AddressSpace, wanted: tuple[Wanted, ...], effort: Effort) -> Iterator[_Place]:
    """Yield the numbers that are looked for, as far as they lie in memory whole."""
    for matches in _matches(space, wanted, effort):
        for number, address in zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True):
            place = _place(space, wanted[number], address)
            if place is not None:
                yield place


def _matches(space: AddressSpace, wanted: tuple[Wanted, ...], effort: Effort) -> Iterator[Matches]:
    if wanted:
        yield from aligned_matches(space, [each.signature for each in wanted], finder(wanted), threads=effort.threads)


def _place(space: AddressSpace, wanted: Wanted, address: int) -> _Place | None:
    data = space.read(address, wanted.count * WORD)
    return _Place(wanted, address, wanted.form.number(data)) if len(data) == wanted.count * WORD else None


def _decoded(space: AddressSpace, key: PrivateKey, place: _Place, kind: str, structure: str) -> Decoded:
    """Make the object of a number; only Java keeps the words of 32 bits that a big-endian form of them tells."""
    library = "java" if place.wanted.form is JAVA else None
    encoding = f"{kind}-{place.wanted.form.name}"
    return _object(space, key, place.address, place.wanted.count * WORD, (encoding, library, structure))


def _object(
    space: AddressSpace, key: PrivateKey, address: int, length: int, names: tuple[str, str | None, str]
) -> Decoded:
    data = space.read(address, length)
    encoding, library, structure = names
    return Decoded(
        finding=read_from(key, data),
        address=address,
        length=length,
        sha256=sha256(data).hexdigest(),
        encoding=encoding,
        key_object=KeyObject(library=library, structure=structure, has_private=True),
    )
