"""Writes a case file: one process at a time, one transaction for each dump."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dumpscan.case.records import CaseError, MissingSymbols
from dumpscan.case.store import rows as rows_of
from dumpscan.case.store.database import ask, insert, open_for_writing, own_files, resolve, stored_text
from dumpscan.case.store.lock import CaseLock
from dumpscan.case.store.values import stored
from dumpscan.findings import TlsSecret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from dumpscan.case.records import DumpRecord
    from dumpscan.case.store.values import Row, Setting
    from dumpscan.findings import Finding, Location, Process, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpResult:
    """All that was learnt of one file.

    Attributes:
        record: The file.
        findings: What was found in it; `Location.file` of their places is the record's `path`.
        modified_ns: When it was last changed, in nanoseconds since 1970, as precisely as the system records it.
        tag: What else distinguishes its states: the entity tag, on servers that have one.
        opened: Whether the system allowed it to be opened.
        missing_symbols: The symbol tables without which its processes are not known.
    """

    record: DumpRecord
    findings: tuple[Finding, ...] = ()
    modified_ns: int | None = None
    tag: str | None = None
    opened: bool = True
    missing_symbols: tuple[MissingSymbols, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDump:
    """A file that is in the case: its state when it was read, and how it was read.

    The attributes are those of `DumpRecord` and `DumpResult`.
    """

    size: int | None
    modified_ns: int | None
    tag: str | None
    status: Status
    format: str | None
    settings: Mapping[str, Setting]
    opened: bool
    missing_symbols: tuple[MissingSymbols, ...]


class CaseWriter:
    """The one writer of a case file.

    Attributes:
        path: The file.

    Raises:
        CaseError: It is not a case file, cannot be written, or another process is writing to it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = resolve(self.path)
        self._lock = CaseLock(self._file)
        try:
            self._connection = open_for_writing(self._file)
        except BaseException:
            self._lock.release()
            raise
        try:
            self._execute("INSERT OR IGNORE INTO case_info VALUES ('created', ?)", stored(datetime.now(UTC)))
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a case file; create it if it does not exist.

        Raises:
            CaseError: As for the class.
        """
        return cls(path)

    def close(self) -> None:
        """Close the file, and let others write to it."""
        with suppress(sqlite3.Error):  # another program reads it: the files beside it stay for the next writer
            self._connection.execute("PRAGMA journal_mode = DELETE")  # without a writer, one file is all of a case
        self._connection.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def own_files(self) -> frozenset[str]:
        """The absolute paths, without links, of the files that make up the case."""
        return own_files(self._file) | {str(self._lock.path)}

    def known(self) -> dict[str, KnownDump]:
        """Return the files that are in the case, by path.

        Raises:
            CaseError: The case file is damaged.
        """
        missing: defaultdict[int, list[MissingSymbols]] = defaultdict(list)
        for row in self._ask("missing_symbols", "SELECT * FROM missing_symbols"):
            missing[row.integer("dump_id")].append(rows_of.missing_symbols_of(row))
        question = "SELECT id, path, size, modified_ns, tag, status, format, settings, opened FROM dumps"
        return {
            row.text("path"): KnownDump(
                size=row.optional(row.number, "size"),
                modified_ns=row.optional(row.integer, "modified_ns"),
                tag=row.optional(row.text, "tag"),
                status=rows_of.status_of(row, lacks_symbols=bool(missing[row.integer("id")])),
                format=row.optional(row.text, "format"),
                settings=row.settings("settings"),
                opened=row.flag("opened"),
                missing_symbols=tuple(missing[row.integer("id")]),
            )
            for row in self._ask("dumps", question)
        }

    def _ask(self, table: str, question: str) -> Iterator[Row]:
        return ask(self._connection, self.path, table, question)

    def add(self, result: DumpResult) -> None:
        """Add a file, and remove what the case has under its path. Either all of it is written, or nothing.

        Raises:
            CaseError: It cannot be written, e.g. because the disk is full.
        """
        with self._transaction():
            self._remove(result.record.path)
            self._add(result)

    def forget(self, path: str) -> None:
        """Remove what the case has under a path.

        Raises:
            CaseError: It cannot be written.
        """
        with self._transaction():
            self._remove(path)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise CaseError(f"{self.path}: cannot be written: {error}") from error

    def _insert(self, table: str, row: Mapping[str, object]) -> int:
        try:
            return insert(self._connection, table, row)
        except sqlite3.Error as error:
            raise CaseError(f"{self.path}: cannot be written: {error}") from error

    def _remove(self, path: str) -> None:
        found = self._execute("SELECT id FROM dumps WHERE path = CAST(? AS TEXT)", stored_text(path)).fetchone()
        if found is None:
            return
        seen = self._execute("SELECT finding_id FROM sightings WHERE dump_id = ?", found[0]).fetchall()
        self._execute("DELETE FROM dumps WHERE id = ?", found[0])
        for (finding_id,) in seen:
            self._execute(
                "DELETE FROM findings WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM sightings WHERE finding_id = ?1)",
                finding_id,
            )

    def _add(self, result: DumpResult) -> None:
        record = result.record
        known = {"modified_ns": result.modified_ns, "tag": result.tag, "opened": result.opened}
        dump_id = self._insert("dumps", {**rows_of.dump_row(record), **known})
        for missing in result.missing_symbols:
            self._insert("missing_symbols", {"dump_id": dump_id, **asdict(missing)})
        processes = _ProcessNumbers()
        for position, process in enumerate(record.processes):
            row = {"dump_id": dump_id, "position": position, **rows_of.process_row(process)}
            number = self._insert("processes", row)
            processes.add(process, number)
            for place, entry in enumerate(process.environment):
                self._insert("environment", {"process_id": number, "position": place, "entry": entry})
        for position, finding in enumerate(result.findings):
            self._add_finding(finding, dump_id, position, processes)

    def _add_finding(self, finding: Finding, dump_id: int, position: int, processes: _ProcessNumbers) -> None:
        kind, identity = finding.identity
        known = self._execute("SELECT id FROM findings WHERE kind = ? AND identity = ?", kind, identity).fetchone()
        if known is None:
            number = self._insert("findings", {"kind": kind, "identity": identity})
            self._insert(rows_of.KINDS[kind].table, {"finding_id": number, **rows_of.finding_row(finding)})
        else:
            number = known[0]
            if isinstance(finding, TlsSecret):
                self._tell_more(number, finding)
        if secret := rows_of.secret_of(finding):
            self._execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", number, secret)
        row = {"finding_id": number, "dump_id": dump_id, "position": position, **rows_of.sighting_row(finding)}
        self._insert("sightings", row)
        for place, location in enumerate(finding.locations):
            row = {"finding_id": number, "dump_id": dump_id, "position": place, **rows_of.location_row(location)}
            row["process_id"] = processes.number_of(location)
            self._insert("locations", row)

    def _tell_more(self, number: int, secret: TlsSecret) -> None:
        """Add what is known of a secret in this dump only (see `TlsSecret.joined`)."""
        row = rows_of.finding_row(secret)
        self._execute(
            "UPDATE tls_secrets SET client_random = ?, server_random = ?, random_proven = ? "
            "WHERE finding_id = ? AND (client_random IS NULL OR random_proven < ?)",
            row["client_random"],
            row["server_random"],
            row["random_proven"],
            number,
            row["random_proven"],
        )
        self._execute(
            "UPDATE tls_secrets SET cipher_suite = coalesce(cipher_suite, ?), details = json_patch(?, details) "
            "WHERE finding_id = ?",
            row["cipher_suite"],
            row["details"],
            number,
        )


class _ProcessNumbers:
    """The rows of a dump's processes, by process id and start time or name: systems reuse the ids."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int | None, object], int] = {}

    def add(self, process: Process, number: int) -> None:
        for mark in _marks(process):
            self._numbers.setdefault((process.pid, mark), number)

    def number_of(self, location: Location) -> int | None:
        process = location.process
        if process is None:
            return None
        for mark in _marks(process):
            if (process.pid, mark) in self._numbers:
                return self._numbers[process.pid, mark]
        return None


def _marks(process: Process) -> list[object]:
    marks = [process.created] if process.created is not None else []
    return [*marks, ("name", process.name)]
