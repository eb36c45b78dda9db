"""Tables with a row for each process, each variable of an environment, or each image that needs a symbol table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dumpscan.output.formats.table.columns import Column, at, say
from dumpscan.output.formats.table.sections import Scope, Section, process_name, title
from dumpscan.output.labels import NOT_LISTED
from dumpscan.output.records import environment_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from dumpscan.output.records import Record

_STATES = {"present": "green", "missing": "red", "unknown": "yellow"}


def cmdline_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield one table of processes with their command lines."""
    columns = (
        *scope.file_columns("dump"),
        Column("PID", at("process.pid"), justify="right"),
        Column("Parent", at("process.parent.pid"), rank=4, justify="right"),
        Column("Process", at("process.name"), least=12),
        Column("Arch", at("process.architecture"), rank=3),
        Column("Started", _time("start"), rank=5),
        Column("Command line", _command_line, least=24),
        Column("Notes", _notes, rank=9, below=True),
    )
    yield Section(None, columns, [row for record in records for row in _with_both_lines(record)])


def _with_both_lines(record: Record) -> Iterator[Record]:
    """Yield a row for each command line of a process."""
    yield record
    other = record["process"].get("command_line_32")
    if other is not None:
        process = {**record["process"], "command_line": other}
        yield {**record, "process": process, "notes": ["as its 32-bit block has it"]}


def pslist_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield one table of processes with what the system keeps of them."""
    columns = (
        *scope.file_columns("dump"),
        Column("PID", at("process.pid"), justify="right"),
        Column("Parent", at("process.parent.pid"), justify="right"),
        Column("Process", at("process.name"), least=12),
        Column("User", at("process.user.id"), rank=2, justify="right"),
        Column("Inside", _pid_inside, rank=6, justify="right"),
        Column("State", _state, rank=3),
        Column("Session", at("process.session"), rank=2, justify="right"),
        Column("WoW64", lambda record: say("yes" if record["process"].get("wow64") else None), rank=3),
        Column("Started", _time("start"), rank=1),
        Column("Ended", _time("end"), rank=1),
        Column("Executable", at("process.executable"), rank=4, least=24),
        Column("Notes", _notes, rank=9, below=True),
    )
    yield Section(None, columns, records)


def _pid_inside(record: Record) -> Text:
    """Return the process id that a process in a container has there."""
    return say(record["process"].get("namespace_pids", [None])[-1])


def _state(record: Record) -> Text:
    process = record["process"]
    return say("kernel thread" if process.get("kernel_thread") else process.get("state"))


def envars_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield a table for each process, a row for each variable."""
    columns = (Column("Variable", at("name", "bold"), least=16), Column("Value", at("value"), least=20))
    for record in records:
        entries = (environment_entry(entry) for entry in record["process"].get("env_vars", ()))
        rows = [{"name": name, "value": value} for name, value in entries if name]
        if rows or record["notes"]:
            name = process_name(record)
            heading = title(
                f"Environment of process {name}" if name else "Environment",
                detail=f"{len(rows)} variables, {scope.file(record['dump'])}",
            )
            yield Section(heading, columns, rows, tuple(record["notes"]))


def symbols_sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield one table of images with the symbol tables that they need."""
    columns = (
        Column("Image", lambda record: say(scope.file(record["dump"])), least=12),
        Column("State", lambda record: say(record["symbols"]["state"], _STATES[record["symbols"]["state"]])),
        Column("PDB", at("symbols.pdb")),
        Column("GUID", at("symbols.guid"), least=12),
        Column("Age", at("symbols.age"), justify="right"),
        Column("Symbol table", at("symbols.table"), rank=3, below=True),
        Column("Get it from", _get_from, rank=1, below=True),
        Column("Notes", at("symbols.problem", "yellow"), rank=2, below=True),
    )
    yield Section(None, columns, records)


def _get_from(record: Record) -> Text:
    """Return the address of a missing table's PDB."""
    return say(record["symbols"].get("url") if record["symbols"]["state"] == "missing" else None)


def _time(name: str) -> Callable[[Record], Text]:
    """Return what makes a cell of a time: to the second, in UTC."""

    def cell(record: Record) -> Text:
        moment = record["process"].get(name)
        return say(None if moment is None else f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S}")

    return cell


def _notes(record: Record) -> Text:
    unlisted = [NOT_LISTED] if record["process"].get("unlisted") else []
    return say("; ".join([*unlisted, *record["notes"]]), "yellow")


def _command_line(record: Record) -> Text:
    line = record["process"].get("command_line")
    return say("not in the dump", "dim") if line is None else say(line)
