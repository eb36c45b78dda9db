"""Processes as tables: their command lines, and their environments."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dumpscan.output.formats.table.columns import Column, say
from dumpscan.output.formats.table.sections import Scope, Section, process_name, title
from dumpscan.output.records import environment_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from dumpscan.output.records import Record


def cmdline_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield one table of processes, a row each."""
    columns = (
        *((Column("File", lambda record: say(scope.file(record["dump"])), least=12),) if scope.many_files else ()),
        Column("PID", _field("pid"), justify="right"),
        Column("Parent", _parent, rank=4, justify="right"),
        Column("Process", _field("name"), least=12),
        Column("Arch", _field("architecture"), rank=3),
        Column("Started", lambda record: _time(record, "start"), rank=5),
        Column("Command line", _command_line, least=24),
        Column("Notes", _notes, rank=1, least=16),
    )
    if records:
        yield Section(None, columns, records)


def pslist_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield one table of processes, a row each, with what the system keeps of them."""
    columns = (
        *((Column("File", lambda record: say(scope.file(record["dump"])), least=12),) if scope.many_files else ()),
        Column("PID", _field("pid"), justify="right"),
        Column("Parent", _parent, justify="right"),
        Column("Process", _field("name"), least=12),
        Column("Session", _field("session"), rank=2, justify="right"),
        Column("WoW64", lambda record: say("yes" if record["process"].get("wow64") else None), rank=3),
        Column("Started", lambda record: _time(record, "start"), rank=1),
        Column("Ended", lambda record: _time(record, "end"), rank=1),
        Column("Executable", _field("executable"), rank=4, least=24),
        Column("Notes", _notes, rank=5, least=16),
    )
    if records:
        yield Section(None, columns, records)


def envars_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield a table for each process, a row for each variable."""
    columns = (
        Column("Variable", lambda row: say(row["name"], "bold"), least=16),
        Column("Value", lambda row: say(row["value"]), least=20),
    )
    for record in records:
        entries = [environment_entry(entry) for entry in record["process"].get("env_vars", ())]
        rows = [{"name": name, "value": value} for name, value in entries]
        if rows or record["notes"]:
            detail = f"{len(rows)} variables, {scope.file(record['dump'])}"
            name = process_name(record)
            yield Section(
                title(f"Environment of process {name}" if name else "Environment", detail=detail),
                columns,
                rows,
                tuple(record["notes"]),
            )


def _field(name: str) -> Callable[[Record], Text]:
    return lambda record: say(record["process"].get(name))


def _time(record: Record, name: str) -> Text:
    """Return a time to the second, as UTC."""
    moment = record["process"].get(name)
    return say(None if moment is None else f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S}")


def _notes(record: Record) -> Text:
    return say("; ".join(record["notes"]), "yellow")


def _parent(record: Record) -> Text:
    return say(record["process"].get("parent", {}).get("pid"))


def _command_line(record: Record) -> Text:
    line = record["process"].get("command_line")
    return say("not in the dump", "dim") if line is None else say(line)
