"""One line for all images whose kernels' symbol tables are not on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.output.labels import base_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dumpscan.case.records import MissingSymbols
    from dumpscan.memory.symbols.errors import MissingTable

_FEW = 3
"""Tables, and images of each, that the line names."""


class MissingTables:
    """Gathers which tables were missing for which images."""

    def __init__(self) -> None:
        self._images: dict[tuple[str, str, int], dict[str, None]] = {}
        self._refused: dict[str, None] = {}

    def add(self, image: str, tables: Iterable[MissingTable]) -> None:
        """Note the tables that an image needs."""
        for table in tables:
            self._add(image, (table.pdb.name, table.pdb.guid, table.pdb.age), table.refused)

    def add_recorded(self, images: Mapping[str, Iterable[MissingSymbols]]) -> None:
        """Note the tables that images need, as a case has them."""
        for image, tables in images.items():
            for table in tables:
                self._add(image, (table.pdb, table.guid, table.age), table.refused)

    def _add(self, image: str, table: tuple[str, str, int], refused: object) -> None:
        self._images.setdefault(table, {})[image] = None
        if refused is not None:
            self._refused[str(refused)] = None

    def line(self) -> str | None:
        """Return what is missing, in one sentence; None if nothing is."""
        if not self._images:
            return None
        images = {image for found in self._images.values() for image in found}
        one = len(images) == 1
        tables = [
            f"{name} GUID {guid} age {age} ({_some(map(base_name, found))})"
            for (name, guid, age), found in self._images.items()
        ]
        refused = f"; cannot be used: {_some(self._refused)}" if self._refused else ""
        whose = "an image's kernel" if one else f"the kernels of {len(images)} images"
        return (
            f"the symbol table of {whose} is not here, so {'its' if one else 'their'} processes have no names: "
            f"{_some(tables)}{refused}. `dumpscan symbols needed IMAGE...` says where to get it"
        )


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return ", ".join(found[:_FEW]) + more
