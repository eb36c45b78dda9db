"""Everything that was found, and the processes that hold it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from dumpscan.output.formats.table.columns import Column, say
from dumpscan.output.formats.table.findings import is_unproven
from dumpscan.output.formats.table.findings import sections as finding_sections
from dumpscan.output.formats.table.sections import Scope, Section, process_name, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from dumpscan.output.records import Record

_UNPROVEN = "unproven_key"
_COUNTED = {
    "private_key": "Private keys",
    _UNPROVEN: "Unproven keys",
    "symmetric_key": "Symmetric keys",
    "encrypted_container": "Containers",
    "certificate": "Certificates",
    "public_key": "Public keys",
}


def _count_of(kind: str) -> Callable[[Record], Text]:
    return lambda row: say(row[kind] or None)


def sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield the tables of the findings, then one of the processes that hold them, a row each."""
    yield from finding_sections(records, scope)
    counts: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTED, 0))
    for record in records:
        for holder in {(place["file"], process_name(place)) for place in record["locations"]}:
            counts[holder][_UNPROVEN if is_unproven(record) else record["kind"]] += 1
    rows = [
        {"file": file, "process": process, **held}
        for (file, process), held in sorted(counts.items(), key=lambda each: tuple(-held for held in each[1].values()))
    ]
    columns = (
        *((Column("File", lambda row: say(scope.file(row["file"])), least=12),) if scope.many_files else ()),
        Column("Process", lambda row: say(row["process"] or "no process maps it", "" if row["process"] else "dim")),
        *(
            Column(heading, _count_of(kind), justify="right")
            for kind, heading in _COUNTED.items()
            if any(row[kind] for row in rows)
        ),
    )
    if rows:
        processes = sum(bool(row["process"]) for row in rows)
        yield Section(title(f"Processes: {processes}"), columns, rows)
