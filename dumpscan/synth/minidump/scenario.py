"""Scenarios of minidumps: what all scenarios share (`dumpscan.synth.scenario`), `[dump]`, and one `[process]`.

[dump]                              # how the dump is written
architecture = "x64"
memory_list = "memory64"
written = 2024-05-17T09:31:08Z

[process]
pid = 5120
name = "w3wp.exe"
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from dumpscan.synth.minidump.builder import MemoryList
from dumpscan.synth.minidump.records import ARCHITECTURES, ExceptionRecord
from dumpscan.synth.scenario import parse_common, parse_process
from dumpscan.synth.toml_table import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.scenario import Common, ProcessSpec
    from dumpscan.synth.toml_table import Table

MEMORY_LISTS: tuple[MemoryList, ...] = get_args(MemoryList)
_DEFAULT_WRITTEN = datetime(2024, 1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSpec:
    """How the dump is written: the scenario's `[dump]`."""

    architecture: str
    memory_list: MemoryList
    scatter: bool
    split_environment: bool
    version: tuple[int, int, int]
    server: bool
    written: datetime
    misc_level: int
    build_string: str
    memory_info: bool
    comment: str | None
    exception: ExceptionRecord | None
    handles: tuple[tuple[int, str, str | None], ...]
    unloaded: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MinidumpScenario:
    """A whole scenario of a minidump, checked; `table` is that of its process, for messages."""

    common: Common
    dump: DumpSpec
    process: ProcessSpec
    table: Table


def load_minidump_scenario(path: Path) -> MinidumpScenario:
    """Read a scenario.

    Raises:
        ScenarioError: If it cannot be read or is malformed; the message names the file, the table, the key and what was
            expected.
    """
    root = load_scenario(path)
    common = parse_common(root)
    dump = _parse_dump(root.table("dump"))
    table = root.table("process", required=True)
    process = parse_process(table, common.objects)
    table.finish()
    root.finish()
    if process.wow64 and dump.architecture != "x64":
        raise table.error("wow64", f"expected only with architecture x64, not {dump.architecture}")
    return MinidumpScenario(common=common, dump=dump, process=process, table=table)


def _parse_dump(table: Table) -> DumpSpec:
    version = table.text("windows", "10.0.19045", pattern=r"\d{1,3}\.\d{1,3}\.\d{1,5}").split(".")
    handles = table.tables("handles")
    unloaded = table.tables("unloaded_modules")
    spec = DumpSpec(
        architecture=table.choice("architecture", tuple(ARCHITECTURES), "x64"),
        memory_list="memory" if table.choice("memory_list", MEMORY_LISTS, "memory64") == "memory" else "memory64",
        scatter=table.flag("scatter"),
        split_environment=table.flag("split_environment"),
        version=(int(version[0]), int(version[1]), int(version[2])),
        server=table.flag("server"),
        written=table.moment("written", _DEFAULT_WRITTEN),
        misc_level=table.integer("misc_level", 4, minimum=1, maximum=5),
        build_string=table.text("build_string", "", pattern=r"[ -~]{0,259}"),
        memory_info=table.flag("memory_info", default=True),
        comment=table.text("comment", None),
        exception=_parse_exception(table.table("exception")) if "exception" in table else None,
        handles=tuple((t.integer("handle"), t.text("type"), t.text("name", None)) for t in handles),
        unloaded=tuple((t.text("path"), t.integer("base"), t.size("size", maximum=0x8000_0000)) for t in unloaded),
    )
    for child in (table, *handles, *unloaded):
        child.finish()
    return spec


def _parse_exception(table: Table) -> ExceptionRecord:
    record = ExceptionRecord(
        thread_id=table.integer("thread", maximum=0xFFFFFFFF),
        code=table.integer("code", maximum=0xFFFFFFFF),
        address=table.integer("address", 0, maximum=(1 << 64) - 1),
    )
    table.finish()
    return record
