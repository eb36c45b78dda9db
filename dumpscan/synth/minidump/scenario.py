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
from typing import TYPE_CHECKING

from dumpscan.synth.minidump.records import ARCHITECTURES, ExceptionRecord, HandleRecord
from dumpscan.synth.scenario import MAX_ADDRESS, parse_common, parse_process
from dumpscan.synth.toml_table import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.minidump.builder import MemoryList
    from dumpscan.synth.scenario import Common, ProcessSpec
    from dumpscan.synth.toml_table import Table

MEMORY_LISTS: dict[str, MemoryList] = {"memory64": "memory64", "memory": "memory"}
_DEFAULT_WRITTEN = datetime(2024, 1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSpec:
    """How the dump is written: the scenario's `[dump]`. An unloaded module is (path, base, size)."""

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
    handles: tuple[HandleRecord, ...]
    unloaded: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MinidumpScenario:
    """The scenario of a minidump. `table` is that of its process, for messages."""

    common: Common
    dump: DumpSpec
    process: ProcessSpec
    table: Table


def load_minidump_scenario(path: Path) -> MinidumpScenario:
    """Read a scenario file.

    Raises:
        ScenarioError: If the file cannot be read, is not TOML, or a value is malformed.
    """
    return load_scenario(path).read(_parse)


def _parse(root: Table) -> MinidumpScenario:
    common = parse_common(root)
    dump = root.table("dump").read(_parse_dump)
    table = root.table("process", required=True)
    process = table.read(lambda table: parse_process(table, common.objects))
    if process.wow64 and dump.architecture != "x64":
        raise table.error("wow64", f"expected only with architecture x64, not {dump.architecture}")
    return MinidumpScenario(common=common, dump=dump, process=process, table=table)


def _parse_dump(table: Table) -> DumpSpec:
    version = table.text("windows", "10.0.19045", pattern=r"\d{1,3}\.\d{1,3}\.\d{1,5}")
    major, minor, build = map(int, version.split("."))
    return DumpSpec(
        architecture=table.choice("architecture", ARCHITECTURES, "x64"),
        memory_list=MEMORY_LISTS[table.choice("memory_list", MEMORY_LISTS, "memory64")],
        scatter=table.flag("scatter"),
        split_environment=table.flag("split_environment"),
        version=(major, minor, build),
        server=table.flag("server"),
        written=table.moment("written", _DEFAULT_WRITTEN),
        misc_level=table.integer("misc_level", 4, minimum=1, maximum=5),
        build_string=table.text("build_string", "", pattern=r"[ -~]{0,259}"),
        memory_info=table.flag("memory_info", default=True),
        comment=table.text("comment", None),
        exception=table.table("exception").read(_parse_exception) if "exception" in table else None,
        handles=table.each("handles", _parse_handle),
        unloaded=table.each("unloaded_modules", _parse_unloaded),
    )


def _parse_exception(table: Table) -> ExceptionRecord:
    return ExceptionRecord(
        thread_id=table.integer("thread", maximum=0xFFFFFFFF),
        code=table.integer("code", maximum=0xFFFFFFFF),
        address=table.integer("address", 0, maximum=MAX_ADDRESS),
    )


def _parse_handle(table: Table) -> HandleRecord:
    return HandleRecord(table.integer("handle"), table.text("type"), table.text("name", None))


def _parse_unloaded(table: Table) -> tuple[str, int, int]:
    return table.text("path"), table.integer("base"), table.size("size", maximum=0x8000_0000)
