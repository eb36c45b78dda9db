"""Windows kernels behind the facade of a kernel image (a `KernelProfile`).

The kernel is found in physical memory without symbols; its processes need its symbol table, and are listed by
volatility3's plugins.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import DumpscanError, InputError
from dumpscan.findings import Process
from dumpscan.memory import volatility
from dumpscan.memory.kernel.foreign import foreign_system
from dumpscan.memory.kernel.windows.cache import KernelCache
from dumpscan.memory.kernel.windows.finder import (
    X64_LAYER,
    find_kernels,
    may_have_other_kernel,
    scan_records,
    top_tables,
)
from dumpscan.memory.kernel.windows.info import build_lab, describe_kernel, describe_system, system_time
from dumpscan.memory.kernel.windows.parameters import describe_process
from dumpscan.memory.kernel.windows.process_tables import with_tables
from dumpscan.memory.kernel.windows.processes import (
    count_broken_links,
    is_plausible,
    list_processes,
)
from dumpscan.memory.kernel.windows.session import KernelSession, adopted_kernel, image_path, search
from dumpscan.memory.kernel.windows.unlisted import UnlistedProcesses
from dumpscan.memory.physical.page_map import Owner, PageMap
from dumpscan.memory.symbols.errors import MissingTable, SymbolsError
from dumpscan.memory.symbols.store import SymbolsMissingError, SymbolsState, SymbolStore
from dumpscan.model.windows.c_paging import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from dumpscan.memory.kernel.budget import TextBudgets
    from dumpscan.memory.kernel.profile import ImageContext, ListedProcess
    from dumpscan.memory.kernel.windows.finder import Kernel
    from dumpscan.memory.symbols.pdb import PdbRecord
    from dumpscan.memory.volatility import Volatility

KERNEL_PROCESS = Process(pid=4, name="kernel", architecture="x64")
"""Owner of the kernel's half of memory. Windows' System process has the same id."""

_MAX_TABLES = 4096
"""Processes that are known by their page tables alone."""
_NAMED = 5
"""Processes named in one sentence."""
_LINUX = b"Linux version "


class WindowsProfile:
    """The Windows kernel of an image.

    Args:
        context: The image.
        adopted: A volatility3 session over the same image, in which its kernel is known already.
    """

    def __init__(self, context: ImageContext, adopted: KernelSession | None = None) -> None:
        volatility.load(context.cache_dir)
        self._context = context
        self._image = context.physical
        self._adopted = adopted
        self._store = SymbolStore(context.symbols, context.cache_dir)
        self._missing: list[MissingTable] = []
        self._tables: dict[PdbRecord, Path] = {}

    # --- The kernel --------------------------------------------------------------------------------------------------

    @cached_property
    def kernels(self) -> list[Kernel]:
        """The kernels in the image, the likeliest first; empty if there is none."""
        if self._adopted is not None:
            return [adopted_kernel(self._adopted, self._image)]
        cache = KernelCache(self._image, self._context.cache_dir)
        found = cache.load()
        if found is None:
            found = find_kernels(self._image)
            if not found and may_have_other_kernel(self._image):
                with volatility.listening(self._context.warnings):
                    other = search(self._image)
                found = [other] if other else []
            cache.save(found)
        return found

    @cached_property
    def _records(self) -> list[PdbRecord]:
        """PDB records of kernels anywhere in memory: the remains of kernels whose page tables are not there."""
        return scan_records(self._image)

    def is_found(self) -> bool:
        """Return whether there is a Windows kernel, or the PDB record of one (see `KernelProfile`)."""
        return bool(self.kernels or self._records)

    def search_further(self) -> bool:
        """Return False: everything has been tried (see `KernelProfile`)."""
        return False

    @cached_property
    def kernel(self) -> Kernel:
        """The kernel that is used.

        Raises:
            InputError: There is none.
        """
        if not self.kernels:
            raise InputError(self._context.path, self._why_no_kernel())
        chosen = self._chosen[0]
        if len(self.kernels) > 1:
            others = ", ".join(f"{other.base:#x} ({other.pdb.guid})" for other in self.kernels if other != chosen)
            self._context.warn(
                f"remains of {len(self.kernels)} kernels: the one at {chosen.base:#x} is used, not {others}"
            )
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
        if table is None and not self._context.offline:
            table = self._download(kernel)
        if table is None:
            self._missing.append(MissingTable(kernel.pdb))
            return None
        try:
            with volatility.listening(self._context.warnings):
                session = KernelSession.build(self._image, kernel, table)
                session.has_processes()  # a table with symbols that make no sense fails here
        except Exception as error:  # noqa: BLE001 - a file that is not a table makes volatility3 raise anything
            self._store.problems.append(f"{table}: cannot be used: {volatility.words(error)}")
            self._missing.append(MissingTable(kernel.pdb, table))
            return None
        self._tables[kernel.pdb] = table
        return session

    def _download(self, kernel: Kernel) -> Path | None:
        from dumpscan.memory.symbols.server import download  # noqa: PLC0415 - nothing else needs the network

        try:
            return download(kernel.pdb)
        except DumpscanError as error:
            self._context.warn(str(error))
            return None

    @cached_property
    def session(self) -> KernelSession:
        """The volatility3 session, shared by everything that needs one.

        Raises:
            InputError: There is no kernel.
            SymbolsMissingError: Its symbol table is not there.
        """
        kernel = self.kernel
        session = self._chosen[1]
        if session is None:
            self._context.missing_tables[:] = self._missing
            raise SymbolsMissingError(self._context.path, kernel.pdb, self._store.problems, self._missing)
        for problem in self._store.problems:
            self._context.warn(problem)
        return session

    def _why_no_kernel(self) -> str:
        if self._records:
            names = ", ".join(f"{record.name} {record.guid} age {record.age}" for record in self._records)
            return f"no page tables of a Windows kernel in it, though one was there ({names}): is the image cut short?"
        if other := foreign_system(self._image):
            return f"no Windows kernel in it, but one of {other}, which is not understood"
        if self._image.contains(_LINUX):
            return "no Windows kernel in it, but a Linux one, of which neither VMCOREINFO nor symbols are there"
        return "no Windows kernel in it: expected its page tables and its program in physical memory"

    def symbols_states(self) -> list[SymbolsState]:
        """Return one state for each kernel in the image (see `KernelProfile`)."""
        if self.kernels:
            records = list(dict.fromkeys(kernel.pdb for kernel in self.kernels))
            doubt = f"remains of {len(records)} kernels" if records[1:] else None
        else:
            records = self._records
            doubt = "found in memory, but no page tables with it"
        path = self._context.path
        states = [SymbolsState(path, record, self._store.find(record), doubt) for record in records]
        return states or [SymbolsState(path, None, problem=self._why_no_kernel())]

    def make_table(self, *, whole: bool) -> tuple[str, bytes]:  # noqa: ARG002 - the Protocol's
        """Refuse: a Windows kernel does not carry its types in memory (see `KernelProfile`)."""
        pdb = self.kernel.pdb
        problem = f"the symbol table of a Windows kernel is made of its PDB ({pdb.name} {pdb.guid}), not of an image"
        raise InputError(self._context.path, f"{problem}: see `dumpscan symbols needed`")

    def captured(self) -> datetime | None:
        """Return the time in KUSER_SHARED_DATA (see `KernelProfile`)."""
        return system_time(self._image, self.kernel) if self.kernels else None

    def describe(self) -> dict[str, object]:
        """Return the kernel, its system, and the state of its symbols (see `KernelProfile`)."""
        kernel = self.kernel
        system = describe_system(self._image, kernel)
        symbols: dict[str, object]
        try:
            session = self.session
        except SymbolsMissingError:
            symbols = {"state": "missing", "server_path": kernel.pdb.server_path}
        else:
            symbols = {"state": "present", "table": session.table}
            with self._using_table():
                if lab := build_lab(session):
                    system["build"] = lab
        return {"kernel": describe_kernel(kernel), "system": system, "symbols": symbols}

    # --- Processes ---------------------------------------------------------------------------------------------------

    def list_processes(self) -> tuple[ListedProcess, ...]:
        """List the processes in volatility3's order (see `KernelProfile`)."""
        session = self.session
        damage = self._context.damage
        with self._using_table():
            found = tuple(list_processes(session, self._image.size, damage))
            broken = count_broken_links(session, found)
        if not found:
            damage.append("the list of processes is empty: does the symbol table belong to this kernel?")
        odd = sum(not is_plausible(entry.process) for entry in found)
        if odd * 2 > len(found):
            damage.append(
                f"{odd} of {len(found)} processes make no sense: does the symbol table belong to this kernel?"
            )
        if broken:
            damage.append(f"the list of processes is broken at {broken} of {len(found)}: some may be missing")
        lost = [entry.process for entry in found if entry.root is not None and not entry.ended and not self._has(entry)]
        if lost:
            named = ", ".join(f"{process.pid} ({process.name})" for process in lost[:_NAMED])
            more = f" and {len(lost) - _NAMED} others" if len(lost) > _NAMED else ""
            damage.append(f"page tables that are not in the image: those of processes {named}{more}")
        return found

    def list_unlisted(self, listed: Sequence[ListedProcess]) -> tuple[ListedProcess, ...]:
        """Find processes by their records and page tables (see `KernelProfile`)."""
        kernel = self.kernel
        if kernel.layer != X64_LAYER or kernel.self_index is None:
            return ()
        session = self.session
        with self._using_table():
            return UnlistedProcesses(self._image, kernel, session, self._context.cache_dir).find(listed)

    @contextmanager
    def _using_table(self) -> Iterator[None]:
        """Raise SymbolsError for whatever volatility3 raises, and pass its warnings on."""
        try:
            with volatility.listening(self._context.warnings):
                yield
        except DumpscanError:
            raise
        except Exception as error:  # types are read when they are needed, and broken ones make it raise anything
            pdb = self.kernel.pdb
            refused = [MissingTable(pdb, self._tables[pdb])] if pdb in self._tables else []
            self._context.missing_tables[:] = refused
            raise SymbolsError(
                self._context.path,
                f"its symbol table {self.session.table} cannot be used: {volatility.words(error)}",
                refused,
            ) from error

    def _has(self, entry: ListedProcess) -> bool:
        return bool(self._image.present(np.array([entry.root], np.int64))[0])

    def describe_process(self, listed: ListedProcess, budgets: TextBudgets, *, environment: bool) -> Process:
        """Add what the process environment block says (see `KernelProfile`)."""
        return describe_process(self._image, listed, budgets, environment=environment)

    # --- Page tables -------------------------------------------------------------------------------------------------

    def walk(self, chosen: Sequence[ListedProcess]) -> PageMap:
        """Walk the kernel's page tables and those of some processes (see `KernelProfile`)."""
        root = self._x64_kernel().root >> PAGE_SHIFT
        owners = [Owner(KERNEL_PROCESS, root, kernel=True)]
        for entry, table in with_tables(self._image, chosen, root, self._context.damage):
            owners += [Owner(entry.process, table), Owner(KERNEL_PROCESS, table, kernel=True)]
        return self._walk(owners)

    def walk_unlisted(self) -> PageMap:
        """Walk the tables that point to themselves as the kernel's own does (see `KernelProfile`)."""
        kernel = self._x64_kernel()
        owners = [Owner(KERNEL_PROCESS, kernel.root >> PAGE_SHIFT, kernel=True)]
        for table in islice(top_tables(self._image, 0, None), _MAX_TABLES):
            if table.index == kernel.self_index:
                unknown = Process(notes=(f"known only by its page tables at {table.frame << PAGE_SHIFT:#x}",))
                owners += [Owner(unknown, table.frame), Owner(KERNEL_PROCESS, table.frame, kernel=True)]
        return self._walk(owners)

    def _x64_kernel(self) -> Kernel:
        kernel = self.kernel
        if kernel.layer != X64_LAYER:
            problem = f"its page tables are of another kind ({kernel.layer}); only x64 ones are walked"
            raise InputError(self._context.path, problem)
        return kernel

    def _walk(self, owners: list[Owner]) -> PageMap:
        made = PageMap(self._image, owners, self_index=self.kernel.self_index)
        self._context.damage.extend(made.problems)
        return made

    def cached_files(self) -> None:
        """Return None: Windows' cache of files is not known (see `KernelProfile`)."""

    def page_use(self, physical: int) -> None:
        """Return None: what Windows uses pages for is not known (see `KernelProfile`)."""


def adopt_windows(context: Volatility, module: str) -> tuple[Path, Callable[[ImageContext], WindowsProfile]]:
    """Take over a kernel that volatility3 has found: dumpscan runs inside one of its plugins.

    Args:
        context: The plugin's context.
        module: Name of the kernel module in it.

    Returns:
        The image's file, and what makes the profile of it.

    Raises:
        InputError: The image is not a local file.
    """
    session = KernelSession(context, module)
    return image_path(session), lambda image: WindowsProfile(image, session)
