"""Everything that was found, and the processes that hold it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from dumpscan.output.formats.table.columns import Column, at, say
from dumpscan.output.formats.table.findings import HEADINGS, kind_of
from dumpscan.output.formats.table.findings import sections as finding_sections
from dumpscan.output.formats.table.sections import Scope, Section, process_name, title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.output.records import Record


def sections(records: list[Record], scope: Scope) -> Iterator[Section]:
    """Yield the tables of the findings, then one of the processes that hold them, a row each."""
    yield from finding_sections(records, scope)
    counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    processes: set[tuple[str, str]] = set()
    for record in records:
        for holder in {(place["file"], process_name(place)) for place in record["locations"]}:
            counts[holder][kind_of(record)] += 1
        processes |= {(place["file"], process_name(place)) for place in record["locations"] if place.get("process")}
    ordered = sorted(counts.items(), key=lambda each: [-each[1][kind] for kind in HEADINGS])
    rows = [{"file": file, "process": process, **held} for (file, process), held in ordered]
    columns = (
        *scope.file_columns("file"),
        Column("Process", lambda row: say(row["process"] or "no process maps it", "" if row["process"] else "dim")),
        *(
            Column(heading.removeprefix("Encrypted ").capitalize(), at(kind), least=1, justify="right")
            for kind, (heading, _style) in HEADINGS.items()
        ),
    )
    if rows:
        yield Section(title(f"Processes: {len(processes)}"), columns, rows)
