"""What all kinds of archives offer: their files in order, and one file by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dumpscan.exceptions import UnpackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_MEMBERS = 100_000
"""Files that are read of one archive."""
HEAD_SIZE = 512
"""Bytes of a file's beginning that tell how it is packed: a tar archive has its signature at offset 257."""
_PIECE = 1 << 20


class Readable(Protocol):
    """A stream that is read forward."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: Its name in the archive. Where several files have the same name, the later ones are numbered.
        size: Bytes in it, as the archive claims.
        head: Its first `HEAD_SIZE` bytes; None where they are not had without unpacking more.
        copy: Writes it with the given function, piece by piece.
        behind: Bytes in the files before it, as the archive claims.
    """

    name: str
    size: int
    head: bytes | None
    copy: Callable[[Callable[[bytes], object]], None]
    behind: int = 0


class Archive(Protocol):
    """An open archive."""

    def members(self) -> Iterator[Member]:
        """Yield all files from the first on; a file can be copied only before the next is asked for.

        Raises:
            UnpackError: It has more than `MAX_MEMBERS` files.
        """

    def member(self, name: str) -> Member | None:
        """Return one file; None if there is none of that name.

        Files that are asked for in the archive's order are read in one pass: a file takes only what lies between it and
        the last one. A file has to be copied before another is asked for.
        """

    def close(self) -> None:
        """Close its file."""


class Names:
    """Gives each file of an archive a name of its own: of two files `a`, the second is `a (2)`."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def own(self, name: str) -> str:
        """Return the name of the next file."""
        number = self._last.get(name, 0)
        own = name
        while own in self._last:
            number += 1
            own = f"{name} ({number + 1})"
        self._last[own] = 0
        self._last[name] = number
        return own


def too_many(path: Path) -> UnpackError:
    """Return the error for an archive with too many files."""
    return UnpackError(path, f"has more than {MAX_MEMBERS:,} files")


def pour(source: Readable, write: Callable[[bytes], object]) -> None:
    """Copy a stream piece by piece."""
    while piece := source.read(_PIECE):
        write(piece)
