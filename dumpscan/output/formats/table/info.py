"""A dump's description of itself, whatever it holds: names and values, then a table for each list of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dumpscan.output.formats.table.columns import Column, say
from dumpscan.output.formats.table.sections import Scope, Section, title
from dumpscan.output.formats.table.units import spelled
from dumpscan.output.labels import size_label
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from dumpscan.output.records import Record

_IN_HEX = frozenset(
    {
        *("access", "address", "attributes", "base", "checksum", "code", "context", "end", "flags", "offset"),
        *(
            "parameters",
            "pc",
            "peb",
            "pointer",
            "protect",
            "rva",
            "sp",
            "stack",
            "start",
            "state",
            "teb",
            "timestamp",
            "type",
        ),
    }
)
"""Last words of the names of numbers that are shown in hexadecimal."""

_SPELLINGS = {
    **{
        word: word.upper()
        for word in ("cpu", "dtb", "guid", "id", "os", "pdb", "peb", "pid", "rva", "teb", "utc", "uuid")
    },
    "wow64": "WoW64",
}
"""Words that are not written in small letters."""
_FIRST = frozenset({"name", "type_name", "path", "version"})
"""Columns that are always shown."""

_LARGE = 1024
"""Bytes from which on a size is also shown in a larger unit."""


def sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield the sections of each dump: its plain values first, then what is nested in it."""
    for record in records:
        yield from _described(record["kind"], record[record["kind"]], printable(scope.file(record["dump"])))


def _described(name: str, value: Record, heading: str) -> Iterator[Section]:
    """Yield a section for a document's plain values, then sections for its dicts and its lists of dicts."""
    given = {field: item for field, item in spelled(name, value).items() if item not in (None, "", [], {})}
    nested = {field: item for field, item in given.items() if _is_nested(item)}
    rows = [row for field, item in given.items() if field not in nested for row in _rows(field, item)]
    columns = (Column("", lambda row: say(row["field"], "dim"), least=16), Column("", _value, least=20))
    if rows:
        yield Section(title(heading), columns, rows)
    for field, item in nested.items():
        if isinstance(item, dict):
            yield from _described(field, item, _words(field))
        else:
            yield Section(title(f"{_words(field)}: {len(item)}"), _columns(item), item)


def _rows(field: str, item: Any) -> Iterator[Record]:  # noqa: ANN401 - JSON's own types
    """Yield the lines of one plain value: a line for each text of a list, otherwise one line."""
    name = _words(field)
    if isinstance(item, list) and any(isinstance(text, str) for text in item):
        for number, text in enumerate(item):
            yield {"field": "" if number else name, "value": _shown(field, text)}
    elif field.endswith("_percent"):
        yield {"field": _words(field.removesuffix("_percent")), "value": f"{item} %"}
    elif isinstance(item, int) and field.rsplit("_", 1)[-1] in {"bytes", "size"}:
        yield {"field": name, "value": f"{item} ({size_label(item)})" if item >= _LARGE else str(item)}
    else:
        yield {"field": name, "value": _shown(field, item)}


def _is_nested(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def _value(row: Record) -> Text:
    return say(row["value"])


def _columns(rows: list[Record]) -> list[Column]:
    """Return a column for every field of any row; when there is little room, names stay, then the first fields."""
    names = dict.fromkeys(name for row in rows for name in row)

    def cell(name: str) -> Callable[[Record], Text]:
        return lambda row: say(_shown(name, row.get(name)))

    return [
        Column(
            _words(name),
            cell(name),
            rank=0 if name in _FIRST else number,
            least=0 if _all_numbers(rows, name) else 32 if name in _FIRST else 20,
            justify="right" if _all_numbers(rows, name) else "left",
        )
        for number, name in enumerate(names)
    ]


def _all_numbers(rows: list[Record], name: str) -> bool:
    return all(type(row.get(name, 0)) is int for row in rows)


def _shown(name: str, value: Any) -> str:  # noqa: ANN401 - JSON's own types
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() if name.rsplit("_", 1)[-1] in _IN_HEX:
            return f"{value:#x}"
        case list():
            return ", ".join(_shown(name, item) for item in value)
        case dict():
            return ", ".join(f"{_words(field).lower()} {_shown(field, item)}" for field, item in value.items())
        case _:
            return str(value)


def _words(name: str) -> str:
    """Return a field's name as a heading. The name may come from the dump, so it is made printable."""
    words = " ".join(_SPELLINGS.get(word, word) for word in printable(name).split("_"))
    return words[:1].upper() + words[1:]
