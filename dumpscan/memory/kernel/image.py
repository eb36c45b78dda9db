"""A Windows kernel image, opened once: its physical memory, its kernel, its processes, and who maps what.

Everything is found when it is first asked for. Physical memory alone needs no kernel; processes need its symbol table.
"""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from dumpscan.exceptions import DumpscanError, InputError
from dumpscan.findings import Process
from dumpscan.memory import volatility
from dumpscan.memory.kernel.cache import KernelCache
from dumpscan.memory.kernel.info import describe
from dumpscan.memory.kernel.selection import select, with_tables
from dumpscan.memory.kernel.windows.finder import (
    X64_LAYER,
    Kernel,
    find_kernels,
    may_have_other_kernel,
    scan_records,
    top_tables,
)
from dumpscan.memory.kernel.windows.processes import (
    ListedProcess,
    count_broken_links,
    describe_process,
    is_plausible,
    list_processes,
)
from dumpscan.memory.kernel.windows.session import KernelSession, adopted_kernel, image_path, search
from dumpscan.memory.physical.containers import RAW, open_image
from dumpscan.memory.physical.page_map import Owner, PageMap
from dumpscan.memory.symbols.store import MissingTable, SymbolsError, SymbolsMissingError, SymbolsState, SymbolStore
from dumpscan.model.windows.c_paging import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from dumpscan.memory.kernel.windows.finder import PdbRecord
    from dumpscan.memory.volatility import Volatility

KERNEL_PROCESS = Process(pid=4, name="kernel", architecture="x64")
"""Whose the kernel's half of memory is. Windows' System process has the same id."""

_MAX_TABLES = 4096
"""Processes taken from page tables alone."""
_NAMED = 5
"""Processes named in one sentence."""
_LINUX = b"Linux version "


class KernelImage:
    """An image of a Windows machine's physical memory.

    Args:
        path: The image, in any format that volatility3 reads.
        symbols: Directories (or files) of symbol tables, to be looked at before all others.
        offline: Whether to stay off the network. Otherwise a symbol table that is missing is fetched from Microsoft's
            symbol server, once, and kept.
        cache_dir: Directory for what is remembered; by default the platform's.

    Attributes:
        physical: Physical memory (an `AddressSpace` by physical address).
        warnings: What a user should know, a sentence each; volatility3's warnings are among them.

    Raises:
        InputError: The file is no image of physical memory.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        symbols: Sequence[Path] = (),
        offline: bool = True,
        cache_dir: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self._damage: list[str] = []
        self._offline = offline
        self._cache_dir = cache_dir
        volatility.load(cache_dir)
        self.physical = open_image(self.path, self.warnings)
        self._store = SymbolStore(symbols, cache_dir)
        self._missing: list[MissingTable] = []
        self._tables: dict[PdbRecord, Path] = {}
        self._adopted: KernelSession | None = None

    @classmethod
    def adopt(cls, context: Volatility, module: str) -> Self:
        """Open an image of which volatility3 has found everything already: we run inside one of its plugins.

        Args:
            context: The plugin's context.
            module: Name of the kernel module in it.

        Raises:
            InputError: The image is no local file.
        """
        session = KernelSession(context, module)
        image = cls(image_path(session))
        image._adopted = session
        return image

    def rename(self, path: Path) -> None:
        """Go by another name from now on (see `dumpscan.memory.dump.Dump`)."""
        self.path = path
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

    kind = "kernel"

    @property
    def format(self) -> str:
        """What the image is, in words."""
        return f"kernel: {self.physical.format}"

    @property
    def searchable_bytes(self) -> int:
        """Bytes of physical memory in the image."""
        return self.physical.size

    def has_kernel(self) -> bool:
        """Say whether a kernel is in it, or the remains of one; a container's word is taken for it."""
        return self.physical.format != RAW or bool(self.kernels) or self.symbols_state().pdb is not None

    # --- What is wrong -----------------------------------------------------------------------------------------------

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged so that results are partial, as far as it has been noticed, a sentence each."""
        return tuple(dict.fromkeys([*self.physical.problems, *self.physical.regions.problems, *self._damage]))

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    # --- The kernel --------------------------------------------------------------------------------------------------

    @cached_property
    def kernels(self) -> list[Kernel]:
        """The kernels in the image, the likeliest first; empty if there is none."""
        if self._adopted is not None:
            return [adopted_kernel(self._adopted, self.physical)]
        cache = KernelCache(self.physical, self._cache_dir)
        found = cache.load()
        if found is None:
            found = find_kernels(self.physical)
            if not found and may_have_other_kernel(self.physical):
                with volatility.listening(self.warnings):
                    other = search(self.physical)
                found = [other] if other else []
            cache.save(found)
        return found

    @cached_property
    def kernel(self) -> Kernel:
        """The kernel that is used.

        Raises:
            InputError: There is none.
        """
        if not self.kernels:
            raise InputError(self.path, self._why_no_kernel())
        chosen = self._chosen[0]
        if len(self.kernels) > 1:
            others = ", ".join(f"{other.base:#x} ({other.pdb.guid})" for other in self.kernels if other != chosen)
            self._warn(f"remains of {len(self.kernels)} kernels: the one at {chosen.base:#x} is used, not {others}")
        return chosen

    @cached_property
    def _chosen(self) -> tuple[Kernel, KernelSession | None]:
        """The first kernel whose symbol table is there and whose list of processes makes sense."""
        fallback: tuple[Kernel, KernelSession | None] | None = None
        for kernel in self.kernels:
            session = self._open_session(kernel)
            if session is None:
                continue
            if len(self.kernels) == 1 or session.has_processes():
                return kernel, session
            fallback = fallback or (kernel, session)
        return fallback or (self.kernels[0], None)

    def _open_session(self, kernel: Kernel) -> KernelSession | None:
        if self._adopted is not None:
            return self._adopted
        table = self._store.find(kernel.pdb)
        if table is None and not self._offline:
            table = self._download(kernel)
        if table is None:
            self._missing.append(MissingTable(kernel.pdb))
            return None
        try:
            with volatility.listening(self.warnings):
                session = KernelSession.build(self.physical, kernel, table)
        except Exception as error:  # noqa: BLE001 - whatever a table that is none makes volatility3 raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            self._store.problems.append(f"{table}: cannot be used: {reason}")
            self._missing.append(MissingTable(kernel.pdb, table))
            return None
        self._tables[kernel.pdb] = table
        return session

    def _download(self, kernel: Kernel) -> Path | None:
        from dumpscan.memory.symbols.server import download  # noqa: PLC0415 - nothing else needs the network

        try:
            return download(kernel.pdb)
        except DumpscanError as error:
            self._warn(str(error))
            return None

    @cached_property
    def session(self) -> KernelSession:
        """The volatility3 session, shared by all that needs one.

        Raises:
            InputError: There is no kernel.
            SymbolsMissingError: Its symbol table is not there.
        """
        kernel = self.kernel
        session = self._chosen[1]
        if session is None:
            raise SymbolsMissingError(self.path, kernel.pdb, self._store.problems, self._missing)
        for problem in self._store.problems:
            self._warn(problem)
        return session

    def _why_no_kernel(self) -> str:
        found = scan_records(self.physical)
        if found:
            names = ", ".join(f"{record.name} {record.guid} age {record.age}" for record in found)
            return f"no page tables of a Windows kernel in it, though one was there ({names}): is the image cut short?"
        if self.physical.contains(_LINUX):
            return "no Windows kernel in it, but a Linux one: only Windows is understood"
        return "no Windows kernel in it: expected its page tables and its program in physical memory"

    # --- Processes ---------------------------------------------------------------------------------------------------

    @cached_property
    def listed(self) -> tuple[ListedProcess, ...]:
        """All processes in volatility3's order, without what their own memory says."""
        session = self.session
        try:
            with volatility.listening(self.warnings):
                found = tuple(list_processes(session, self._damage))
        except DumpscanError:
            raise
        except Exception as error:  # whatever a table that lacks things makes volatility3 raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            pdb = self.kernel.pdb
            raise SymbolsError(
                self.path,
                f"its symbol table {session.table} cannot be used: {reason}",
                [MissingTable(pdb, self._tables[pdb])] if pdb in self._tables else (),
            ) from error
        if not found:
            self._damage.append("the list of processes is empty: does the symbol table belong to this kernel?")
        odd = sum(not is_plausible(entry.process) for entry in found)
        if odd * 2 > len(found):
            self._damage.append(
                f"{odd} of {len(found)} processes make no sense: does the symbol table belong to this kernel?"
            )
        if broken := count_broken_links(self.session, found):
            self._damage.append(f"the list of processes is broken at {broken} of {len(found)}: some may be missing")
        lost = [entry.process for entry in found if entry.root is not None and not entry.ended and not self._has(entry)]
        if lost:
            named = ", ".join(f"{process.pid} ({process.name})" for process in lost[:_NAMED])
            more = f" and {len(lost) - _NAMED} others" if len(lost) > _NAMED else ""
            self._damage.append(f"page tables that are not in the image: those of processes {named}{more}")
        return found

    def _has(self, entry: ListedProcess) -> bool:
        return bool(self.physical.present(np.array([entry.root], np.int64))[0])

    def processes(
        self, *, pids: Sequence[int] = (), names: Sequence[str] = (), environment: bool = False
    ) -> list[Process]:
        """List processes with their command lines.

        Args:
            pids: Only these ids.
            names: Only names that match one of these patterns (`*`, `?`, `[...]`; case does not count).
            environment: Whether to read environments too.

        Raises:
            InputError: There is no kernel, or no symbol table (`SymbolsMissingError`).
            UsageError: There is no such process.
        """
        chosen = select(self.listed, pids, names, self._executable)
        return [describe_process(self.physical, entry, environment=environment) for entry in chosen]

    def _executable(self, entry: ListedProcess) -> str | None:
        return describe_process(self.physical, entry, environment=False).executable

    def page_map(self, *, pids: Sequence[int] = (), names: Sequence[str] = ()) -> PageMap:
        """Walk the page tables of processes, and of the kernel.

        Args:
            pids: Only these processes, and the kernel's half for what they share.
            names: As for `processes`.

        Raises:
            InputError: As for `processes`; also for 32-bit kernels, whose tables are not understood.
            UsageError: There is no such process.
        """
        kernel = self.kernel
        if kernel.layer != X64_LAYER:
            raise InputError(
                self.path, f"its page tables are of another kind ({kernel.layer}); only x64 ones are walked"
            )
        root = kernel.root >> PAGE_SHIFT
        owners = [Owner(KERNEL_PROCESS, root, kernel=True)]
        chosen = select(self.listed, pids, names, self._executable)
        for entry, table in with_tables(self.physical, chosen, root, self._damage):
            owners.append(Owner(entry.process, table))
            owners.append(Owner(KERNEL_PROCESS, table, kernel=True))
        return self._walked(owners)

    def best_page_map(self) -> PageMap:
        """Walk all page tables; without a symbol table, those that are found in memory, whose processes are not known.

        Raises:
            InputError: There is no kernel, or a 32-bit one.
        """
        try:
            return self.page_map()
        except SymbolsMissingError as error:
            self._warn(f"processes are known only by their page tables: {error.problem}")
        kernel = self.kernel
        owners = [Owner(KERNEL_PROCESS, kernel.root >> PAGE_SHIFT, kernel=True)]
        for table in islice(top_tables(self.physical, 0, None), _MAX_TABLES):
            if table.index == kernel.self_index:
                unknown = Process(notes=(f"known only by its page tables at {table.frame << PAGE_SHIFT:#x}",))
                owners += [Owner(unknown, table.frame), Owner(KERNEL_PROCESS, table.frame, kernel=True)]
        return self._walked(owners)

    def _walked(self, owners: list[Owner]) -> PageMap:
        made = PageMap(self.physical, owners, self_index=self.kernel.self_index)
        self._damage += made.problems
        return made

    # --- Summary -----------------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, object]:
        """Return what the image is, as plain values, dicts and lists; without a symbol table, what can be said so.

        Raises:
            InputError: There is no kernel.
        """
        return describe(self)

    def symbols_states(self) -> list[SymbolsState]:
        """Say which symbol tables the image needs, one for each kernel in it, and whether they are there.

        This takes no volatility3 session. Where nothing is known there is one state that says why.
        """
        if self.kernels:
            records = list(dict.fromkeys(kernel.pdb for kernel in self.kernels))
            doubt = f"remains of {len(records)} kernels" if records[1:] else None
        else:
            records = scan_records(self.physical)
            doubt = "found in memory, but no page tables with it"
        states = [SymbolsState(self.path, record, self._store.find(record), doubt) for record in records]
        return states or [SymbolsState(self.path, None, problem=self._why_no_kernel())]

    def symbols_state(self) -> SymbolsState:
        """Return the first of `symbols_states`: that of the kernel which is used, most likely."""
        return self.symbols_states()[0]
