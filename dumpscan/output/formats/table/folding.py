"""Long text in narrow columns: folded where it may be read on, and never for one or two characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

if TYPE_CHECKING:
    from rich.text import Text

_SEPARATORS = (" ", ".,;:/\\-_=|@")
"""Characters behind which a text is folded, the better ones first, if the line is not left half empty by that."""
_MIN_REST = 3
"""Characters that the last line has at least, where the width allows it."""


def fold(text: Text, width: int) -> list[Text]:
    """Return a text as lines of at most `width` cells; nothing of it is cut off.

    Args:
        text: A text of one line.
        width: Cells; less than one counts as one.
    """
    if cell_len(text.plain) <= width:
        return [text]
    text = text.copy()
    text.rstrip()
    places = _places(text.plain, max(width, 1))
    lines = list(text.divide(places))
    for line in lines[:-1]:
        line.rstrip()
    return lines


def _places(plain: str, width: int) -> list[int]:
    """Return where to fold."""
    places: list[int] = []
    begin = 0
    while (end := begin + _fitting(plain, begin, width)) < len(plain):
        place = _place(plain, end, begin + width // 2)
        rest = len(plain) - place
        if 0 < rest < _MIN_REST and place - begin > _MIN_REST:
            place -= _MIN_REST - rest
        places.append(place)
        begin = place
    return places


def _place(plain: str, end: int, least: int) -> int:
    """Return the best place between two for a line to end."""
    if plain[end] == " ":  # it ends the line before it
        return end + 1
    for separators in _SEPARATORS:
        found = next((at for at in range(end, least, -1) if plain[at - 1] in separators), None)
        if found is not None:
            return found
    return end


def _fitting(plain: str, begin: int, width: int) -> int:
    """Return how many characters from `begin` fit into a line; at least one."""
    cells = 0
    for count in range(len(plain) - begin):
        cells += cell_len(plain[begin + count])
        if cells > width:
            return max(count, 1)
    return len(plain) - begin
