"""Which symbol tables images need, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.output.formats.table.columns import Column, say
from dumpscan.output.formats.table.sections import Scope, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from dumpscan.output.records import Record

_STYLES = {"present": "green", "missing": "red", "unknown": "yellow"}


def sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield one table of images, a row each."""
    columns = (
        Column("Image", lambda record: say(scope.file(record["dump"])), least=12),
        Column("State", _state),
        Column("PDB", _field("pdb")),
        Column("GUID", _field("guid"), least=12),
        Column("Age", _field("age"), justify="right"),
        Column("Symbol table", _field("table"), rank=3, least=20),
        Column("Symbol-server path", _field("server_path"), rank=1, least=20),
        Column("Notes", lambda record: say(record["symbols"].get("problem"), "yellow"), rank=2, least=16),
    )
    if records:
        yield Section(None, columns, records)


def _field(name: str) -> Callable[[Record], Text]:
    return lambda record: say(record["symbols"].get(name))


def _state(record: Record) -> Text:
    state = record["symbols"]["state"]
    return say(state, _STYLES[state])
