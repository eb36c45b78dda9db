"""What is looked for in bytes that text stands for: the same signatures as in memory."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache, cached_property
from itertools import pairwise, product
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.scan.anchors import parse
from dumpscan.scan.searcher import hits
from dumpscan.scan.signature import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.scan.engine import Engine
    from dumpscan.scan.signature import Signature

LOOK_BEFORE = 40
"""Bytes before a place at which text is known to stand for part of an object, in which that may begin."""
LOOK = 48
"""Bytes from there on in which a signature of the object lies."""
_ANY = frozenset(range(256))
_LOOKING = 60
"""Microseconds that it takes to look for what opens in so many bytes."""


class Contents:
    """Looks for signatures in bytes.

    Args:
        engine: Looks for signatures where there are many bytes; without one there is nothing to find.
        only_in_text: What is looked for in few bytes, besides the signatures of the engine.
    """

    def __init__(self, engine: Engine | None, only_in_text: Sequence[Signature] = ()) -> None:
        self._engine = engine
        self._signatures = (*engine.signatures, *only_in_text) if engine else ()

    @cached_property
    def _by_pair(self) -> dict[bytes, list[tuple[int, int]]]:
        """For two bytes in a row, signatures that have them: where, and the signature's number.

        Every signature is there with one pair of its own bytes: of those with the fewest values, the one that the
        fewest others are there with.
        """
        found: defaultdict[bytes, list[tuple[int, int]]] = defaultdict(list)
        for number, signature in enumerate(self._signatures):
            pairs = _pairs(signature.expression)
            at = min(pairs, key=lambda place: sum(len(found[pair]) for pair in pairs[place]))
            for pair in pairs[at]:
                found[pair].append((at, number))
        return dict(found)

    def near(self, data: bytes) -> list[Hit]:
        """Return what opens in a few bytes, in the order of the matches.

        Raises:
            TooCostlyError: Looking would cost more than is left.
        """
        effort.charge(_LOOKING)
        found = sorted(
            (place - at, number)
            for place in range(len(data) - 1)
            for at, number in self._by_pair.get(data[place : place + 2], ())
            if place >= at and _pattern(self._signatures[number].expression).match(data, place - at)
        )
        matches = ((place, self._signatures[number]) for place, number in found)
        return [Hit(signature, place - signature.lead) for place, signature in matches if place >= signature.lead]

    def anywhere(self, data: bytes) -> Iterator[Hit]:
        """Yield what may open anywhere in bytes, by ascending place."""
        if self._engine is not None:
            yield from hits(self._engine.signatures, self._engine.scan_buffer(data, threads=1))


def _pairs(expression: bytes) -> dict[int, list[bytes]]:
    """Return the values that two bytes in a row may have, by their place in an expression; only those with the fewest.

    Any two bytes will do for an expression that `parse` does not know; a last byte that may have any value is added.
    """
    positions = [*(parse(expression) or [_ANY]), _ANY]
    counts = [len(first) * len(second) for first, second in pairwise(positions)]
    return {
        place: [bytes(pair) for pair in product(positions[place], positions[place + 1])]
        for place, count in enumerate(counts)
        if count == min(counts)
    }


@cache
def _pattern(expression: bytes) -> re.Pattern[bytes]:
    return re.compile(expression, re.DOTALL)
