"""What the facade of a kernel image asks of an operating system: the seam behind which each has a folder.

A profile knows one operating system: how its kernel is found in physical memory, where its symbols come from, how its
processes are listed and described, and which page tables are whose. It finds everything when it is first asked for. A
new operating system is a folder beside `windows/` and an entry in `dumpscan.memory.kernel.systems`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from dumpscan.findings import Process
    from dumpscan.memory.dump import CachedFiles, PageUse
    from dumpscan.memory.kernel.budget import TextBudgets
    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.physical.page_map import PageMap
    from dumpscan.memory.symbols.errors import MissingTable
    from dumpscan.memory.symbols.store import SymbolsState


@dataclass(slots=True, kw_only=True)
class ImageContext:
    """An opened image, and what its user wants; shared by the facade and the profile.

    Attributes:
        path: The image, by the name that it goes by.
        physical: Its physical memory.
        symbols: Directories (or files) of symbol tables that the user named.
        offline: Whether to stay off the network.
        cache_dir: Directory for what is remembered of images; None for the platform's.
        warnings: What a user should know, a sentence each; a profile adds to it.
        damage: What is damaged or was left out, a sentence each; a profile adds to it.
        missing_tables: Symbol tables that were looked for in vain; a profile adds to it.
    """

    path: Path
    physical: PhysicalImage
    symbols: tuple[Path, ...] = ()
    offline: bool = True
    cache_dir: Path | None = None
    warnings: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    missing_tables: list[MissingTable] = field(default_factory=list)

    def warn(self, sentence: str) -> None:
        """Add a warning, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)


@dataclass(frozen=True, slots=True)
class ListedProcess:
    """A process in the kernel's list.

    Attributes:
        process: The record, without command line and environment.
        root: Frame of its top-level page table; None if it has none any more.
        user_block: Address in its own memory from where its command line is read (Windows: the process environment
            block); 0 if it has none.
        address: Virtual address of the kernel's structure for it (Windows: EPROCESS), without sign extension.
        user_block_32: Address of a second such block, that of a 32-bit process on a 64-bit system; 0 if it has none.
    """

    process: Process
    root: int | None
    user_block: int
    address: int
    user_block_32: int = 0

    @property
    def ended(self) -> bool:
        """Whether it has exited."""
        return self.process.exited is not None


class KernelProfile(Protocol):
    """A kernel of one operating system in one image. It is constructed from an `ImageContext`."""

    def is_found(self) -> bool:
        """Return whether a kernel of this system is in the image, or the remains of one."""

    def search_further(self) -> bool:
        """Look for a kernel in ways that take longer, where no system's was found; return whether there is one."""

    def describe(self) -> dict[str, object]:
        """Return the parts `kernel`, `system` and `symbols` of the image's description, as plain values.

        What needs a symbol table that is missing is left out, with a warning.

        Raises:
            InputError: There is no kernel. Its text says what was looked for.
        """

    def captured(self) -> datetime | None:
        """Return the time on the kernel's clock, UTC; None if there is no kernel, or it is not known."""

    def symbols_states(self) -> list[SymbolsState]:
        """Return which symbol tables the image needs; none if its symbols are in the image itself.

        This must not take long. If nothing is known, there is one state that says why.
        """

    def make_table(self, *, whole: bool) -> tuple[str, bytes]:
        """Make a symbol table (ISF) for volatility3 out of what the kernel says of itself.

        Args:
            whole: Whether all types and symbols go in, or what the usual plugins need.

        Returns:
            The path that it belongs under in a directory of tables, and its text.

        Raises:
            InputError: There is no kernel, or one that does not carry its types in memory.
        """

    def list_processes(self) -> tuple[ListedProcess, ...]:
        """List all processes in the kernel's order.

        Raises:
            InputError: There is no kernel, or its list cannot be read.
            SymbolsMissingError: Its symbol table is not there.
        """

    def list_unlisted(self, listed: Sequence[ListedProcess]) -> tuple[ListedProcess, ...]:
        """Find processes that the kernel's list does not have; this may take a pass over all memory.

        Args:
            listed: From `list_processes`.
        """

    def describe_process(self, listed: ListedProcess, budgets: TextBudgets, *, environment: bool) -> Process:
        """Return a listed process with its image path and command line, and its environment if wanted.

        Args:
            listed: From `list_processes`.
            budgets: Limits on the text of all processes together; what is left out is noted in the process.
            environment: Whether to read the environment.
        """

    def walk(self, chosen: Sequence[ListedProcess]) -> PageMap:
        """Walk the page tables of some processes, and those of the kernel.

        Raises:
            InputError: There is no kernel, or its page tables are of a kind that is not understood.
        """

    def walk_unlisted(self) -> PageMap:
        """Walk the page tables that are found in memory, without knowing whose they are.

        Raises:
            InputError: As for `walk`.
        """

    def cached_files(self) -> CachedFiles | None:
        """Return the files that the system keeps in memory; None where they are not known."""

    def page_use(self, physical: int) -> PageUse | None:
        """Return what the page at a physical address is used for; None where that is not known."""
