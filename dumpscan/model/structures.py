"""C definitions made into structures when they are first asked for."""

from __future__ import annotations

import re
from threading import RLock
from typing import Any

from dissect.cstruct import cstruct


def structures(*definitions: str) -> Any:  # noqa: ANN401 - the structures are attributes made at run time
    """Return an object whose attributes are what C definitions declare, little-endian and packed.

    A text of definitions is parsed when one of its names is first used, with the texts before it whose names it uses:
    to parse them takes as long as to search a small dump. Readers are not compiled, because a dump has few records
    that are read one by one (lists are read as arrays).
    """
    return _Structures(definitions)


_DECLARED = re.compile(r"(?:^\}\s*|^(?:struct|union|enum|flag)\s+|^#define\s+)(\w+)", re.MULTILINE)
"""A name, where a definition that begins at the beginning of a line declares it."""


class _Structures:
    def __init__(self, definitions: tuple[str, ...]) -> None:
        self._lock = RLock()  # threads that search different dumps may ask for the same definition
        self._made = cstruct()
        self._waiting = {text: frozenset(_DECLARED.findall(text)) for text in definitions}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        if name.startswith("__"):
            raise AttributeError(name)
        with self._lock:
            self._load(name)
            value = getattr(self._made, name)
            setattr(self, name, value)
        return value

    def _load(self, name: str) -> None:
        """Parse the text that declares a name, after those that declare what it uses."""
        text = next((text for text, declared in self._waiting.items() if name in declared), None)
        if text is None:
            return
        del self._waiting[text]
        words = set(re.findall(r"\w+", text))
        for declared in [*self._waiting.values()]:
            if used := declared & words:
                self._load(min(used))
        self._made.load(text, compiled=False)
