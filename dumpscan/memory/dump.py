"""What every opened dump offers, whatever its format; `dumpscan.memory.open` opens one."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from dumpscan.exceptions import NoSuchProcessError
from dumpscan.memory.space import AddressSpace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import TypeIs  # with mypy; nothing needs it at run time

    from dumpscan.findings import Process
    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.physical.page_map import PageMap
    from dumpscan.memory.space import Region
    from dumpscan.memory.symbols.errors import MissingTable
    from dumpscan.memory.symbols.store import SymbolsState


@dataclass(frozen=True, slots=True)
class PageUse:
    """What an operating system uses a page of physical memory for.

    Attributes:
        owner: As in `dumpscan.findings.Location.page_owner`.
        path: Path of the file whose contents it holds.
        offset: Offset in that file of the byte that was asked about.
        inode: Number of that file's inode.
        filesystem: Type of its file system and name of the device.
    """

    owner: str
    path: str | None = None
    offset: int | None = None
    inode: int | None = None
    filesystem: str | None = None


class CachedFiles(Protocol):
    """The contents of files that an operating system keeps in memory, as an address space of their own."""

    @property
    def page_map(self) -> PageMap:
        """Where the pages lie; it has one owner."""

    def use(self, address: int) -> PageUse:
        """Return which file an address in that map belongs to."""


class Dump(Protocol):
    """A dump, opened. It is a context manager, and is an `AddressSpace` or a `PhysicalDump` too."""

    @property
    def path(self) -> Path:
        """The file, as it was given."""

    @property
    def kind(self) -> str:
        """Name of its kind, which is that of a group of commands: `minidump`, `kernel`."""

    @property
    def format(self) -> str:
        """What it is, in words, e.g. `minidump` or `kernel: LiME`."""

    @property
    def searchable_bytes(self) -> int:
        """Bytes that one search pass reads: each byte of memory in the dump once."""

    @property
    def damage(self) -> Sequence[str]:
        """What is damaged so that results are partial, as far as it has been noticed, a sentence each."""

    @property
    def warnings(self) -> Sequence[str]:
        """What a user should know beside the damage, as far as it has been noticed, a sentence each."""

    @property
    def captured(self) -> datetime | None:
        """When the dump was made by its own account, UTC; None where it does not say."""

    def describe(self) -> dict[str, object]:
        """Return what the dump says of itself, as plain values, dicts and lists."""

    def processes(
        self, *, pids: Sequence[int] = (), names: Sequence[str] = (), environment: bool = False
    ) -> Sequence[Process]:
        """List the processes in the dump, with their command lines.

        Args:
            pids: Only these ids.
            names: Only names that match one of these patterns, or have one of these words in them (see `name_matches`).
            environment: Whether environments are needed; a dump that has them at hand may return them anyway.

        Raises:
            NoSuchProcessError: The filters fit no process.
            InputError: The processes cannot be listed.
        """

    def rename(self, path: Path) -> None:
        """Go by another name from now on: that of the archive that the file was unpacked from."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ProcessDump(Dump, AddressSpace, Protocol):
    """A dump of one process: its addresses are those that the program used."""

    @property
    def overlays(self) -> Sequence[Overlay]:
        """Other views of the memory, where the dump has different bytes for one address; nearly always none."""

    @property
    def module_names(self) -> Sequence[str]:
        """Names and paths of the process's modules, as debuggers show them."""

    @property
    def read_only_files(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The first address and the address past the last of each range of a file that the process could only read.

        There are none where the dump does not tell.
        """


class Overlay(AddressSpace, Protocol):
    """A view of a dump's memory in which some ranges have other bytes."""

    @property
    def contradicting(self) -> Sequence[Region]:
        """Those ranges, by ascending address; they are what is to be searched of it."""


class PhysicalDump(Dump, Protocol):
    """A dump of physical memory, with the page tables that say who sees what of it."""

    physical: PhysicalImage

    @property
    def missing_tables(self) -> Sequence[MissingTable]:
        """Return the symbol tables that were looked for in vain."""

    def symbols_states(self) -> list[SymbolsState]:
        """Say which symbol tables the image needs, and whether they are there."""

    def page_map(self, *, pids: Sequence[int] = (), names: Sequence[str] = ()) -> PageMap:
        """Walk the page tables of these processes.

        Raises:
            NoSuchProcessError: The filters fit no process.
            InputError: The processes or their tables are not known.
        """

    def best_page_map(self) -> PageMap:
        """Walk all page tables that are known, those of unknown processes too.

        Raises:
            InputError: There are none.
        """

    def make_table(self, *, whole: bool = False) -> tuple[str, bytes]:
        """Make a symbol table for volatility3 out of the image (see `KernelProfile`).

        Raises:
            InputError: There is no kernel, or one that does not carry its types in memory.
        """

    def cached_files(self) -> CachedFiles | None:
        """Return the files in memory; None where they are not known."""

    def page_use(self, physical: int) -> PageUse | None:
        """Return what the page at a physical address is used for; None where that is not known."""


def is_physical(dump: object) -> TypeIs[PhysicalDump]:
    """Say whether a dump is one of physical memory."""
    return hasattr(dump, "physical")


def name_matches(name: str, pattern: str) -> bool:
    """Say whether a process's name matches a pattern (`*`, `?`, `[...]`), or has a word without wildcards in it.

    Case does not count.
    """
    name, pattern = name.lower(), pattern.lower()
    if any(wildcard in pattern for wildcard in "*?["):
        return fnmatchcase(name, pattern)
    return bool(pattern) and pattern in name


def the_one_process(path: Path, process: Process, pids: Sequence[int], names: Sequence[str]) -> tuple[Process, ...]:
    """Return the process of a dump that has only one.

    Raises:
        NoSuchProcessError: The filters do not fit it.
    """
    chosen = process.pid in pids or any(name_matches(process.name or "", pattern) for pattern in names)
    if (pids or names) and not chosen:
        raise NoSuchProcessError(f"{path}: its process is {process.pid} ({process.name}), not the one asked for")
    return (process,)
