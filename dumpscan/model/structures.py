"""C definitions made into structures, each when it is first asked for."""

from __future__ import annotations

import re
from threading import RLock
from typing import Any

from dissect.cstruct import cstruct

_BLOCK = re.compile(
    r"""
    ^typedef\s[^;{]*\{.*?^\}\s*(?P<typedef>\w+)\s*;
    | ^(?:struct|union|enum|flag)\s+(?P<tagged>\w+).*?^\};
    | ^\#define\s+(?P<constant>\w+)[^\n]*
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
"""A definition that begins at the beginning of a line, and ends with a brace there."""


def structures(*definitions: str) -> Any:  # noqa: ANN401 - the structures are attributes made at run time
    """Return an object whose attributes are what C definitions declare, little-endian and packed.

    A definition is parsed when it is first used: to parse all of them takes as long as to search a small dump. Their
    readers are not compiled, because a dump has few records that are read one by one (lists are read as arrays).
    """
    return _Structures("\n".join(definitions))


class _Structures:
    def __init__(self, definitions: str) -> None:
        self._lock = RLock()  # threads that search different dumps may ask for the same definition
        self._made = cstruct()
        self._waiting = {str(found[found.lastgroup or ""]): found.group() for found in _BLOCK.finditer(definitions)}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        if name.startswith("__"):
            raise AttributeError(name)
        with self._lock:
            self._load(name)
            value = getattr(self._made, name)
            setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._waiting]

    def _load(self, name: str) -> None:
        """Parse a definition, after those whose names are in it."""
        definition = self._waiting.pop(name, None)
        if definition is None:
            return
        for word in re.findall(r"\w+", definition):
            self._load(word)
        self._made.load(definition, compiled=False)
