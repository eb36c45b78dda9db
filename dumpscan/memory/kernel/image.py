"""An image of physical memory, opened once: its memory, its kernel, its processes, and who maps what.

Everything is found when it is first asked for. Physical memory alone needs no kernel. What the kernel of an operating
system looks like is the business of its `KernelProfile`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.kernel import systems
from dumpscan.memory.kernel.budget import TextBudgets
from dumpscan.memory.kernel.cache import ImageCache
from dumpscan.memory.kernel.profile import ImageContext
from dumpscan.memory.kernel.selection import select
from dumpscan.memory.physical.containers import RAW, open_image
from dumpscan.memory.physical.page_statistics import describe_pages
from dumpscan.memory.symbols.store import SymbolsMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from types import TracebackType

    from dumpscan.findings import Process
    from dumpscan.memory.dump import CachedFiles, PageUse
    from dumpscan.memory.kernel.profile import KernelProfile, ListedProcess
    from dumpscan.memory.physical.page_map import PageMap
    from dumpscan.memory.symbols.errors import MissingTable
    from dumpscan.memory.symbols.store import SymbolsState
    from dumpscan.memory.volatility import Volatility


class KernelImage:
    """An image of a machine's physical memory (a `dumpscan.memory.dump.PhysicalDump`).

    Args:
        path: The image, in any format that is known.
        symbols: Directories (or files) of symbol tables, searched before all others.
        offline: Whether to stay off the network. Otherwise a missing symbol table is downloaded from Microsoft's
            symbol server, once, and kept.
        cache_dir: Directory for what is remembered of images; by default the platform's.
        scratch: Directory to unpack compressed images into; by default, they are unpacked into memory.

    Attributes:
        physical: Physical memory (an `AddressSpace` by physical address).
        warnings: What a user should know, a sentence each; volatility3's warnings are among them.

    Raises:
        InputError: The file is no image of physical memory.
    """

    kind = "kernel"

    def __init__(
        self,
        path: Path | str,
        *,
        symbols: Sequence[Path] = (),
        offline: bool = True,
        cache_dir: Path | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        remembered = ImageCache(self.path, "container", cache_dir)
        self.physical = open_image(self.path, self.warnings, scratch, remembered)
        self._context = ImageContext(
            path=self.path,
            physical=self.physical,
            symbols=tuple(symbols),
            offline=offline,
            cache_dir=cache_dir,
            warnings=self.warnings,
        )
        self._find_profile: Callable[[ImageContext], KernelProfile] = systems.find_profile

    @classmethod
    def adopt(cls, context: Volatility, module: str) -> Self:
        """Open an image in which volatility3 has found the kernel already: dumpscan runs inside one of its plugins.

        Args:
            context: The plugin's context.
            module: Name of the kernel module in it.

        Raises:
            InputError: The image is not a local file.
        """
        path, profile = systems.adopt(context, module)
        image = cls(path)
        image._find_profile = profile
        return image

    def rename(self, path: Path) -> None:
        """Go by another name from now on (see `dumpscan.memory.dump.Dump`)."""
        self.path = self._context.path = path
        self.physical.rename(path)

    def close(self) -> None:
        """Unmap the file."""
        self.physical.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def format(self) -> str:
        """What the image is, in words."""
        return f"kernel: {self.physical.format}"

    @property
    def searchable_bytes(self) -> int:
        """Bytes of physical memory in the image."""
        return self.physical.size

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged or was left out, as far as it has been noticed, a sentence each."""
        return tuple(dict.fromkeys([*self.physical.problems, *self.physical.regions.problems, *self._context.damage]))

    @property
    def missing_tables(self) -> tuple[MissingTable, ...]:
        """The symbol tables that were looked for in vain: without one, processes are known by page tables alone."""
        return tuple(self._context.missing_tables)

    # --- The kernel --------------------------------------------------------------------------------------------------

    @cached_property
    def profile(self) -> KernelProfile:
        """The profile of the operating system whose kernel is in the image."""
        return self._find_profile(self._context)

    def has_kernel(self) -> bool:
        """Return whether a kernel is in the image, or the remains of one; for a container, this is assumed."""
        return self.physical.format != RAW or self.profile.is_found()

    def symbols_states(self) -> list[SymbolsState]:
        """Return which symbol tables the image needs, and whether they are there (see `KernelProfile`)."""
        return self.profile.symbols_states()

    def make_table(self, *, whole: bool = False) -> tuple[str, bytes]:
        """Make a symbol table (ISF) for volatility3 out of the image (see `KernelProfile`).

        Raises:
            InputError: There is no kernel, or one that does not carry its types in memory.
        """
        return self.profile.make_table(whole=whole)

    @property
    def captured(self) -> datetime | None:
        """When the image was made: the time on the kernel's clock, else what the container says; None if neither."""
        try:
            return self.profile.captured() or self.physical.captured
        except DumpscanError:
            return self.physical.captured

    def describe(self) -> dict[str, object]:
        """Return what the image is, as plain values, dicts and lists. Without a symbol table, processes are left out.

        Raises:
            InputError: There is no kernel.
        """
        physical = self.physical
        result: dict[str, object] = {
            "format": physical.format,
            "physical_memory": {"bytes": physical.size, "runs": len(physical.regions), "end": hex(physical.end)},
            **self.profile.describe(),
        }
        try:
            result["processes"] = len(self.listed)
        except SymbolsMissingError:
            return result  # `symbols` says so
        try:
            result["pages"] = describe_pages(self.page_map())
        except DumpscanError as error:
            self._context.warn(str(error))
        return result

    # --- Processes ---------------------------------------------------------------------------------------------------

    @cached_property
    def listed(self) -> tuple[ListedProcess, ...]:
        """All processes in the kernel's order, without what their own memory says."""
        return self.profile.list_processes()

    @cached_property
    def known(self) -> tuple[ListedProcess, ...]:
        """All processes: those in the kernel's list, then those found elsewhere in memory."""
        return (*self.listed, *self.profile.list_unlisted(self.listed))

    def processes(
        self, *, pids: Sequence[int] = (), names: Sequence[str] = (), environment: bool = False
    ) -> list[Process]:
        """List processes with their command lines.

        Args:
            pids: Only these ids.
            names: Only names that match one of these patterns, or have one of these words in them (see `name_matches`).
            environment: Whether to read environments too.

        Raises:
            InputError: There is no kernel, or no symbol table (`SymbolsMissingError`).
            NoSuchProcessError: There is no such process.
        """
        budgets = TextBudgets(self.physical.size)
        found = [
            self.profile.describe_process(entry, budgets, environment=environment)
            for entry in self._select(pids, names)
        ]
        self._context.damage.extend(budgets.problems)
        return found

    def _select(self, pids: Sequence[int], names: Sequence[str]) -> list[ListedProcess]:
        budgets = TextBudgets(self.physical.size)

        def executable(entry: ListedProcess) -> str | None:
            return self.profile.describe_process(entry, budgets, environment=False).executable

        # Looking for those that the list does not have takes a pass over all memory.
        listed = bool(pids) and not names and set(pids) <= {entry.process.pid for entry in self.listed}
        return select(self.listed if listed else self.known, pids, names, executable)

    # --- Page tables -------------------------------------------------------------------------------------------------

    def page_map(self, *, pids: Sequence[int] = (), names: Sequence[str] = ()) -> PageMap:
        """Walk the page tables of processes, and of the kernel.

        Args:
            pids: Only these processes, and the kernel's half, which they share.
            names: As for `processes`.

        Raises:
            InputError: As for `processes`; also for 32-bit kernels, whose tables are not understood.
            NoSuchProcessError: There is no such process.
        """
        return self.profile.walk(self._select(pids, names))

    def best_page_map(self) -> PageMap:
        """Walk all page tables. Without a symbol table, those found in memory are walked; their processes are unknown.

        Raises:
            InputError: There is no kernel, or a 32-bit one.
        """
        try:
            return self.page_map()
        except SymbolsMissingError:
            pass  # `missing_tables` says so
        return self.profile.walk_unlisted()

    def cached_files(self) -> CachedFiles | None:
        """Return the files that the system keeps in memory; None where they are not known."""
        return self.profile.cached_files()

    def page_use(self, physical: int) -> PageUse | None:
        """Return what the page at a physical address is used for; None where that is not known."""
        return self.profile.page_use(physical)
