"""Linux kernels behind the facade of a kernel image (a `KernelProfile`).

Nothing is needed beside the image: the kernel's symbols and types are in its memory.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError, InputError
from dumpscan.findings import Process
from dumpscan.memory.kernel.linux.addresses import FOUR_LEVELS
from dumpscan.memory.kernel.linux.cache import BuildCache, LinuxCache
from dumpscan.memory.kernel.linux.entries import LinuxEntries, UserMemory, nothing_cached
from dumpscan.memory.kernel.linux.files import PageCache
from dumpscan.memory.kernel.linux.finder import describe_remains, find_banners, find_kernels, find_without_notes
from dumpscan.memory.kernel.linux.pages import PageArray
from dumpscan.memory.kernel.linux.paths import Paths
from dumpscan.memory.kernel.linux.symbols.isf import IsfTypes
from dumpscan.memory.kernel.linux.symbols.table import LinuxTable, table_name
from dumpscan.memory.kernel.linux.symbols.types import KernelTypes, MissingTypeError
from dumpscan.memory.kernel.linux.tasks import Task, TaskList
from dumpscan.memory.kernel.linux.texts import TextReader
from dumpscan.memory.physical.page_map import Owner, PageMap
from dumpscan.memory.symbols.store import SymbolsState, SymbolStore
from dumpscan.model.linux.c_kernel import DIRECT_MAP_4, DIRECT_MAP_5, START_KERNEL_MAP
from dumpscan.model.windows.c_paging import ENTRIES_PER_TABLE, KERNEL_HALF, PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dumpscan.memory.dump import PageUse
    from dumpscan.memory.kernel.budget import TextBudgets
    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.finder import LinuxKernel
    from dumpscan.memory.kernel.profile import ImageContext, ListedProcess

KERNEL_PROCESS = Process(pid=0, name="kernel", architecture="x64")
"""Owner of the kernel's half of memory; the idle task, which no list of processes shows, has the same id."""

_MAX_BANNER = 512
_HOW_TO_GET_A_TABLE = (
    "make a symbol table of the kernel's debug package with dwarf2json, and give it to `dumpscan symbols add`"
)


class LinuxProfile:
    """The Linux kernel of an image.

    Args:
        context: The image.
    """

    def __init__(self, context: ImageContext) -> None:
        self._context = context
        self._image = context.physical
        self._pages_are_unknown = False
        self._unlisted: dict[int, Task] = {}

    # --- The kernel --------------------------------------------------------------------------------------------------

    @cached_property
    def _cache(self) -> LinuxCache:
        return LinuxCache(self._image, self._context.cache_dir)

    @cached_property
    def kernels(self) -> list[LinuxKernel]:
        """The kernels in the image; empty if there is none."""
        found = self._cache.kernels()
        if found is not None:
            return found
        found, others = find_kernels(self._image)
        if others and not found:
            found = find_without_notes(self._image)  # the notes are those of another boot, or forged
        known = {(kernel.release, kernel.shift) for kernel in found}
        remains = [describe_remains(note) for note in others if (note.release, note.shift) not in known]
        self._cache.save_kernels(found, remains, further=bool(others))
        return found

    def is_found(self) -> bool:
        """Return whether there is a Linux kernel, or the note of one (see `KernelProfile`)."""
        return bool(self.kernels or self._cache.remains())

    def search_further(self) -> bool:
        """Look for a kernel by its table of symbols (see `KernelProfile`)."""
        if not self.kernels and not self._cache.searched_further:
            self.kernels = find_without_notes(self._image)
            self._cache.save_kernels(self.kernels, [], further=True)
        return bool(self.kernels)

    @cached_property
    def kernel(self) -> LinuxKernel:
        """The kernel that is used.

        Raises:
            InputError: There is none.
        """
        if not self.kernels:
            raise InputError(self._context.path, self._why_no_kernel())
        chosen = self.kernels[0]
        if len(self.kernels) > 1:
            others = ", ".join(f"{other.release} at {other.root:#x}" for other in self.kernels[1:])
            self._context.warn(f"{len(self.kernels)} Linux kernels: {chosen.release} is used, not {others}")
        for remains in dict.fromkeys(self._cache.remains()):
            self._context.warn(f"beside the Linux kernel that is read, there is {remains}")
        return chosen

    def _why_no_kernel(self) -> str:
        remains = self._cache.remains()
        if remains:
            return f"no Linux kernel that can be read in it, but {', '.join(dict.fromkeys(remains))}: is it cut short?"
        return "no Linux kernel in it: expected its VMCOREINFO, or its table of symbols, in physical memory"

    @cached_property
    def memory(self) -> KernelMemory:
        """The kernel's virtual memory.

        Raises:
            InputError: There is no kernel, or its own variables are not in the image.
        """
        memory = self.kernel.memory(self._image)
        types = self._types_of(memory)
        base = types.symbol("page_offset_base")
        default = DIRECT_MAP_4 if memory.levels == FOUR_LEVELS else DIRECT_MAP_5
        memory.direct_map = default if base is None else memory.number(base)
        if not memory.direct_map:
            raise InputError(self._context.path, "the data of its Linux kernel is not in the image: is it cut short?")
        if end := types.symbol("_end"):
            memory.kernel_end = end
        self._types = types
        return memory

    def _types_of(self, memory: KernelMemory) -> KernelTypes:
        self._build = BuildCache(self.kernel, memory, self._context.cache_dir)
        known = self._cache.facts(self.kernel) or self._build.facts()
        return KernelTypes(self.kernel, memory, known, lambda: self._table)

    @cached_property
    def _table(self) -> IsfTypes | None:
        """A symbol table of the kernel, for what is not in its memory; None if there is none."""
        store = SymbolStore(self._context.symbols, self._context.cache_dir)
        banners = find_banners(self._image, self.kernel.release)
        found = next((table for banner in banners if (table := store.find_linux(banner))), None)
        for problem in store.problems:
            self._context.warn(problem)
        return None if found is None else IsfTypes(found, self.kernel.shift)

    @property
    def types(self) -> KernelTypes:
        """The kernel's symbols and types."""
        _ = self.memory
        return self._types

    def _remember(self) -> None:
        if self.types.learned:
            self._cache.save_facts(self.kernel, self.types.facts)
            self._build.save(self.types.facts)
            self.types.learned = False

    def captured(self) -> datetime | None:
        """Return the time of the kernel's timekeeper (see `KernelProfile`)."""
        if not self.kernels:
            return None
        try:
            found = TaskList(self.memory, self.types, []).now()
        except DumpscanError:
            return None
        self._remember()
        return found

    def symbols_states(self) -> list[SymbolsState]:
        """Return nothing where the kernel's types are in its memory or in a table (see `KernelProfile`)."""
        path = self._context.path
        if not self.kernels:
            return [SymbolsState(path, None, problem=self._why_no_kernel())]
        try:
            self.types.offset("task_struct.tasks")
            self.types.address("init_task")
        except DumpscanError as error:
            return [SymbolsState(path, None, problem=f"{getattr(error, 'problem', error)}: {_HOW_TO_GET_A_TABLE}")]
        return []

    def describe(self) -> dict[str, object]:
        """Return the kernel, its system, and where its symbols come from (see `KernelProfile`)."""
        kernel, memory = self.kernel, self.memory
        banner = self.types.symbol("linux_banner")
        text = memory.text(banner, _MAX_BANNER).decode("ascii", "replace").strip() if banner else None
        described: dict[str, object] = {
            "kernel": {
                "release": kernel.release or None,
                "build_id": kernel.build_id,
                "kaslr_shift": hex(kernel.shift),
                "phys_base": hex(kernel.phys_base),
                "page_table": hex(kernel.root),
                "levels": kernel.levels,
                "direct_map": hex(memory.direct_map or 0),
                "note": None if kernel.note is None else hex(kernel.note),
            },
            "system": {"architecture": "x64", "name": "Linux", "version": text},
            "symbols": {"state": "in memory", "names": "kallsyms", "types": "BTF"},
        }
        self._remember()
        return described

    def make_table(self, *, whole: bool) -> tuple[str, bytes]:
        """Make a symbol table out of BTF and kallsyms (see `KernelProfile`)."""
        memory, types = self.memory, self.types
        text = memory.read(types.address("linux_banner"), _MAX_BANNER)
        banner = text[: text.find(b"\0") + 1]
        try:
            table = LinuxTable(types.btf, types.kallsyms, self.kernel.shift, banner).build(whole=whole)
        except DumpscanError as error:
            raise InputError(self._context.path, f"no symbol table can be made of it: {error}") from error
        return table_name(self.kernel.release, banner), table

    # --- Processes ---------------------------------------------------------------------------------------------------

    @cached_property
    def _tasks(self) -> dict[int, Task]:
        """All processes by the addresses of their tasks, in the kernel's order."""
        listed = TaskList(self.memory, self.types, self._context.damage)
        return {task.listed.address: task for task in listed}

    def list_processes(self) -> tuple[ListedProcess, ...]:
        """List the processes in the kernel's order (see `KernelProfile`)."""
        try:
            found = tuple(task.listed for task in self._tasks.values())
        except InputError:
            raise
        except DumpscanError as error:
            problem = f"its list of processes cannot be read: {error}: {_HOW_TO_GET_A_TABLE}"
            raise InputError(self._context.path, problem) from error
        if not found:
            self._context.damage.append("the list of processes is empty")
        self._remember()
        return found

    def list_unlisted(self, listed: Sequence[ListedProcess]) -> tuple[ListedProcess, ...]:
        """Find processes among the children of others (see `KernelProfile`)."""
        try:
            found = TaskList(self.memory, self.types, self._context.damage).unlisted(each.address for each in listed)
        except MissingTypeError as error:
            self._context.warn(f"processes that its list does not have were not looked for: {error}")
            return ()
        self._unlisted = {task.listed.address: task for task in found}
        self._remember()
        return tuple(task.listed for task in found)

    def describe_process(self, listed: ListedProcess, budgets: TextBudgets, *, environment: bool) -> Process:
        """Add what the process's own memory says (see `KernelProfile`)."""
        task = self._tasks.get(listed.address) or self._unlisted.get(listed.address)
        if task is None or not task.memory or listed.root is None:
            return listed.process
        user = UserMemory(self._image, self._entries, listed.root)
        reader = TextReader(self.memory, self.types, task.memory, user, budgets)
        described = reader.add_to(self._with_executable(listed.process, task.memory), environment=environment)
        self._remember()
        return described

    def _with_executable(self, process: Process, space: int) -> Process:
        file = self.types.field(space, "mm_struct.exe_file")
        return replace(process, executable=self._paths.of_file(file) if file else None)

    @cached_property
    def _paths(self) -> Paths:
        return Paths(self.memory, self.types)

    # --- Page tables -------------------------------------------------------------------------------------------------

    @cached_property
    def _entries(self) -> LinuxEntries:
        return LinuxEntries(self.kernel.encryption, lambda: self._files.swap_cache)

    @cached_property
    def _pages(self) -> PageArray:
        # What is swapped out of the kernel's own memory does not matter.
        rules = LinuxEntries(self.kernel.encryption, nothing_cached)
        return PageArray(self.memory, self.types, rules, self.kernel.numbers)

    @cached_property
    def _files(self) -> PageCache:
        return PageCache(self.memory, self.types, self._pages, self._paths)

    def cached_files(self) -> PageCache | None:
        """Return the files of the page cache (see `KernelProfile`)."""
        try:
            _ = self._files.page_map
        except DumpscanError as error:
            self._context.warn(f"the page cache cannot be read: {getattr(error, 'problem', error)}")
            return None
        return self._files

    def page_use(self, physical: int) -> PageUse | None:
        """Return what `struct page` says of a frame (see `KernelProfile`)."""
        if self._pages_are_unknown:
            return None
        try:
            return self._files.frame_use(physical)
        except DumpscanError:  # of types and symbols; it is the same for all pages
            self._pages_are_unknown = True
            return None

    def walk(self, chosen: Sequence[ListedProcess]) -> PageMap:
        """Walk the kernel's page tables and those of some processes (see `KernelProfile`).

        The mapping of all memory (direct map) is left out: through it, the kernel would own every frame.
        """
        owners = [Owner(entry.process, entry.root) for entry in chosen if entry.root is not None]
        root, _ = self.memory.table_of(START_KERNEL_MAP)
        if root is not None:
            owners.insert(0, Owner(KERNEL_PROCESS, root >> PAGE_SHIFT, kernel=True))
        made = PageMap(
            self._image,
            owners,
            kernel_indices=self._kernel_indices(),
            rules=self._entries,
            known=self._pages.of_kernel_image() if owners and owners[0].kernel else None,
        )
        self._context.damage.extend(made.problems)
        self._remember()
        return made

    def _kernel_indices(self) -> list[int]:
        """Return the top-level entries of the kernel's half to follow: all but the direct map and `struct page`."""
        memory = self.memory
        if memory.levels != FOUR_LEVELS:  # under the same entry of the fifth level, there is neither
            return list(range(KERNEL_HALF, ENTRIES_PER_TABLE))
        start = memory.direct_map or 0
        page = self._pages.start
        left_out = {
            (address >> 39) & (ENTRIES_PER_TABLE - 1)
            for first, size in ((start, self._image.end), (page, (self._image.end >> PAGE_SHIFT) * 64))
            for address in (*range(first, first + size, 1 << 39), first + size - 1)
        }
        return [index for index in range(KERNEL_HALF, ENTRIES_PER_TABLE) if index not in left_out]

    def walk_unlisted(self) -> PageMap:
        """Refuse: a Linux kernel whose processes cannot be listed has no mark on its page tables.

        Raises:
            InputError: Always.
        """
        raise InputError(self._context.path, "the page tables of processes are known only by the kernel's list of them")
