"""The interface of every format: hand over inputs and records as they come, then close."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from dumpscan.findings import InputStatus
    from dumpscan.output.records import Record


class View(StrEnum):
    """What the records of one command are, which decides the columns of table and CSV."""

    FINDINGS = "findings"
    SECRETS = "secrets"
    EVERYTHING = "everything"
    PSLIST = "pslist"
    CMDLINE = "cmdline"
    ENVARS = "envars"
    INFO = "info"
    SYMBOLS = "symbols"


class Renderer(Protocol):
    """Writes records to a text stream. The output is complete only after `close`, which flushes the stream.

    Every method may raise OSError from the stream: a BrokenPipeError when the reader has gone.
    """

    def __init__(self, stream: TextIO, view: View, command: str, *, everything: bool = False) -> None:
        """Prepare to write records of a view; `command` is what the user typed.

        `everything` is for formats that leave something out: whether they are to write it too.
        """

    def add_input(self, status: InputStatus) -> None:
        """Say what became of an input file. May come before, between or after its records."""

    def add(self, record: Record) -> None:
        """Write, or keep for later, one document of `dumpscan.output.records`."""

    def close(self) -> None:
        """Write what has not been written yet, and flush. The stream stays open."""

    @staticmethod
    def write_rows(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write the answer of a query: values in columns that are not known beforehand."""
