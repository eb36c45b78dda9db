"""Where findings lie: the columns of tables that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from dumpscan.output.formats.table.columns import Column, say
from dumpscan.output.formats.table.sections import Scope, holder_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.output.records import Record


def holder_columns(scope: Scope) -> tuple[Column, ...]:
    """Return the columns that say in which process and which file a finding lies, where there are several."""
    process = Column("Process", _distinct(holder_name), least=18, comfort=24)
    file = Column("File", _distinct(lambda place: scope.file(place["file"]), style="bold"), heading=True)
    return (*((process,) if scope.many_processes else ()), *((file,) if len(scope.files) > 1 else ()))


def place_columns() -> tuple[Column, ...]:
    """Return the columns that say where a finding lies: its first place, and how many there are besides."""
    return (
        Column("Address", _address, rank=1),
        Column("Encoding", _distinct(lambda place: place["encoding"]), rank=3),
        Column("File offset", _file_offset, rank=5),
        Column("Module", lambda record: say(first_place(record).get("module")), rank=6, least=12),
    )


def _distinct(name: Callable[[Record], str], style: str = "") -> Callable[[Record], Text]:
    """Return what makes a cell of the first name among a finding's places, and how many others there are."""

    def cell(record: Record) -> Text:
        found = [text for text in dict.fromkeys(name(place) for place in record["locations"]) if text]
        return and_more(say(found[0], style), len(found)) if found else Text()

    return cell


def first_place(record: Record) -> Record:
    """Return the first place of a finding; empty if it has none."""
    places: list[Record] = record["locations"]
    return places[0] if places else {}


def _address(record: Record) -> Text:
    match first_place(record):
        case {"address": address}:
            return and_more(say(address), record["location_count"])
        case {"physical_address": address}:
            return and_more(say(f"physical {address:#x}"), record["location_count"])
        case {"file": _}:
            return and_more(say("unmapped"), record["location_count"])
        case _:
            return Text()


def _file_offset(record: Record) -> Text:
    place = first_place(record)
    if "file_offset" not in place:
        return Text()
    parts = len(place["extents"])
    return say(f"{place['file_offset']:#x}" + (f" ({parts} parts)" if parts > 1 else ""))


def partial_note(record: Record) -> Text:
    """Say how much of a finding the dump does not hold; empty if it holds all."""
    missing = first_place(record).get("missing")
    return say(f"partial: {missing} of {record['size']} bytes missing" if missing else None, "yellow")


def and_more(text: Text, count: int) -> Text:
    """Say behind a text that it stands for `count` of its kind."""
    return text.append(f" +{count - 1}", "dim") if count > 1 else text


def address_order(record: Record) -> tuple[str, int]:
    """Return what sorts findings by file and address of their first places."""
    place = first_place(record)
    address: int = place.get("virtual_address", place.get("physical_address")) or 0
    return (place.get("file", ""), address)
