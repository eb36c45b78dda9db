"""What all scenarios have in common: keys, objects, processes, their memory and what is planted in it.

    [keys]
    site = "rsa-2048"                   # name = algorithm

    [objects.site-certificate]
    kind = "certificate"                # one of objects.KINDS
    key = "site"
    subject = "CN=www.contoso.example"

A process (`[process]` in a minidump's scenario, `[[process]]` where there are many) has `regions`, filled with seeded
filler, and `plants`, which lay an object at an address, somewhere in a region, or across a seam. The parsers here take
a `Table` and tick off the keys that they know; a caller may read further keys of its own from the same table before it
calls `Table.finish`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, PublicKey, SymmetricKey
from dumpscan.synth.filler import FILLERS, PAGE
from dumpscan.synth.objects.catalogue import (
    CERTIFICATE_ENCODINGS,
    CONTAINER_ENCODINGS,
    FLAWS,
    KINDS,
    PRIVATE_KEY_ENCODINGS,
    PUBLIC_KEY_ENCODINGS,
    SYMMETRIC_KEY_ENCODINGS,
    ObjectSpec,
)
from dumpscan.synth.objects.keys import ALGORITHMS, SYMMETRIC
from dumpscan.synth.objects.planted import DECOY
from dumpscan.synth.objects.symcrypt.keys import BUILDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.synth.toml_table import Table

FORMAT = 1
"""Version of the scenario format: `format = 1` opens every scenario."""
NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
ADDRESS_LIMIT = (1 << 64) - 1
PROTECTIONS = {"r": 0x02, "rw": 0x04, "rx": 0x20, "rwx": 0x40}
"""`PAGE_READONLY`, `PAGE_READWRITE`, `PAGE_EXECUTE_READ`, `PAGE_EXECUTE_READWRITE`."""
MAXIMUM_REGION = 64 << 30
"""Bytes of one region."""
_LONGEST_CHAIN = 32
_DEFAULT_CREATED = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSpec:
    """A region of a process's memory.

    Attributes:
        name: Unique within the process.
        address: Virtual address; None for one that the builder chooses.
        size: Bytes.
        filler: Name of a filler (`filler.FILLERS`).
        protect: `PAGE_...` value.
        splits: Offsets at which the region is cut into adjacent memory ranges.
        holes: (offset, bytes) of what the dump does not hold of it, in ascending order.
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
    """Where an object is to lie.

    Attributes:
        object: Name of the object.
        address: Virtual address; None for a place that the seed chooses.
        region: Name of the region to choose from; None for any.
        across_seam: Whether it must lie across a seam: the border of two memory ranges, or of two pages.
        seam_at: Bytes of it that lie before the seam; None for half.
        copies: How often it is planted.
        alignment: Of a chosen address, in bytes.
        table: Where the scenario says so, for messages.
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
    """A thread; the stack's size is in bytes."""

    thread_id: int
    name: str | None
    stack: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSpec:
    """A loaded module. Without a base it gets the next free one; the PDB's GUID comes from the seed."""

    path: str
    base: int | None
    size: int
    version: tuple[int, int, int, int]
    pdb: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A process, in the words of `dumpscan.findings.Process`."""

    pid: int
    name: str
    parent_pid: int | None
    executable: str
    command_line: str
    environment: tuple[str, ...]
    current_directory: str
    session: int
    wow64: bool
    created: datetime
    threads: tuple[ThreadSpec, ...]
    modules: tuple[ModuleSpec, ...]
    regions: tuple[RegionSpec, ...]
    plants: tuple[PlantSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What opens every scenario: its name (of the files too), the seed of all that is random, and the objects."""

    name: str
    description: str
    seed: str
    objects: dict[str, ObjectSpec]


def parse_common(root: Table) -> Common:
    """Read `format`, `name`, `description`, `seed`, `[keys]` and `[objects.*]`.

    Raises:
        ScenarioError: If any of it is malformed.
    """
    root.integer("format", minimum=FORMAT, maximum=FORMAT)
    name = root.text("name", pattern=NAME_PATTERN)
    return Common(
        name=name,
        description=root.text("description", ""),
        seed=root.text("seed", name),
        objects=parse_objects(root.table("keys"), root.table("objects")),
    )


def parse_objects(keys: Table, objects: Table) -> dict[str, ObjectSpec]:
    """Read `[keys]` and `[objects.*]`: specifications by name, each with its issuer's.

    Raises:
        ScenarioError: If any of it is malformed, or issuers are unknown or go round in a circle.
    """
    algorithms = {name: keys.choice(name, (*ALGORITHMS, *SYMMETRIC)) for name in keys.keys()}  # noqa: SIM118 -- no mapping
    tables = {name: objects.table(name) for name in objects.keys()}  # noqa: SIM118 -- no mapping
    parsed: dict[str, ObjectSpec] = {}

    def parse(name: str, path: tuple[str, ...]) -> ObjectSpec:
        if name not in parsed:
            parsed[name] = _parse_object(tables[name], algorithms, lambda issuer: resolve(name, issuer, path))
        return parsed[name]

    def resolve(name: str, issuer: str, path: tuple[str, ...]) -> ObjectSpec:
        if issuer not in tables:
            raise tables[name].error("issuer", f"there is no object {issuer!r}; expected the name of a certificate")
        if len(path) > _LONGEST_CHAIN:
            raise tables[name].error("issuer", f"the chain is longer than {_LONGEST_CHAIN} certificates")
        if issuer in (name, *path):
            raise tables[name].error("issuer", f"{issuer!r} is signed by itself in the end; leave issuer out for that")
        spec = parse(issuer, (*path, name))
        if spec.kind != Certificate.kind:
            raise tables[name].error("issuer", f"{issuer!r} is a {spec.kind}; expected the name of a certificate")
        return spec

    for name in tables:
        parse(name, ())
    return parsed


def _parse_object(table: Table, algorithms: dict[str, str], resolve: Callable[[str], ObjectSpec]) -> ObjectSpec:
    kind = table.choice("kind", KINDS)
    symmetric = kind == SymmetricKey.kind
    key = table.choice("key", [name for name, algorithm in algorithms.items() if (algorithm in SYMMETRIC) == symmetric])
    known = {
        Certificate.kind: CERTIFICATE_ENCODINGS,
        PrivateKey.kind: PRIVATE_KEY_ENCODINGS,
        PublicKey.kind: PUBLIC_KEY_ENCODINGS,
        SymmetricKey.kind: SYMMETRIC_KEY_ENCODINGS,
        EncryptedContainer.kind: CONTAINER_ENCODINGS,
        DECOY: FLAWS,
    }[kind]
    encoding = table.choice("flaw", known) if kind == DECOY else table.choice("encoding", known, known[0])
    spec = ObjectSpec(kind=kind, algorithm=algorithms[key], key=key, encoding=encoding)
    if encoding.endswith(tuple(BUILDS)) and not symmetric:
        spec = replace(spec, wrapped=table.flag("wrapped"))
    if kind == EncryptedContainer.kind:
        spec = replace(spec, password=table.text("password", spec.password))
    if kind == Certificate.kind or encoding in ("pkcs12", "truncated-certificate", "garbled-certificate"):
        issuer = table.text("issuer", None)
        spec = replace(
            spec,
            subject=table.text("subject"),
            issuer=None if issuer is None else resolve(issuer),
            version=table.integer("version", spec.version, minimum=1, maximum=3),
            serial=table.integer("serial", None, minimum=-(1 << 63), maximum=(1 << 160) - 1),
            not_before=table.moment("not_before", spec.not_before),
            not_after=table.moment("not_after", spec.not_after),
            alternative_names=table.texts("alternative_names"),
            ca=table.flag("ca"),
        )
    table.finish()
    return spec


def parse_process(table: Table, objects: dict[str, ObjectSpec]) -> ProcessSpec:
    """Read a process; `Table.finish` is left to the caller.

    Raises:
        ScenarioError: If any of it is malformed, or a plant names an object or a region that is not there.
    """
    pid = table.integer("pid", minimum=0, maximum=0xFFFFFFFC)
    name = table.text("name")
    executable = table.text("executable", f"C:\\Windows\\System32\\{name}")
    regions = tuple(_parse_region(region) for region in table.tables("regions"))
    names = [region.name for region in regions]
    for region, count in Counter(names).items():
        if count > 1:
            raise table.error("regions", f"there are {count} regions named {region!r}")
    return ProcessSpec(
        pid=pid,
        name=name,
        parent_pid=table.integer("parent_pid", None, maximum=0xFFFFFFFC),
        executable=executable,
        command_line=table.text("command_line", f'"{executable}"'),
        environment=table.texts("environment"),
        current_directory=table.text("current_directory", "C:\\Windows\\System32\\"),
        session=table.integer("session", 1, maximum=0xFFFFFFFF),
        wow64=table.flag("wow64"),
        created=table.moment("created", _DEFAULT_CREATED),
        threads=tuple(_parse_thread(thread) for thread in table.tables("threads")),
        modules=tuple(_parse_module(module) for module in table.tables("modules")),
        regions=regions,
        plants=tuple(_parse_plant(plant, objects, names) for plant in table.tables("plants")),
    )


def _parse_region(table: Table) -> RegionSpec:
    size = table.size("size", maximum=MAXIMUM_REGION)
    splits = table.sizes("splits")
    if list(splits) != sorted(set(splits)) or any(split >= size for split in splits):
        raise table.error("splits", f"expected ascending offsets below the region's size of {size} bytes")
    region = RegionSpec(
        name=table.text("name", pattern=NAME_PATTERN),
        address=table.integer("address", None, maximum=ADDRESS_LIMIT),
        size=size,
        filler=table.choice("filler", tuple(FILLERS), "mixed"),
        protect=PROTECTIONS[table.choice("protect", tuple(PROTECTIONS), "rw")],
        splits=splits,
        holes=tuple(_parse_hole(hole, size) for hole in table.tables("holes")),
    )
    if any(low[0] + low[1] > high[0] for low, high in pairwise(region.holes)):
        raise table.error("holes", "expected holes in ascending order, apart from one another")
    table.finish()
    return region


def _parse_hole(table: Table, region_size: int) -> tuple[int, int]:
    # From the second page on, so that a region begins with memory.
    start, size = table.size("start", maximum=region_size), table.size("size", maximum=region_size)
    table.finish()
    if start % PAGE or size % PAGE or start + size > region_size:
        raise table.error("start", f"expected whole pages within the region's {region_size} bytes")
    return start, size


def _parse_plant(table: Table, objects: dict[str, ObjectSpec], regions: list[str]) -> PlantSpec:
    plant = PlantSpec(
        object=table.choice("object", tuple(objects)),
        address=table.integer("address", None, maximum=ADDRESS_LIMIT),
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
    table.finish()
    return plant


def _parse_thread(table: Table) -> ThreadSpec:
    thread = ThreadSpec(
        thread_id=table.integer("id", minimum=1, maximum=0xFFFFFFFC),
        name=table.text("name", None),
        stack=table.size("stack", 0x1000, maximum=0x100000),
    )
    table.finish()
    return thread


def _parse_module(table: Table) -> ModuleSpec:
    version = table.text("version", "10.0.0.0", pattern=r"\d{1,5}\.\d{1,5}\.\d{1,5}\.\d{1,5}")
    parts = tuple(map(int, version.split(".")))
    if max(parts) > 0xFFFF:  # noqa: PLR2004 -- 16 bits each
        raise table.error("version", f"expected four numbers up to 65535, not {version!r}")
    module = ModuleSpec(
        path=table.text("path"),
        base=table.integer("base", None, maximum=ADDRESS_LIMIT),
        size=table.size("size", 0x100000, maximum=0x8000_0000),
        version=(parts[0], parts[1], parts[2], parts[3]),
        pdb=table.text("pdb", None),
    )
    table.finish()
    return module
