"""The private keys of public keys that are known, in whatever form their numbers lie in memory."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dumpscan.artifacts.openssl.known.ec import find_ec
from dumpscan.artifacts.openssl.known.pointers import Targets
from dumpscan.artifacts.openssl.known.raw import find_raw
from dumpscan.artifacts.openssl.known.rsa import find_rsa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.artifacts.keys.ec.weierstrass import Point
    from dumpscan.artifacts.openssl.known.effort import Effort
    from dumpscan.memory.space import Searchable


def find_known(
    space: Searchable,
    keys: Sequence[PublicKeyTypes],
    effort: Effort,
    *,
    authorities: Sequence[PublicKeyTypes] = (),
    private: Sequence[PrivateKeyTypes] = (),
) -> Iterator[Decoded]:
    """Search the memory of a process for the private halves of public keys.

    Args:
        space: The process dump.
        keys: RSA keys, keys on the curves of `CURVES`, of Curve25519 and of Curve448; others are passed over.
        effort: How far to go.
        authorities: Further keys, of which no one expects the private half: RSA keys among them are found only if both
            primes are there, and EC keys only if the search is deep and something points to the number.
        private: Private keys that are known already, and whose places are looked for if the search is deep.

    Yields:
        Each place of a private number of theirs.
    """
    yield from find_rsa(space, _moduli(keys), _moduli(authorities), effort)
    targets = Targets(space, effort.threads)
    yield from find_raw(space, targets, keys, effort)
    told: set[tuple[int, str]] = set()
    for found in find_ec(space, targets, _points(keys), _points(authorities), effort, known=_scalars(private)):
        if (found.address, found.encoding) not in told:
            told.add((found.address, found.encoding))
            yield found


def _moduli(keys: Iterable[PublicKeyTypes]) -> dict[int, int]:
    numbers = [key.public_numbers() for key in keys if isinstance(key, rsa.RSAPublicKey)]
    return {each.n: each.e for each in numbers}


def _points(keys: Iterable[PublicKeyTypes]) -> dict[str, set[Point]]:
    points: dict[str, set[Point]] = defaultdict(set)
    for key in keys:
        if isinstance(key, ec.EllipticCurvePublicKey):
            numbers = key.public_numbers()
            points[numbers.curve.name].add((numbers.x, numbers.y))
    return points


def _scalars(keys: Iterable[PrivateKeyTypes]) -> dict[str, dict[Point, int]]:
    scalars: dict[str, dict[Point, int]] = defaultdict(dict)
    for key in keys:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            numbers = key.private_numbers()
            public = numbers.public_numbers
            scalars[public.curve.name][public.x, public.y] = numbers.private_value
    return scalars
