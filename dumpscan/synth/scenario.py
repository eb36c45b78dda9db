"""What all scenarios have in common: a name and a seed, objects, processes with memory, and plants.

A process (`[process]` in the scenario of a minidump, `[[process]]` where there can be many) has `regions` filled with
seeded filler. Its `plants` put an object at an address, somewhere in a region, or across a seam.

The parsers here take a `Table`. The caller may read more keys from the same table and calls `Table.finish` or passes
the parser to `Table.read`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.filler import FILLERS
from dumpscan.synth.objects.scenario import parse_objects

if TYPE_CHECKING:
    from dumpscan.synth.objects.spec import ObjectSpec
    from dumpscan.synth.toml_table import Table

FORMAT = 1
"""Version of the scenario format: every scenario begins with `format = 1`."""
NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
MAX_ADDRESS = (1 << 64) - 1
MAX_PID = 0xFFFF_FFFC
PROTECTIONS = {"r": 0x02, "rw": 0x04, "rx": 0x20, "rwx": 0x40}
"""`PAGE_READONLY`, `PAGE_READWRITE`, `PAGE_EXECUTE_READ`, `PAGE_EXECUTE_READWRITE` (winnt.h)."""
MAX_REGION = 64 << 30
"""Bytes of one region."""
_DEFAULT_CREATED = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSpec:
    """A region of a process's memory.

    Attributes:
        name: Unique in the process.
        address: Virtual address; None if the builder chooses it.
        size: Bytes.
        filler: One of `filler.FILLERS`.
        protect: `PAGE_...` value.
        splits: Offsets at which the region is cut into adjacent memory ranges.
        holes: (offset, bytes) of the parts that the dump does not hold, in ascending order.
    """

    name: str
    address: int | None
    size: int
    filler: str = "mixed"
    protect: int = PROTECTIONS["rw"]
    splits: tuple[int, ...] = ()
    holes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantSpec:
    """An object to plant.

    Attributes:
        object: Name of the object.
        address: Virtual address; None if the seed chooses it.
        region: Name of the region to plant it in; None for any region.
        across_seam: Whether it must lie across a seam: the border of two memory ranges, or of two pages.
        seam_at: Bytes of the object before the seam; None for half of them.
        copies: How many are planted.
        alignment: A chosen address is a multiple of this.
        table: Its table in the scenario, for messages.
    """

    object: str
    address: int | None = None
    region: str | None = None
    across_seam: bool = False
    seam_at: int | None = None
    copies: int = 1
    alignment: int = 16
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSpec:
    """A thread. The size of its stack is in bytes."""

    thread_id: int
    name: str | None
    stack: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSpec:
    """A loaded module. If `base` is None, it is loaded at the next free address."""

    path: str
    base: int | None
    size: int
    version: tuple[int, int, int, int]
    pdb: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process, in the terms of `dumpscan.findings.Process`."""

    pid: int
    name: str
    parent_pid: int | None = None
    executable: str = ""
    command_line: str = ""
    environment: tuple[str, ...] = ()
    current_directory: str = ""
    session: int = 0
    wow64: bool = False
    created: datetime
    threads: tuple[ThreadSpec, ...] = ()
    modules: tuple[ModuleSpec, ...] = ()
    regions: tuple[RegionSpec, ...] = ()
    plants: tuple[PlantSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The beginning of every scenario. `name` is also that of the files; `seed` determines everything random."""

    name: str
    description: str
    seed: str
    objects: dict[str, ObjectSpec]


def parse_common(root: Table) -> Common:
    """Read `format`, `name`, `description`, `seed`, `[keys]` and `[objects.*]`.

    Raises:
        ScenarioError: If a value is malformed.
    """
    root.integer("format", minimum=FORMAT, maximum=FORMAT)
    name = root.text("name", pattern=NAME_PATTERN)
    return Common(
        name=name,
        description=root.text("description", ""),
        seed=root.text("seed", name),
        objects=parse_objects(root.table("keys"), root.table("objects")),
    )


def parse_process(table: Table, objects: dict[str, ObjectSpec]) -> ProcessSpec:
    """Read a process; the caller finishes the table.

    Raises:
        ScenarioError: If a value is malformed, or a plant names an unknown object or region.
    """
    pid = table.integer("pid", maximum=MAX_PID)
    name = table.text("name")
    executable = table.text("executable", f"C:\\Windows\\System32\\{name}")
    regions = table.each("regions", _parse_region)
    names = [region.name for region in regions]
    for region, count in Counter(names).items():
        if count > 1:
            raise table.error("regions", f"there are {count} regions named {region!r}")
    return ProcessSpec(
        pid=pid,
        name=name,
        parent_pid=table.integer("parent_pid", None, maximum=MAX_PID),
        executable=executable,
        command_line=table.text("command_line", f'"{executable}"'),
        environment=table.texts("environment"),
        current_directory=table.text("current_directory", "C:\\Windows\\System32\\"),
        session=table.integer("session", 1, maximum=0xFFFFFFFF),
        wow64=table.flag("wow64"),
        created=table.moment("created", _DEFAULT_CREATED),
        threads=table.each("threads", _parse_thread),
        modules=table.each("modules", _parse_module),
        regions=regions,
        plants=table.each("plants", partial(_parse_plant, objects=objects, regions=names)),
    )


def _parse_region(table: Table) -> RegionSpec:
    size = table.size("size", maximum=MAX_REGION)
    splits = table.sizes("splits")
    if list(splits) != sorted(set(splits)) or any(split >= size for split in splits):
        raise table.error("splits", f"expected ascending offsets below the region's size of {size} bytes")
    holes = table.each("holes", partial(parse_hole, first=PAGE_SIZE, limit=size, where=f"the region's {size} bytes"))
    if any(low[0] + low[1] > high[0] for low, high in pairwise(holes)):
        raise table.error("holes", "expected holes in ascending order that do not overlap")
    return RegionSpec(
        name=table.text("name", pattern=NAME_PATTERN),
        address=table.integer("address", None, maximum=MAX_ADDRESS),
        size=size,
        filler=table.choice("filler", FILLERS, "mixed"),
        protect=PROTECTIONS[table.choice("protect", PROTECTIONS, "rw")],
        splits=splits,
        holes=holes,
    )


def parse_hole(table: Table, first: int, limit: int, where: str) -> tuple[int, int]:
    """Read a hole and return its (start, size): whole pages from `first` up to `limit`, which `where` describes.

    Raises:
        ScenarioError: If a value is malformed or lies outside these limits.
    """
    start, size = table.size("start", maximum=limit), table.size("size", maximum=limit)
    if start % PAGE_SIZE or size % PAGE_SIZE or start < first or start + size > limit:
        raise table.error("start", f"expected whole pages within {where}")
    return start, size


def _parse_plant(table: Table, objects: dict[str, ObjectSpec], regions: list[str]) -> PlantSpec:
    plant = PlantSpec(
        object=table.choice("object", objects),
        address=table.integer("address", None, maximum=MAX_ADDRESS),
        region=table.choice("region", regions, None),
        across_seam=table.flag("across_seam"),
        seam_at=table.integer("seam_at", None, minimum=1),
        copies=table.integer("copies", 1, minimum=1, maximum=1_000_000),
        alignment=table.integer("alignment", 16, minimum=1, maximum=1 << 30),
        table=table,
    )
    if plant.address is not None and (plant.region or plant.across_seam or plant.copies > 1):
        raise table.error("address", "an address goes without region, across_seam and copies")
    if plant.seam_at is not None and not plant.across_seam:
        raise table.error("seam_at", "expected only with across_seam = true")
    return plant


def _parse_thread(table: Table) -> ThreadSpec:
    return ThreadSpec(
        thread_id=table.integer("id", minimum=1, maximum=MAX_PID),
        name=table.text("name", None),
        stack=table.size("stack", PAGE_SIZE, maximum=0x100000),
    )


def _parse_module(table: Table) -> ModuleSpec:
    version = table.text("version", "10.0.0.0", pattern=r"\d{1,5}\.\d{1,5}\.\d{1,5}\.\d{1,5}")
    major, minor, build, revision = map(int, version.split("."))
    if max(major, minor, build, revision) > 0xFFFF:  # noqa: PLR2004 -- 16 bits each
        raise table.error("version", f"expected four numbers up to 65535, not {version!r}")
    return ModuleSpec(
        path=table.text("path"),
        base=table.integer("base", None, maximum=MAX_ADDRESS),
        size=table.size("size", 0x100000, maximum=0x8000_0000),
        version=(major, minor, build, revision),
        pdb=table.text("pdb", None),
    )
