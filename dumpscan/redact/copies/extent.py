"""How far a copy goes from a place on that is part of it, in both directions, across the ends of lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dumpscan.redact.values.forms import Form

_LINE_END = re.compile(rb"(?:\r\n|\n|\\r\\n|\\n|\r\0\n\0|\n\0)[ \t]{0,8}")
_MAX_LINE_END = 12


def extent(data: memoryview, form: Form, at: int, start: int, size: int) -> tuple[int, int]:
    """Return where a copy begins and ends; nothing of a text that is not whole.

    Args:
        data: The file.
        form: What the copy is of.
        at: A place in the form.
        start: Offset in the file of bytes that are those of the form there.
        size: How many they are.
    """
    begin = start - at
    if begin >= 0 and data[begin : begin + len(form.data)] == form.data:
        return begin + form.begin, begin + len(form.data)
    if not form.fragments:
        return start, start
    after = form.data[at + size :]
    end = start + size + _alike(data, start + size, after, form)
    before = form.data[:at]
    return start - _alike_before(data, start, before, form), end


def _alike(data: memoryview, at: int, expected: bytes, form: Form) -> int:
    """Return how many bytes from a place on are as expected, line ends within a text included."""
    first, matched = at, 0
    while matched < len(expected):
        more = _common(data[at : at + len(expected) - matched], expected[matched:])
        at, matched = at + more, matched + more
        line_end = _LINE_END.match(data, at, at + _MAX_LINE_END) if form.lines and matched < len(expected) else None
        if line_end is None or not _common(data[line_end.end() : line_end.end() + 1], expected[matched:]):
            break
        at = line_end.end()
    return at - first


def _alike_before(data: memoryview, at: int, expected: bytes, form: Form) -> int:
    """Return how many bytes before a place are as expected, line ends within a text included."""
    last = at
    while expected:
        size = min(len(expected), at)
        more = _common(bytes(data[at - size : at])[::-1], expected[len(expected) - size :][::-1])
        at, expected = at - more, expected[: len(expected) - more]
        gap = _line_end_before(data, at) if form.lines and expected else 0
        if not gap or at - gap < 1 or data[at - gap - 1] != expected[-1]:
            break
        at -= gap
    return last - at


def _line_end_before(data: memoryview, at: int) -> int:
    """Return the bytes of a line's end, with the indent that follows it, right before a place."""
    for size in range(min(_MAX_LINE_END, at), 0, -1):
        found = _LINE_END.fullmatch(data, at - size, at)
        if found:
            return size
    return 0


def _common(data: memoryview | bytes, expected: bytes) -> int:
    """Return how many first bytes two byte strings have in common."""
    low, high = 0, min(len(data), len(expected))
    while low < high:
        middle = (low + high + 1) // 2
        if data[low:middle] == expected[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
