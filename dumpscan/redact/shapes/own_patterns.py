"""A user's own regular expressions, looked for in a whole file: in its bytes, and in its UTF-16."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dumpscan.exceptions import UsageError
from dumpscan.redact.filling import is_filling
from dumpscan.redact.secret import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_MATCH = 64 << 10
"""Bytes of the longest match that is sure to be found."""
_BLOCK = 16 << 20


def compiled(expressions: Sequence[bytes]) -> list[re.Pattern[bytes]]:
    """Compile a user's expressions.

    Raises:
        UsageError: One is none, or matches nothing at all.
    """
    patterns = []
    for expression in expressions:
        try:
            pattern = re.compile(expression, re.DOTALL)
        except re.error as error:
            raise UsageError(f"--regex: not a regular expression: {error}") from error
        if pattern.match(b""):
            raise UsageError("--regex: an expression that matches nothing at all matches everywhere")
        patterns.append(pattern)
    return patterns


def find_expressions(data: memoryview, expressions: Sequence[bytes]) -> Iterator[Place]:
    """Yield the places where expressions match.

    Raises:
        UsageError: As `compiled`.
    """
    patterns = compiled(expressions)
    for start in range(0, len(data) if patterns else 0, _BLOCK):
        block = data[start : start + _BLOCK + MAX_MATCH]
        narrow = [(phase, bytes(block[phase::2])) for phase in (0, 1)]
        for pattern in patterns:
            for match in pattern.finditer(block):
                if not is_filling(match[0]):
                    yield Place(start + match.start(), len(match[0]), "raw")
            for phase, characters in narrow:
                for match in pattern.finditer(characters):
                    begin, length = phase + 2 * match.start(), 2 * len(match[0])
                    if not any(block[begin + 1 : begin + length : 2]) and not is_filling(match[0]):
                        yield Place(start + begin, length, "utf-16", wide=True)
