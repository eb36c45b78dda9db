"""Scenarios of Linux images: what all scenarios share (`dumpscan.synth.scenario`), and what a whole system adds.

    [linux]
    release = "6.1.0-18-synthetic"
    size = "64 MiB"                     # of physical memory
    time = 2024-05-17T09:31:08Z

    [[mount]]                           # beside the root file system
    path = "/run"
    type = "tmpfs"

    [[file]]                            # in the page cache
    path = "/etc/nginx/tls/server.key"
    object = "server-key"

    [[process]]                         # as in all scenarios, with these additions:
    pid = 612
    name = "nginx"
    user_id = 33
    [process.paging.heap]               # states of pages of the region `heap`
    protected = "3-7"                   # PROT_NONE
    swapped = "9"                       # not in memory any more
    swap_cached = "10"                  # swapped out, and in memory still

`[[unmapped]]` plants an object in a frame that nobody uses any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.alignment import page_count
from dumpscan.synth.filler import FILLERS
from dumpscan.synth.scenario import Common, ProcessSpec, parse_common, parse_process
from dumpscan.synth.toml_table import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.objects.spec import ObjectSpec
    from dumpscan.synth.scenario import RegionSpec
    from dumpscan.synth.toml_table import Table

MIN_SIZE = 32 << 20
MAX_SIZE = 128 << 20
"""One large page holds `struct page` for so much memory."""
STATES = ("sleeping", "running", "zombie")
ROOT = "/"
_DEFAULT_TIME = datetime(2024, 5, 17, 9, 31, 8, tzinfo=UTC)
_START_INTERVAL = timedelta(seconds=7)
_MAX_UID = 0xFFFF_FFFE
_PERCENT = 100
_RELEASE = r"\d{1,3}\.\d{1,3}\.\d{1,3}[A-Za-z0-9.+_-]{0,40}"
_PATH = r"/|(/[^/\x00]{1,255}){1,32}"
KTHREADD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Numbers of a region's pages that are not simply mapped.

    Attributes:
        protected: Under PROT_NONE.
        swapped: Swapped out, and not in memory.
        swap_cached: Swapped out, and in the swap cache.
    """

    protected: tuple[int, ...] = ()
    swapped: tuple[int, ...] = ()
    swap_cached: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxProcess:
    """A process.

    Attributes:
        spec: What every scenario says of a process.
        table: Its table in the scenario, for messages.
        user_id: Of its user.
        state: One of `STATES`.
        kernel_thread: Whether it is a thread of the kernel.
        linked: Whether it is in the kernel's list of processes.
        child: Whether it is among its parent's children.
        numbered: Whether it is in the table of process ids.
        paging: By name of the region.
    """

    spec: ProcessSpec
    table: Table
    user_id: int = 0
    state: str = "sleeping"
    kernel_thread: bool = False
    linked: bool = True
    child: bool = True
    numbered: bool = True
    paging: dict[str, Paging] = field(default_factory=dict)

    @property
    def has_memory(self) -> bool:
        """Whether it has memory of its own."""
        return not self.kernel_thread and self.state != "zombie"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """A file in the page cache, with an object at an offset.

    Attributes:
        path: Its path.
        object: Name of the object.
        offset: Of the object in the file, in bytes.
        deleted: Whether the file was removed.
        table: Its table in the scenario, for messages.
    """

    path: str
    object: str
    offset: int
    deleted: bool
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class MountSpec:
    """A mounted file system: where, of which type, and of which device."""

    path: str
    type: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmappedSpec:
    """An object in a free frame, at an offset in it. The table is for messages."""

    object: str
    offset: int
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxScenario:
    """The scenario of a Linux image.

    Attributes:
        common: Name, seed, objects.
        release: Of the kernel.
        size: Bytes of physical memory.
        kaslr: Whether the kernel's addresses are shifted.
        filler: One of `filler.FILLERS`.
        density: Percentage of the frames that the filler fills.
        time: When the image was taken.
        boot: When the system was started.
        processes: All processes, `kthreadd` included.
        mounts: The root file system, and others.
        files: Files in the page cache.
        unmapped: Objects in free frames.
        linux: The table `[linux]`, for messages.
    """

    common: Common
    release: str
    size: int
    kaslr: bool
    filler: str
    density: int
    time: datetime
    boot: datetime
    processes: tuple[LinuxProcess, ...]
    mounts: tuple[MountSpec, ...]
    files: tuple[FileSpec, ...]
    unmapped: tuple[UnmappedSpec, ...]
    linux: Table


def load_linux_scenario(path: Path) -> LinuxScenario:
    """Read a scenario file.

    Raises:
        ScenarioError: If the file cannot be read, is not TOML, or a value is malformed.
    """
    return load_scenario(path).read(_parse)


def _parse(root: Table) -> LinuxScenario:
    common = parse_common(root)
    linux = root.table("linux", required=True)
    size = linux.size("size", MIN_SIZE, maximum=MAX_SIZE)
    if not size >= MIN_SIZE or size % PAGE_SIZE:
        raise linux.error("size", f"expected whole pages, {MIN_SIZE >> 20} to {MAX_SIZE >> 20} MiB")
    time = linux.moment("time", _DEFAULT_TIME)
    boot = linux.moment("boot", time - timedelta(days=3, hours=4, minutes=17))
    mounts = [MountSpec(path=ROOT, type="ext4", device="vda1"), *root.each("mount", _parse_mount)]
    scenario = LinuxScenario(
        common=common,
        release=linux.text("release", "6.1.0-18-synthetic", pattern=_RELEASE),
        size=size,
        kaslr=linux.flag("kaslr", default=True),
        filler=linux.choice("filler", FILLERS, "mixed"),
        density=linux.integer("density", 10, maximum=_PERCENT),
        time=time,
        boot=boot,
        processes=_processes(root, common, boot),
        mounts=tuple(mounts),
        files=root.each("file", partial(_parse_file, objects=common.objects)),
        unmapped=root.each("unmapped", partial(_parse_unmapped, objects=common.objects)),
        linux=linux,
    )
    linux.finish()
    return scenario


def _processes(root: Table, common: Common, boot: datetime) -> tuple[LinuxProcess, ...]:
    """Return the processes by process id, with a start for those that the scenario gives none."""
    read = root.each("process", partial(_parse_process, common=common))
    found = {process.spec.pid: process for process in read}
    if len(found) < len(read) or 0 in found:
        raise root.error("process", "expected process ids from 1 on, each of one process only")
    if KTHREADD not in found:
        spec = ProcessSpec(pid=KTHREADD, name="kthreadd", parent_pid=0, created=boot)
        found[KTHREADD] = LinuxProcess(spec=spec, table=root, kernel_thread=True)
    ordered = [found[pid] for pid in sorted(found)]
    for process in ordered:
        if process.spec.parent_pid not in {0, None, *found}:
            raise process.table.error("parent_pid", f"there is no process {process.spec.parent_pid}")
    return tuple(
        process
        if "created" in process.table
        else replace(process, spec=replace(process.spec, created=boot + _START_INTERVAL * number))
        for number, process in enumerate(ordered)
    )


def _parse_process(table: Table, common: Common) -> LinuxProcess:
    spec = parse_process(table, common.objects)
    if "executable" not in table:
        spec = replace(spec, executable=f"/usr/bin/{spec.name}")
    if "command_line" not in table:
        spec = replace(spec, command_line=spec.executable)
    regions = {region.name: region for region in spec.regions}
    paging_tables = table.table("paging")
    paging = {}
    for name in paging_tables.names():
        if name not in regions:
            raise paging_tables.error(name, "the process has no region of that name")
        paging[name] = paging_tables.table(name).read(partial(_parse_paging, region=regions[name]))
    process = LinuxProcess(
        spec=spec,
        table=table,
        user_id=table.integer("user_id", 0, maximum=_MAX_UID),
        state=table.choice("state", STATES, "sleeping"),
        kernel_thread=table.flag("kernel_thread"),
        linked=table.flag("linked", default=True),
        child=table.flag("child", default=True),
        numbered=table.flag("numbered", default=True),
        paging=paging,
    )
    _check_process(process)
    return process


def _check_process(process: LinuxProcess) -> None:
    spec, table = process.spec, process.table
    if not 0 < len(spec.name.encode()) < 16:  # noqa: PLR2004 - TASK_COMM_LEN, with a NUL
        raise table.error("name", "expected 1 to 15 bytes")
    if any("\0" in text for text in (spec.name, spec.executable, spec.command_line, *spec.environment)):
        raise table.error(None, "expected texts without NUL")
    if not process.has_memory and (spec.regions or spec.plants):
        raise table.error(None, "a thread of the kernel, or a zombie, has no regions and no plants")
    for region in spec.regions:
        if region.splits or region.holes:
            raise table.error("regions", f"{region.name!r} has splits or holes; a Linux image has pages instead")


def _parse_paging(table: Table, region: RegionSpec) -> Paging:
    pages = page_count(region.size)
    paging = Paging(
        protected=table.numbers("protected", pages),
        swapped=table.numbers("swapped", pages),
        swap_cached=table.numbers("swap_cached", pages),
    )
    special = paging.protected + paging.swapped + paging.swap_cached
    if len(set(special)) != len(special):
        raise table.error(None, "a page has two states")
    return paging


def _parse_mount(table: Table) -> MountSpec:
    kind = table.text("type", "tmpfs")
    return MountSpec(path=table.text("path", pattern=_PATH), type=kind, device=table.text("device", kind))


def _parse_file(table: Table, objects: dict[str, ObjectSpec]) -> FileSpec:
    return FileSpec(
        path=table.text("path", pattern=_PATH),
        object=table.choice("object", objects),
        offset=table.integer("offset", 0, maximum=1 << 20),
        deleted=table.flag("deleted"),
        table=table,
    )


def _parse_unmapped(table: Table, objects: dict[str, ObjectSpec]) -> UnmappedSpec:
    return UnmappedSpec(
        object=table.choice("object", objects),
        offset=table.integer("offset", 0x120, maximum=PAGE_SIZE - 1),
        table=table,
    )
