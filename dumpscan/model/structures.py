"""C definitions made into structures."""

from __future__ import annotations

from typing import Any

from dissect.cstruct import cstruct


def structures(*definitions: str) -> Any:  # noqa: ANN401 - the structures are attributes made at run time
    """Return the structures that C definitions declare, little-endian and packed.

    Their readers are not compiled: to compile them takes as long as to parse the definitions, at every start, and a
    dump has few records that are read one by one (lists are read as arrays of numpy).
    """
    made = cstruct()
    for definition in definitions:
        made.load(definition, compiled=False)
    return made
