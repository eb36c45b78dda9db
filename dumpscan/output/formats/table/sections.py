"""What a table renderer prints: titled rows and columns; and what all rows have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from dumpscan.output.formats.table.columns import Column, say
from dumpscan.output.labels import NOT_LISTED, file_names, page_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from rich.text import Text

    from dumpscan.output.records import Record


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table.

    Attributes:
        title: Its first line; None if it needs no title.
        columns: Its columns. If none has a heading, it is a plain list of names and values.
        records: A row each.
        notes: What is missing or damaged in it, a sentence each.
    """

    title: Text | None
    columns: Sequence[Column]
    records: Sequence[Record]
    notes: tuple[str, ...] = ()

    @property
    def heading(self) -> list[Text]:
        """The lines above the table."""
        return [*(() if self.title is None else (self.title,)), *(say(note, "yellow") for note in self.notes)]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the records of one run have in common, so that not every row repeats it.

    Attributes:
        files: Every dump's path, and the shortest name that tells it from the others.
        processes: Every process that something lies in, as shown.
        now: The time by which a certificate counts as expired.
        everything: Whether to show what is otherwise only counted.
        captured: When the dumps were made, by their paths, as far as they say.
    """

    files: dict[str, str]
    processes: tuple[str, ...]
    now: datetime
    everything: bool = False
    captured: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        inputs: Iterable[str],
        records: Iterable[Record],
        now: datetime,
        *,
        everything: bool = False,
        captured: Mapping[str, datetime] | None = None,
    ) -> Self:
        """Gather it from the inputs' paths and the records."""
        files = dict.fromkeys(inputs)
        processes: dict[str, None] = {}
        for record in records:
            if "dump" in record:
                files[record["dump"]] = None
            for place in record.get("locations", ()):
                files[place["file"]] = None
                processes[process_name(place)] = None
        if len(processes) == 1:  # beside a known process, an unknown one is worth a column
            processes.pop("", None)
        return cls(file_names(files), tuple(processes), now, everything, captured or {})

    @property
    def many_processes(self) -> bool:
        """Whether a row must say in which process it lies."""
        return len(self.processes) > 1

    @property
    def common(self) -> str:
        """What is true of all rows and is said once: the only file and the only process."""
        parts = list(self.files.values()) if len(self.files) == 1 else []
        parts += [] if self.many_processes else [f"process {name}" for name in self.processes]
        return "  ".join(parts)

    def file(self, path: str) -> str:
        """Return the name under which a file is shown."""
        return self.files.get(path, path)

    def file_columns(self, field: str) -> tuple[Column, ...]:
        """Return the column that says in which file a row lies, if there are several; `field` holds the path."""
        return (
            (Column("File", lambda row: say(self.file(row[field]), "bold"), heading=True),)
            if len(self.files) > 1
            else ()
        )


def process_name(place: Record) -> str:
    """Return a place's process as shown: `1234 w3wp.exe`; if none is known, whose the page is; else nothing."""
    process = place.get("process")
    if process is not None:
        name = " ".join(str(process[name]) for name in ("pid", "name") if name in process)
        return f"{name or 'unknown'} ({NOT_LISTED})" if process.get("unlisted") else name
    page = place.get("page", {})
    file = page.get("file", {})
    return page_label(page.get("owner"), file.get("path"), file.get("inode"), file.get("filesystem"))


def holder_name(place: Record) -> str:
    """Return what `process_name` does, and where in a file it lies: `page cache: /etc/ssl/key.pem, offset 0x40`."""
    offset = None if "process" in place else place.get("page", {}).get("file", {}).get("offset")
    return process_name(place) + (f", offset {offset:#x}" if offset else "")


def title(text: str, *, detail: str = "", style: str = "bold") -> Text:
    """Return a section's title with a dimmed detail behind it."""
    line = say(text, style)
    return line.append("  ").append(say(detail, "dim")) if detail else line
