"""What is looked for in bytes that text stands for: the same signatures as in memory."""

from __future__ import annotations

import re
from functools import cache, cached_property
from typing import TYPE_CHECKING

from dumpscan.scan.anchors import parse
from dumpscan.scan.searcher import hits
from dumpscan.scan.signature import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.scan.engine import Engine
    from dumpscan.scan.signature import Signature

LOOK_BEFORE = 40
"""Bytes before a place at which text is known to stand for part of an object, in which that may begin."""
LOOK = 48
"""Bytes from there on in which a signature of the object lies."""


class Contents:
    """Looks for signatures in bytes.

    Args:
        engine: Its signatures, and it looks for them where there are many bytes; without one there is nothing to find.
    """

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine

    @cached_property
    def _by_first_byte(self) -> list[list[Signature]]:
        """The signatures that may begin with each value of a byte."""
        found: list[list[Signature]] = [[] for _ in range(256)]
        for signature in self._engine.signatures if self._engine else ():
            positions = parse(signature.expression)
            for value in positions[0] if positions else range(256):
                found[value].append(signature)
        return found

    def near(self, data: bytes) -> list[Hit]:
        """Return what opens in a few bytes, in the order of the matches."""
        return [
            Hit(signature, place - signature.lead)
            for place in range(len(data))
            for signature in self._by_first_byte[data[place]]
            if place >= signature.lead and _pattern(signature.expression).match(data, place)
        ]

    def anywhere(self, data: bytes) -> Iterator[Hit]:
        """Yield what may open anywhere in bytes, by ascending place."""
        if self._engine is not None:
            yield from hits(self._engine.signatures, self._engine.scan_buffer(data, threads=1))


@cache
def _pattern(expression: bytes) -> re.Pattern[bytes]:
    return re.compile(expression, re.DOTALL)
