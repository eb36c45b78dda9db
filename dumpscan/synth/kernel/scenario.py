"""Scenarios of kernel images: the common vocabulary (`scenario`), and what only a whole system has.

    [windows]
    version = "21h2"                    # a column of the layouts
    size = "256 MiB"                    # of physical memory, up to its highest address
    time = 2024-05-17T09:31:08Z

    [[process]]                         # as in `scenario`, and further:
    pid = 5120
    name = "w3wp.exe"
    [process.paging.heap]               # how the region `heap` is mapped
    transition = "3-7, 9"               # pages of it
    [[process.seams]]                   # an object across a border of pages, once for each number of bytes before it
    object = "site-certificate"
    before = "1-13"
    tail = "transition"                 # what the page behind the border is

`[shared.NAME]` is memory that several processes' regions map; `[[kernel]]` and `[[unmapped]]` plant objects in system
space and in frames that nothing maps.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dumpscan.model.windows.c_paging import HUGE_PAGE_SIZE, LARGE_PAGE_SIZE, PAGE_SIZE
from dumpscan.synth.filler import FILLERS
from dumpscan.synth.kernel.space import KERNEL_BASES
from dumpscan.synth.kernel.system import DRIVER_NAMES, PRODUCTS, SystemFacts
from dumpscan.synth.scenario import ADDRESS_LIMIT, Common, ProcessSpec, RegionSpec, parse_common, parse_process
from dumpscan.synth.toml_table import load_scenario
from dumpscan.synth.windows.profiles import PROFILES, Profile

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.objects.catalogue import ObjectSpec
    from dumpscan.synth.toml_table import Table

MINIMUM_SIZE = 64 << 20
MAXIMUM_SIZE = 8 << 30
PAGE_SIZES = {"4 KiB": PAGE_SIZE, "2 MiB": LARGE_PAGE_SIZE, "1 GiB": HUGE_PAGE_SIZE}
TRANSITION, PAGED_OUT, PROTOTYPE = "transition", "paged-out", "prototype"
TAILS = ("ordinary", TRANSITION, PAGED_OUT, PROTOTYPE)
"""States of the page behind a seam."""
BLOCKS = ("peb", "parameters", "environment")
"""Parts of a process's description of itself that can be paged out."""
_DEFAULT_TIME = datetime(2024, 5, 17, 9, 31, 8, tzinfo=UTC)
_START_INTERVAL = timedelta(seconds=7)
"""From one process's start to the next, where the scenario does not say."""
SYSTEM_PID = 4
_NUMBERS = r" *|( *\d{1,7} *(- *\d{1,7} *)?(, *\d{1,7} *(- *\d{1,7} *)?)*)"
_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How a region's pages are mapped.

    Attributes:
        page_size: Bytes: 4 KiB, 2 MiB or 1 GiB.
        shared: Name of the shared memory that the region maps.
        resident: Percentage of its pages that are there; the others were paged out, chosen by the seed.
        transition: Pages in transition: their frame is known, the processor would fault.
        paged_out: Pages in a page file.
        prototype: Pages whose entry refers to a prototype entry, which alone knows the frame.
    """

    page_size: int = PAGE_SIZE
    shared: str | None = None
    resident: int = _PERCENT
    transition: tuple[int, ...] = ()
    paged_out: tuple[int, ...] = ()
    prototype: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeamSpec:
    """An object planted across the border of two pages, once per number of bytes before the border.

    Attributes:
        object: Name of the object.
        before: Bytes of it on the page before the border.
        tail: State of the page behind the border, one of `TAILS`.
    """

    object: str
    before: tuple[int, ...]
    tail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelProcess:
    """A process of a kernel image.

    Attributes:
        spec: What every scenario says of a process.
        user_space: Whether it has a user half: System, Registry and the like have none.
        exited: When it ended; its address space is gone then.
        dtb_zeroed: Whether the object of a process that ended no longer names its page table.
        thread_count: Of its threads that live.
        linked: Whether it is in the system's list of processes.
        absent: (block, page) pairs of its own description that are paged out.
        paging: By name of the region.
        seams: Objects across page borders, in a region of their own.
        table: Where the scenario says so, for messages.
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
    """An object planted outside processes; the table is for messages."""

    object: str
    offset: int
    copies: int
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelScenario:
    """A kernel image to be built.

    Attributes:
        common: Name, seed, objects.
        profile: Version of Windows.
        size: Highest physical address, in bytes: the length of a raw image.
        holes: (first byte, bytes) of physical address space without RAM.
        filler: Name of a filler.
        density: Percentage of frames that the filler fills; the others are zero, and holes in the file.
        base: Address of the kernel; None lets the seed draw it.
        facts: What the kernel says of the system.
        shared: Bytes of each shared memory, by name.
        processes: All of them, System included.
        kernel: Objects in system space.
        unmapped: Objects in frames that nothing maps.
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
        ScenarioError: If it cannot be read, is not TOML, or says something that cannot be built.
    """
    root = load_scenario(path)
    common = parse_common(root)
    windows = root.table("windows")
    profile = PROFILES[windows.choice("version", tuple(PROFILES), "21h2")]
    size = windows.size("size", 256 << 20, maximum=MAXIMUM_SIZE)
    if size < MINIMUM_SIZE or size % PAGE_SIZE:
        raise windows.error("size", f"expected whole pages, at least {MINIMUM_SIZE >> 20} MiB")
    time = windows.moment("time", _DEFAULT_TIME)
    facts = SystemFacts(
        time=time,
        boot=windows.moment("boot", time - timedelta(days=3, hours=4, minutes=17)),
        product=windows.choice("product", tuple(PRODUCTS), "workstation"),
        processors=windows.integer("processors", 4, minimum=1, maximum=64),
        debugger_data=windows.flag("debugger_data", default=True),
        start_block=windows.flag("start_block", default=True),
        drivers=windows.texts("drivers", DRIVER_NAMES),
    )
    environment = windows.texts("environment")
    shared_table = root.table("shared")
    shared = {name: _shared(shared_table.table(name)) for name in shared_table.keys()}  # noqa: SIM118 -- no mapping
    processes = [
        _parse_process(table, common, tuple(shared), environment, facts.boot + _START_INTERVAL * number)
        for number, table in enumerate(root.tables("process"), 1)
    ]
    _check_pids(root, processes)
    if all(process.spec.pid != SYSTEM_PID for process in processes):
        processes.insert(0, _system_process(facts, windows))
    scenario = KernelScenario(
        common=common,
        profile=profile,
        size=size,
        holes=tuple(_hole(table, size) for table in windows.tables("holes")),
        filler=windows.choice("filler", tuple(FILLERS), "mixed"),
        density=windows.integer("density", 60, maximum=_PERCENT),
        base=_kernel_base(windows),
        facts=facts,
        shared=shared,
        processes=tuple(processes),
        kernel=tuple(_loose(table, common.objects) for table in root.tables("kernel")),
        unmapped=tuple(_loose(table, common.objects) for table in root.tables("unmapped")),
        windows=windows,
    )
    windows.finish()
    root.finish()
    return scenario


def _kernel_base(windows: Table) -> int | None:
    base = windows.integer("kernel_base", None, maximum=ADDRESS_LIMIT)
    if base is not None and (base % PAGE_SIZE or base not in KERNEL_BASES):
        raise windows.error("kernel_base", f"expected a page from {KERNEL_BASES.start:#x} to {KERNEL_BASES.stop:#x}")
    return base


def _shared(table: Table) -> int:
    size = table.size("size", maximum=MAXIMUM_SIZE)
    table.finish()
    return -(-size // PAGE_SIZE) * PAGE_SIZE


def _hole(table: Table, limit: int) -> tuple[int, int]:
    start, size = table.size("start", maximum=limit), table.size("size", maximum=limit)
    table.finish()
    if start % PAGE_SIZE or size % PAGE_SIZE or start + size > limit or start < MINIMUM_SIZE:
        raise table.error("start", f"expected whole pages from {MINIMUM_SIZE:#x} on, below {limit:#x}")
    return start, size


def _loose(table: Table, objects: dict[str, ObjectSpec]) -> LoosePlant:
    plant = LoosePlant(
        object=table.choice("object", tuple(objects)),
        offset=table.integer("offset", 0x120, maximum=PAGE_SIZE - 1),
        copies=table.integer("copies", 1, minimum=1, maximum=10_000),
        table=table,
    )
    table.finish()
    return plant


def _check_pids(root: Table, processes: list[KernelProcess]) -> None:
    seen: set[int] = set()
    for process in processes:
        pid = process.spec.pid
        if pid in seen or not pid or pid % 4:
            problem = "is there twice" if pid in seen else "is no process id: expected a multiple of 4, not 0"
            raise root.error("process", f"pid {pid} {problem}")
        seen.add(pid)


def _system_process(facts: SystemFacts, table: Table) -> KernelProcess:
    spec = ProcessSpec(
        pid=SYSTEM_PID,
        name="System",
        parent_pid=0,
        executable="",
        command_line="",
        environment=(),
        current_directory="",
        session=0,
        wow64=False,
        created=facts.boot,
        threads=(),
        modules=(),
        regions=(),
        plants=(),
    )
    return KernelProcess(spec=spec, table=table, user_space=False, thread_count=120)


def _parse_process(
    table: Table, common: Common, shared: tuple[str, ...], environment: tuple[str, ...], created: datetime
) -> KernelProcess:
    """Read a process; `environment` and `created` are for one that has none of its own."""
    spec = parse_process(table, common.objects)
    if "environment" not in table:
        spec = replace(spec, environment=environment)
    if "created" not in table:
        spec = replace(spec, created=created)
    regions = {region.name: region for region in spec.regions}
    paging_table = table.table("paging")
    paging = {}
    for name in paging_table.keys():  # noqa: SIM118 -- no mapping
        if name not in regions:
            raise paging_table.error(
                name, f"the process has no region of that name; it has {', '.join(regions) or 'none'}"
            )
        paging[name] = _parse_paging(paging_table.table(name), regions[name], shared)
    process = KernelProcess(
        spec=spec,
        table=table,
        user_space=table.flag("user_space", default=True),
        exited=table.moment("exited", None),
        dtb_zeroed=table.flag("dtb_zeroed"),
        thread_count=table.integer("thread_count", len(spec.threads) or 8, maximum=0xFFFF),
        linked=table.flag("linked", default=True),
        absent=tuple(_absent(table, text) for text in table.texts("absent")),
        paging=paging,
        seams=tuple(_parse_seam(seam, common.objects) for seam in table.tables("seams")),
    )
    table.finish()
    if process.exited is not None:
        process = replace(process, user_space=False, thread_count=0)
    _check_process(table, process)
    return process


def _check_process(table: Table, process: KernelProcess) -> None:
    spec = process.spec
    for key, text in (("name", spec.name), ("executable", spec.executable)):
        if "\0" in text or (not text and (key == "name" or process.user_space)):
            raise table.error(key, "expected the name of an executable")
    for region in spec.regions:
        if region.splits:
            raise table.error("regions", f"{region.name!r} has splits; a kernel image has pages instead")
        if region.holes:
            raise table.error("regions", f"{region.name!r} has holes; in a kernel image pages are paged out instead")
    if process.exited is not None and process.exited < spec.created:
        raise table.error("exited", "lies before created")
    if not process.user_space and (spec.regions or spec.plants or spec.modules or process.seams):
        raise table.error(None, "a process without a user half has no regions, plants, modules or seams")


def _absent(table: Table, text: str) -> tuple[str, int]:
    block, _, page = text.partition(":")
    if block not in BLOCKS or not (page.isascii() and page.isdigit() and len(page) < 6 if page else True):  # noqa: PLR2004
        raise table.error("absent", f"{text!r}: expected one of {', '.join(BLOCKS)}, with `:page` behind it or not")
    return block, int(page or 0)


def _parse_paging(table: Table, region: RegionSpec, shared: tuple[str, ...]) -> Paging:
    pages = -(-region.size // PAGE_SIZE)
    paging = Paging(
        page_size=PAGE_SIZES[table.choice("pages", tuple(PAGE_SIZES), "4 KiB")],
        shared=table.choice("shared", shared, None),
        resident=table.integer("resident", _PERCENT, maximum=_PERCENT),
        transition=_numbers(table, "transition", pages),
        paged_out=_numbers(table, "paged_out", pages),
        prototype=_numbers(table, "prototype", pages),
    )
    table.finish()
    special = paging.transition + paging.paged_out + paging.prototype
    if len(set(special)) != len(special):
        raise table.error(None, "a page has two states")
    if paging.shared is not None and (paging.paged_out or paging.resident != _PERCENT):
        raise table.error("shared", "what several processes map is paged out by way of prototype entries only")
    if paging.page_size != PAGE_SIZE:
        if special or paging.shared or paging.resident != _PERCENT:
            raise table.error("pages", "large pages are neither shared nor ever absent")
        if region.size % paging.page_size or (region.address or 0) % paging.page_size:
            raise table.error("pages", "the region's address and size must be multiples of its pages")
    return paging


def _numbers(table: Table, key: str, limit: int) -> tuple[int, ...]:
    """Return a list of numbers below `limit`, written like "0-3, 9"."""
    numbers: list[int] = []
    for part in filter(None, table.text(key, "", pattern=_NUMBERS).replace(" ", "").split(",")):
        first, _, last = part.partition("-")
        if not int(first) <= int(last or first) < limit:
            raise table.error(key, f"{part!r}: expected numbers below {limit}, ascending")
        numbers.extend(range(int(first), int(last or first) + 1))
    return tuple(numbers)


def _parse_seam(table: Table, objects: dict[str, ObjectSpec]) -> SeamSpec:
    seam = SeamSpec(
        object=table.choice("object", tuple(objects)),
        before=_numbers(table, "before", PAGE_SIZE),
        tail=table.choice("tail", TAILS, "ordinary"),
    )
    table.finish()
    if not seam.before or 0 in seam.before:
        raise table.error("before", f"expected byte counts from 1 to {PAGE_SIZE - 1}")
    return seam
