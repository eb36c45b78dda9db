"""Hostile contents made of what signatures look for: openings of objects, and something else behind them."""

from __future__ import annotations

import re
import re._constants as constants
import re._parser as parser
from typing import TYPE_CHECKING, Any

from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

SIGNATURES = tuple(finder for finder, _ in EVERYTHING.detectors if isinstance(finder, Signature))

_REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT)
_NOT_OF_THE_MATCH = (constants.ASSERT, constants.ASSERT_NOT, constants.AT)


def matching(signature: Signature, rng: Random) -> bytes:
    """Return bytes that a signature's expression matches: any of them, the shortest where something is repeated."""
    return _matching(parser.parse(signature.expression, re.DOTALL), rng)


def _matching(parts: Iterable[tuple[Any, Any]], rng: Random) -> bytes:
    made = bytearray()
    for kind, value in parts:
        if kind in (constants.LITERAL, constants.NOT_LITERAL, constants.ANY, constants.IN):
            made.append(rng.choice(_bytes(kind, value)))
        elif kind in _REPEATS:
            least, _, inside = value
            made += b"".join(_matching(inside, rng) for _ in range(least))
        elif kind is constants.SUBPATTERN:
            made += _matching(value[3], rng)
        elif kind is constants.BRANCH:
            made += _matching(rng.choice(value[1]), rng)
        elif kind not in _NOT_OF_THE_MATCH:
            raise ValueError(kind)
    return bytes(made)


def _bytes(kind: Any, value: Any) -> list[int]:  # noqa: ANN401 - of the module `re`
    """Return the bytes that one item of an expression matches."""
    if kind is constants.ANY:
        return list(range(256))
    if kind is constants.LITERAL:
        return [value]
    if kind is constants.NOT_LITERAL:
        return [byte for byte in range(256) if byte != value]
    found: set[int] = set()
    for each, inside in value:
        if each is constants.LITERAL:
            found.add(inside)
        elif each is constants.RANGE:
            found |= set(range(inside[0], inside[1] + 1))
    negated = bool(value) and value[0][0] is constants.NEGATE
    return sorted(set(range(256)) - found if negated else found)


BEHIND: dict[str, Callable[[bytes, Random], bytes]] = {
    "nothing": lambda opening, _: opening,
    "random bytes": lambda opening, rng: opening + rng.randbytes(40),
    "many random bytes": lambda opening, rng: opening + rng.randbytes(700),
    "zeros": lambda opening, _: opening + bytes(24),
    "a part missing": lambda opening, rng: opening[: rng.randrange(4, len(opening) + 1)],
}
"""What lies behind an opening, by what it is called."""
