"""What is looked for in bytes that text stands for: the same signatures as in memory."""

from __future__ import annotations

import re
from functools import cache, cached_property
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.scan.anchors import most_telling
from dumpscan.scan.searcher import hits
from dumpscan.scan.signature import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.scan.engine import Engine

LOOK_BEFORE = 40
"""Bytes before a place at which text is known to stand for part of an object, in which that may begin."""
LOOK = 48
"""Bytes from there on in which a signature of the object lies."""
_LOOKING = 60
"""Microseconds that it takes to look for what opens in so many bytes."""


class Contents:
    """Looks for signatures in bytes.

    Args:
        engine: Its signatures, and it looks for them where there are many bytes; without one there is nothing to find.
    """

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine
        self._signatures = engine.signatures if engine else ()

    @cached_property
    def _by_byte(self) -> list[list[tuple[int, int]]]:
        """For each value of a byte the signatures whose most telling byte it may be: its place, and their number."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(256)]
        for number, signature in enumerate(self._signatures):
            at, values = most_telling(signature.expression)
            for value in values:
                found[value].append((at, number))
        return found

    def near(self, data: bytes) -> list[Hit]:
        """Return what opens in a few bytes, in the order of the matches.

        Raises:
            TooCostlyError: Looking would cost more than is left.
        """
        effort.charge(_LOOKING)
        found = sorted(
            (place - at, number)
            for place, value in enumerate(data)
            for at, number in self._by_byte[value]
            if place >= at and _pattern(self._signatures[number].expression).match(data, place - at)
        )
        matches = ((place, self._signatures[number]) for place, number in found)
        return [Hit(signature, place - signature.lead) for place, signature in matches if place >= signature.lead]

    def anywhere(self, data: bytes) -> Iterator[Hit]:
        """Yield what may open anywhere in bytes, by ascending place."""
        if self._engine is not None:
            yield from hits(self._engine.signatures, self._engine.scan_buffer(data, threads=1))


@cache
def _pattern(expression: bytes) -> re.Pattern[bytes]:
    return re.compile(expression, re.DOTALL)
