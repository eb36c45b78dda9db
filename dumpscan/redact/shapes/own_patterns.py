"""A user's own regular expressions, looked for in a whole file: in its bytes, and in its UTF-16."""

from __future__ import annotations

import re
import signal
import threading
from typing import TYPE_CHECKING

from dumpscan.exceptions import UsageError
from dumpscan.redact.filling import is_filling
from dumpscan.redact.secret import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_MATCH = 64 << 10
"""Bytes of the longest match that is sure to be found."""
MIN_SECONDS = 5
MAX_SECONDS_PER_MIB = 1.0
"""CPU seconds that expressions may take: each about a hundredth of this."""
_LAST = 1e-3
"""Seconds that a timer is set to if none are left: 0 would stop it."""
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
        UsageError: As `compiled`; or an expression takes too long on these bytes: there are some for which the time
            doubles with each byte. It is noticed in the main thread, and not on Windows.
    """
    patterns = compiled(expressions)
    patience = _Patience(len(data), len(patterns))
    for start in range(0, len(data) if patterns else 0, _BLOCK):
        block = data[start : start + _BLOCK + MAX_MATCH]
        narrow = [(phase, bytes(block[phase::2])) for phase in (0, 1)]
        for pattern in patterns:
            for match in patience.matches(pattern, block):
                if not is_filling(match[0]):
                    yield Place(start + match.start(), len(match[0]), "raw")
            for phase, characters in narrow:
                for match in patience.matches(pattern, characters):
                    begin, length = phase + 2 * match.start(), 2 * len(match[0])
                    if not any(block[begin + 1 : begin + length : 2]) and not is_filling(match[0]):
                        yield Place(start + begin, length, "utf-16", wide=True)


class _Patience:
    """The CPU seconds that expressions may take.

    Args:
        size: Bytes that are searched.
        count: How many expressions they are searched for.
    """

    def __init__(self, size: int, count: int) -> None:
        self._seconds = MIN_SECONDS + MAX_SECONDS_PER_MIB * count * size / (1 << 20)
        main = threading.current_thread() is threading.main_thread()
        self._is_limited = main and hasattr(signal, "setitimer")

    def matches(self, pattern: re.Pattern[bytes], data: memoryview | bytes) -> Iterator[re.Match[bytes]]:
        """Yield the matches of an expression.

        Raises:
            UsageError: It takes longer.
        """
        found = pattern.finditer(data)
        while (match := self._next(found, pattern) if self._is_limited else next(found, None)) is not None:
            yield match

    def _next(self, found: Iterator[re.Match[bytes]], pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        def end(_number: int, _frame: object) -> None:
            shown = pattern.pattern.decode("utf-8", "backslashreplace")
            raise UsageError(
                f"--regex: takes too long on this dump: {shown!r}; `(a+)+` and the like try every division"
            )

        before = signal.signal(signal.SIGVTALRM, end)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
        try:
            return next(found, None)
        finally:
            self._seconds = max(signal.setitimer(signal.ITIMER_VIRTUAL, 0)[0], _LAST)
            signal.signal(signal.SIGVTALRM, before)
