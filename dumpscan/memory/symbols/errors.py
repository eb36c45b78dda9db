"""What an image lacks whose symbol table is not here: apart from the store, which takes long to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dumpscan.memory.symbols.pdb import PdbRecord


@dataclass(frozen=True, slots=True)
class MissingTable:
    """A symbol table that an image needs and that was looked for in vain.

    Attributes:
        pdb: Which table it is.
        refused: The file that was there for it and could not be used; None if there was none.
    """

    pdb: PdbRecord
    refused: Path | None = None


class SymbolsError(InputError):
    """The symbol table of an image's kernel is not on this machine, or cannot be used.

    Attributes:
        missing: The tables with which the image could be read.
    """

    def __init__(self, path: Path | str, problem: str, missing: Sequence[MissingTable]) -> None:
        self.missing = tuple(missing)
        super().__init__(path, problem)
