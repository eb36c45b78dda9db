"""Scenarios of kernel images: what all scenarios share (`dumpscan.synth.scenario`), and what a whole system adds.

    [windows]
    version = "21h2"                    # a column of the layouts
    size = "256 MiB"                    # of physical memory, up to its highest address
    time = 2024-05-17T09:31:08Z

    [[process]]                         # as in all scenarios, with these additions:
    pid = 5120
    name = "w3wp.exe"
    [process.paging.heap]               # how the region `heap` is mapped
    transition = "3-7, 9"               # numbers of its pages
    [[process.seams]]                   # an object across the border of two pages, planted once for each number in
    object = "site-certificate"         # `before`, which is the number of its bytes on the first page
    before = "1-13"
    tail = "transition"                 # state of the second page

`[shared.NAME]` is memory that regions of several processes map. `[[kernel]]` plants an object in system space,
`[[unmapped]]` in a frame that no page table leads to.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from dumpscan.model.windows.c_paging import HUGE_PAGE_SIZE, LARGE_PAGE_SIZE, PAGE_SIZE
from dumpscan.synth.alignment import page_align, page_count
from dumpscan.synth.filler import FILLERS
from dumpscan.synth.kernel.space import KERNEL_BASES
from dumpscan.synth.kernel.system import DRIVER_NAMES, PRODUCTS, SystemFacts
from dumpscan.synth.scenario import (
    MAX_ADDRESS,
    Common,
    ProcessSpec,
    RegionSpec,
    parse_common,
    parse_hole,
    parse_process,
)
from dumpscan.synth.toml_table import load_scenario
from dumpscan.synth.windows.profiles import PROFILES, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dumpscan.synth.objects.spec import ObjectSpec
    from dumpscan.synth.toml_table import Table

MIN_SIZE = 64 << 20
MAX_SIZE = 8 << 30
PAGE_SIZES = {"4 KiB": PAGE_SIZE, "2 MiB": LARGE_PAGE_SIZE, "1 GiB": HUGE_PAGE_SIZE}
TRANSITION, PAGED_OUT, PROTOTYPE = "transition", "paged-out", "prototype"
TAILS = ("ordinary", TRANSITION, PAGED_OUT, PROTOTYPE)
"""States of the page behind a seam."""
BLOCKS = ("peb", "parameters", "environment")
"""Blocks of a process's description of itself that can be paged out."""
SYSTEM_PID = 4
_DEFAULT_TIME = datetime(2024, 5, 17, 9, 31, 8, tzinfo=UTC)
_START_INTERVAL = timedelta(seconds=7)
"""Between the starts of two processes for which the scenario gives no time."""
_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How the pages of a region are mapped.

    Attributes:
        page_size: 4 KiB, 2 MiB or 1 GiB, in bytes.
        shared: Name of the shared memory that the region maps.
        resident: Percentage of the pages that are in memory. The seed chooses those that are paged out.
        transition: Pages in transition: the frame is known, but the processor would fault.
        paged_out: Pages in a page file.
        prototype: Pages whose entry refers to a prototype entry, and only that one gives the frame.
    """

    page_size: int = PAGE_SIZE
    shared: str | None = None
    resident: int = _PERCENT
    transition: tuple[int, ...] = ()
    paged_out: tuple[int, ...] = ()
    prototype: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeamSpec:
    """An object planted across the border of two pages, once for each number in `before`.

    Attributes:
        object: Name of the object.
        before: Bytes of it on the page before the border.
        tail: State of the page behind the border, one of `TAILS`.
        table: Its table in the scenario, for messages.
    """

    object: str
    before: tuple[int, ...]
    tail: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelProcess:
    """A process of a kernel image.

    Attributes:
        spec: What every scenario says of a process.
        table: Its table in the scenario, for messages.
        user_space: Whether it has user memory. System, Registry and the like have none.
        exited: When it ended. Its address space is gone then.
        dtb_zeroed: Whether the object of an ended process no longer gives its page table.
        thread_count: Number of live threads.
        linked: Whether it is in the system's list of processes.
        absent: (block, page) pairs of its description of itself that are paged out.
        paging: By name of the region.
        seams: Objects across page borders, in a region of their own.
    """

    spec: ProcessSpec
    table: Table
    user_space: bool = True
    exited: datetime | None = None
    dtb_zeroed: bool = False
    thread_count: int = 1
    linked: bool = True
    absent: tuple[tuple[str, int], ...] = ()
    paging: dict[str, Paging] = field(default_factory=dict)
    seams: tuple[SeamSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoosePlant:
    """An object planted outside processes, at an offset in its page. The table is for messages."""

    object: str
    offset: int
    copies: int
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelScenario:
    """The scenario of a kernel image.

    Attributes:
        common: Name, seed, objects.
        profile: Version of Windows.
        size: Highest physical address in bytes, which is the length of a raw image.
        holes: (first byte, bytes) of physical address space without RAM.
        filler: One of `filler.FILLERS`.
        density: Percentage of the frames that the filler fills. The others are zero, and holes in the file.
        base: Address of the kernel; None if the seed chooses it.
        facts: What the kernel says of the system.
        shared: Bytes of each shared memory, by name.
        processes: All processes, System included.
        kernel: Objects in system space.
        unmapped: Objects in frames that no page table leads to.
        windows: The table `[windows]`, for messages.
    """

    common: Common
    profile: Profile
    size: int
    holes: tuple[tuple[int, int], ...]
    filler: str
    density: int
    base: int | None
    facts: SystemFacts
    shared: dict[str, int]
    processes: tuple[KernelProcess, ...]
    kernel: tuple[LoosePlant, ...]
    unmapped: tuple[LoosePlant, ...]
    windows: Table


def load_kernel_scenario(path: Path) -> KernelScenario:
    """Read a scenario file.

    Raises:
        ScenarioError: If the file cannot be read, is not TOML, or a value is malformed.
    """
    return load_scenario(path).read(_parse)


def _parse(root: Table) -> KernelScenario:
    common = parse_common(root)
    windows = root.table("windows")
    size = windows.size("size", 256 << 20, maximum=MAX_SIZE)
    if size < MIN_SIZE or size % PAGE_SIZE:
        raise windows.error("size", f"expected whole pages, at least {MIN_SIZE >> 20} MiB")
    facts = _parse_facts(windows)
    shared_tables = root.table("shared")
    shared = {name: shared_tables.table(name).read(_parse_shared) for name in shared_tables.names()}
    read_process = partial(_parse_process, common=common, shared=tuple(shared))
    environment = windows.texts("environment")
    processes = [
        _with_defaults(process, environment, facts.boot + _START_INTERVAL * number)
        for number, process in enumerate(root.each("process", read_process), 1)
    ]
    _check_pids(root, processes)
    if all(process.spec.pid != SYSTEM_PID for process in processes):
        system = ProcessSpec(pid=SYSTEM_PID, name="System", parent_pid=0, created=facts.boot)
        processes.insert(0, KernelProcess(spec=system, table=windows, user_space=False, thread_count=120))
    parse_loose = partial(_parse_loose, objects=common.objects)
    scenario = KernelScenario(
        common=common,
        profile=PROFILES[windows.choice("version", PROFILES, "21h2")],
        size=size,
        holes=windows.each(
            "holes", partial(parse_hole, first=MIN_SIZE, limit=size, where=f"{MIN_SIZE:#x} to {size:#x}")
        ),
        filler=windows.choice("filler", FILLERS, "mixed"),
        density=windows.integer("density", 60, maximum=_PERCENT),
        base=_parse_base(windows),
        facts=facts,
        shared=shared,
        processes=tuple(processes),
        kernel=root.each("kernel", parse_loose),
        unmapped=root.each("unmapped", parse_loose),
        windows=windows,
    )
    windows.finish()
    return scenario


def _parse_facts(windows: Table) -> SystemFacts:
    time = windows.moment("time", _DEFAULT_TIME)
    return SystemFacts(
        time=time,
        boot=windows.moment("boot", time - timedelta(days=3, hours=4, minutes=17)),
        product=windows.choice("product", PRODUCTS, "workstation"),
        processors=windows.integer("processors", 4, minimum=1, maximum=64),
        debugger_data=windows.flag("debugger_data", default=True),
        start_block=windows.flag("start_block", default=True),
        drivers=windows.texts("drivers", DRIVER_NAMES),
    )


def _parse_base(windows: Table) -> int | None:
    base = windows.integer("kernel_base", None, maximum=MAX_ADDRESS)
    if base is not None and (base % PAGE_SIZE or base not in KERNEL_BASES):
        raise windows.error("kernel_base", f"expected a page from {KERNEL_BASES.start:#x} to {KERNEL_BASES.stop:#x}")
    return base


def _parse_shared(table: Table) -> int:
    return page_align(table.size("size", maximum=MAX_SIZE))


def _parse_loose(table: Table, objects: dict[str, ObjectSpec]) -> LoosePlant:
    return LoosePlant(
        object=table.choice("object", objects),
        offset=table.integer("offset", 0x120, maximum=PAGE_SIZE - 1),
        copies=table.integer("copies", 1, minimum=1, maximum=10_000),
        table=table,
    )


def _check_pids(root: Table, processes: Iterable[KernelProcess]) -> None:
    seen: set[int] = set()
    for process in processes:
        pid = process.spec.pid
        if pid in seen or not pid or pid % 4:
            problem = "is there twice" if pid in seen else "is no process id: expected a multiple of 4, not 0"
            raise root.error("process", f"pid {pid} {problem}")
        seen.add(pid)


def _parse_process(table: Table, common: Common, shared: tuple[str, ...]) -> KernelProcess:
    spec = parse_process(table, common.objects)
    regions = {region.name: region for region in spec.regions}
    paging_tables = table.table("paging")
    paging = {}
    for name in paging_tables.names():
        if name not in regions:
            known = ", ".join(regions) or "none"
            raise paging_tables.error(name, f"the process has no region of that name; it has {known}")
        parse = partial(_parse_paging, region=regions[name], shared=shared)
        paging[name] = paging_tables.table(name).read(parse)
    exited = table.moment("exited", None)
    thread_count = table.integer("thread_count", len(spec.threads) or 8, maximum=0xFFFF)
    process = KernelProcess(
        spec=spec,
        table=table,
        user_space=table.flag("user_space", default=True) and exited is None,
        exited=exited,
        dtb_zeroed=table.flag("dtb_zeroed"),
        thread_count=thread_count if exited is None else 0,
        linked=table.flag("linked", default=True),
        absent=tuple(_absent(table, text) for text in table.texts("absent")),
        paging=paging,
        seams=table.each("seams", partial(_parse_seam, objects=common.objects)),
    )
    _check_process(table, process)
    return process


def _with_defaults(process: KernelProcess, environment: tuple[str, ...], created: datetime) -> KernelProcess:
    """Return a process with an environment and a creation time, if its table gives none."""
    spec = process.spec
    if "environment" not in process.table:
        spec = replace(spec, environment=environment)
    if "created" not in process.table:
        spec = replace(spec, created=created)
    if process.exited is not None and process.exited < spec.created:
        raise process.table.error("exited", "lies before created")
    return replace(process, spec=spec)


def _check_process(table: Table, process: KernelProcess) -> None:
    spec = process.spec
    for key, text in (("name", spec.name), ("executable", spec.executable)):
        if "\0" in text or (not text and (key == "name" or process.user_space)):
            raise table.error(key, "expected the name of an executable, without NUL")
    for region in spec.regions:
        if region.splits:
            raise table.error("regions", f"{region.name!r} has splits; a kernel image has pages instead")
        if region.holes:
            raise table.error("regions", f"{region.name!r} has holes; in a kernel image pages are paged out instead")
    if not process.user_space and (spec.regions or spec.plants or spec.modules or process.seams):
        raise table.error(None, "a process without a user half has no regions, plants, modules or seams")


def _absent(table: Table, text: str) -> tuple[str, int]:
    block, _, page = text.partition(":")
    if block not in BLOCKS or not (page.isascii() and page.isdigit() and len(page) < 6 if page else True):  # noqa: PLR2004
        raise table.error("absent", f"{text!r}: expected one of {', '.join(BLOCKS)}, with or without `:page` behind it")
    return block, int(page or 0)


def _parse_paging(table: Table, region: RegionSpec, shared: tuple[str, ...]) -> Paging:
    pages = page_count(region.size)
    paging = Paging(
        page_size=PAGE_SIZES[table.choice("pages", PAGE_SIZES, "4 KiB")],
        shared=table.choice("shared", shared, None),
        resident=table.integer("resident", _PERCENT, maximum=_PERCENT),
        transition=table.numbers("transition", pages),
        paged_out=table.numbers("paged_out", pages),
        prototype=table.numbers("prototype", pages),
    )
    special = paging.transition + paging.paged_out + paging.prototype
    if len(set(special)) != len(special):
        raise table.error(None, "a page has two states")
    if paging.shared is not None and (paging.paged_out or paging.resident != _PERCENT):
        raise table.error("shared", "what several processes map is paged out by way of prototype entries only")
    if paging.page_size != PAGE_SIZE:
        if special or paging.shared or paging.resident != _PERCENT:
            raise table.error("pages", "large pages are neither shared nor absent")
        if region.size % paging.page_size or (region.address or 0) % paging.page_size:
            raise table.error("pages", "the region's address and size must be multiples of its pages")
    return paging


def _parse_seam(table: Table, objects: dict[str, ObjectSpec]) -> SeamSpec:
    seam = SeamSpec(
        object=table.choice("object", objects),
        before=table.numbers("before", PAGE_SIZE),
        tail=table.choice("tail", TAILS, "ordinary"),
        table=table,
    )
    if not seam.before or 0 in seam.before:
        raise table.error("before", f"expected byte counts from 1 to {PAGE_SIZE - 1}")
    return seam
