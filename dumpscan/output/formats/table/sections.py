"""What a table renderer prints: titled rows and columns; and what they all need to know of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Self

from dumpscan.output.formats.table.columns import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from rich.text import Text

    from dumpscan.output.formats.table.columns import Column
    from dumpscan.output.records import Record


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table.

    Attributes:
        title: Its first line, if it needs one.
        columns: Its columns; without any heading among them it is a plain list of names and values.
        records: A row each.
        notes: What is missing or damaged in it, in words.
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
    """What the records of one run have in common, and so need not be repeated in every row.

    Attributes:
        files: Every dump's path, and the shortest name that tells it from the others.
        processes: Every process that something lies in, as shown.
        now: The time by which a certificate counts as expired.
    """

    files: dict[str, str]
    processes: tuple[str, ...]
    now: datetime

    @classmethod
    def of(cls, inputs: Iterable[str], records: Iterable[Record], now: datetime) -> Self:
        """Gather it from the inputs' paths and the records."""
        files = dict.fromkeys(inputs)
        processes: dict[str, None] = {}
        for record in records:
            if "dump" in record:
                files[record["dump"]] = None
            for place in record.get("locations", ()):
                files[place["file"]] = None
                processes[process_name(place)] = None
        names = {path: PureWindowsPath(path).name for path in files}  # knows both separators
        if len(set(names.values())) < len(names):
            names = {path: path for path in files}
        if len(processes) == 1:  # that one process is not known for some places is worth a column
            processes.pop("", None)
        return cls(names, tuple(processes), now)

    @property
    def many_files(self) -> bool:
        """Whether a row must say in which file it lies."""
        return len(self.files) > 1

    @property
    def many_processes(self) -> bool:
        """Whether a row must say in which process it lies."""
        return len(self.processes) > 1

    @property
    def common(self) -> str:
        """What holds for all rows and is said once: the only file and the only process."""
        parts = [] if self.many_files else list(self.files.values())
        parts += [] if self.many_processes else [f"process {name}" for name in self.processes]
        return "  ".join(parts)

    def file(self, path: str) -> str:
        """Return the name under which a file is shown."""
        return self.files.get(path, path)


def process_name(place: Record) -> str:
    """Return a place's process as shown: `1234 w3wp.exe`; empty if it is not known."""
    process = place.get("process", {})
    return " ".join(str(process[name]) for name in ("pid", "name") if name in process)


def title(text: str, *, detail: str = "", style: str = "bold") -> Text:
    """Return a section's title with a dimmed detail behind it."""
    line = say(text, style)
    if detail:
        line.append("  ").append(say(detail, "dim"))
    return line
