"""One command over one or several inputs: what it says on standard error, what became of each input, its exit code."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dumpscan.cli.messages import EXIT_DAMAGED, EXIT_DONE, EXIT_UNREADABLE, complain
from dumpscan.cli.progress import ProgressBar
from dumpscan.exceptions import DumpscanError, NoSuchProcessError
from dumpscan.findings import InputStatus, Status
from dumpscan.memory.dump import is_physical
from dumpscan.memory.formats import NoDumpError
from dumpscan.memory.open import StillPackedError, open_dump
from dumpscan.memory.symbols.errors import SymbolsError
from dumpscan.output.formats.registry import make_renderer
from dumpscan.output.formats.render import View
from dumpscan.output.missing_symbols import MissingTables
from dumpscan.output.records import finding_record, process_record

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from dumpscan.artifacts.registry import Search
    from dumpscan.findings import Finding, Process
    from dumpscan.memory.dump import PhysicalDump, ProcessDump
    from dumpscan.memory.formats import DumpKind, OpenOptions
    from dumpscan.output.records import Record

    AnyDump = ProcessDump | PhysicalDump


_MAX_ABSENT = 5
"""Inputs that are named when none has the process that was asked for."""


class Run:
    """One command over its inputs. Results go to standard output through one renderer, all else to standard error.

    Attributes:
        quiet: No warnings and no progress.
        progress: Whether progress may be shown.
        readable: How many inputs could be read.
        incomplete: How many inputs are damaged or could not be read.
    """

    def __init__(
        self, command: str, view: View, output_format: str, *, quiet: bool, progress: bool, everything: bool = False
    ) -> None:
        self.quiet = quiet
        self.progress = progress and not quiet
        self.readable = 0
        self.incomplete = 0
        self._worst = EXIT_DONE
        self._damage: list[str] = []
        self._missing = MissingTables()
        self._nameless = False  # whether an input could not be worked on for want of its symbol table
        self._bar = ProgressBar("", None, enabled=False)
        self._renderer = make_renderer(
            output_format, command=command, view=view, stream=sys.stdout, everything=everything
        )

    def warn(self, message: str) -> None:
        """Say what a user should know but need not act upon."""
        if not self.quiet:
            complain(message, level="warning")

    def note(self, message: str) -> None:
        """Say how it went."""
        if not self.quiet:
            complain(message, level="note")

    def searching(self, dump: AnyDump, what: Search) -> ProgressBar:
        """Return the progress display of the input at hand, which is going to be searched."""
        from dumpscan.search.run import search_size

        size = search_size(dump, what)
        self._bar.expect(size, passes=size // dump.searchable_bytes if dump.searchable_bytes else 1)
        return self._bar

    def over(
        self,
        paths: Iterable[tuple[Path, bool]],
        kind: DumpKind | None,
        options: OpenOptions,
        work: Callable[[int, Path, AnyDump], None],
        *,
        judge: bool = True,
    ) -> None:
        """Open the inputs one after another and work on each; an unreadable input is reported and skipped.

        Args:
            paths: Files, and whether each was named on the command line (rather than found in a directory).
            kind: What the files must be; by default, any dump.
            options: How to open them.
            work: Called with the input's number, its path and the dump.
            judge: Whether damage and warnings of the dumps matter to the command.

        Raises:
            NoSuchProcessError: A process was asked for, and no input has it.
            KeyboardInterrupt: The user's, with a text that says what is done.
        """
        others = 0
        absent: list[NoSuchProcessError] = []
        for number, (path, named) in enumerate(paths):
            self._damage.clear()
            try:
                self._work_on(number, path, kind, options, work, judge=judge)
            except NoDumpError as error:
                if named or isinstance(error, StillPackedError):
                    self._unreadable(path, f"{path}: {error}")
                else:
                    others += 1
            except NoSuchProcessError as error:
                absent.append(NoSuchProcessError(_naming(path, error)))
                self._renderer.add_input(InputStatus(str(path), _size(path), Status.OK, ()))
            except SymbolsError as error:
                self._missing.add(str(path), error.missing)
                self._nameless = True
                self._worst = EXIT_UNREADABLE
                self._renderer.add_input(InputStatus(str(path), _size(path), Status.NO_SYMBOLS, (error.problem,)))
            except DumpscanError as error:
                self._unreadable(path, str(error))
            except MemoryError:
                self._unreadable(path, f"{path}: reading it takes more memory than there is")
        self._conclude(absent, others)

    def _work_on(
        self,
        number: int,
        path: Path,
        kind: DumpKind | None,
        options: OpenOptions,
        work: Callable[[int, Path, AnyDump], None],
        *,
        judge: bool,
    ) -> None:
        """Open an input, work on it, and say what is wrong with it (see `over`)."""
        with self._display(path, number), open_dump(path, kind=kind, options=options) as dump:
            try:
                work(number, path, dump)
            finally:
                warnings = list(dump.warnings) if judge else []
                captured = dump.captured if judge else None
                missing = dump.missing_tables if judge and is_physical(dump) else ()
            problems = (*(dump.damage if judge else ()), *self._damage)
        self.readable += 1
        self._missing.add(str(path), missing)
        self._read(path, problems, warnings, captured, complete=not missing)

    def _conclude(self, absent: list[NoSuchProcessError], others: int) -> None:
        """Say what is true of several inputs at once: missing symbol tables, absent processes, files that are no dumps.

        Raises:
            NoSuchProcessError: No input has the process that was asked for.
        """
        if line := self._missing.line():
            if self._nameless:
                complain(line)
            else:
                self.warn(line)
        if absent and not self.readable:
            more = f"; and {len(absent) - _MAX_ABSENT} more" if len(absent) > _MAX_ABSENT else ""
            raise NoSuchProcessError("; ".join(map(str, absent[:_MAX_ABSENT])) + more)
        for each in absent:
            self.note(str(each))
        if others:
            files = (
                "1 file in the directories is not a dump"
                if others == 1
                else f"{others} files in the directories are not dumps"
            )
            self.note(files)

    @contextmanager
    def _display(self, path: Path, done: int) -> Generator[None]:
        """Show progress; an interrupt leaves with a text that says what was done, and how to go on."""
        self._bar = ProgressBar(path.name, None, enabled=self.progress)
        try:
            with self._bar:
                yield
        except KeyboardInterrupt as error:
            others = f", after {done} other file{'' if done == 1 else 's'}" if done else ""
            raise KeyboardInterrupt(
                f"interrupted at {self._bar.percent} % of {path}{others}; nothing was written. Name fewer files, or "
                "use `dumpscan triage`, which keeps what is done and goes on from there when it is run again"
            ) from error

    def _unreadable(self, path: Path, message: str) -> None:
        complain(message)
        self._worst = EXIT_UNREADABLE
        self.incomplete += 1
        self._renderer.add_input(InputStatus(str(path), _size(path), Status.UNREADABLE, (message,)))

    def _read(
        self,
        path: Path,
        problems: tuple[str, ...],
        warnings: Sequence[str],
        captured: datetime | None,
        *,
        complete: bool,
    ) -> None:
        for problem in problems:
            self.warn(f"{path}: {problem}")
        for warning in warnings:
            self.warn(f"{path}: {warning}")
        if problems:
            self.incomplete += 1
            self._worst = self._worst or EXIT_DAMAGED
        status = Status.DAMAGED if problems else Status.OK if complete else Status.NO_SYMBOLS
        self._renderer.add_input(InputStatus(str(path), _size(path), status, problems, captured))

    def damaged(self, problem: str) -> None:
        """Note what else is wrong with the input at hand, beside what it says itself."""
        self._damage.append(problem)

    def add_input(self, status: InputStatus) -> None:
        """Say what became of an input that was not opened here: a dump of a case."""
        self._renderer.add_input(status)

    def add(self, record: Record) -> None:
        """Hand a record to the renderer."""
        self._renderer.add(record)

    def add_process(self, process: Process, path: Path, *, environment: bool) -> None:
        """Hand a process to the renderer."""
        self.add(process_record(process, str(path), environment=environment))

    def add_findings(self, findings: Sequence[Finding], *, dropped: int = 0) -> None:
        """Hand findings to the renderer."""
        for finding in findings:
            self.add(finding_record(finding))
        if dropped:
            self.warn(f"{dropped} further findings were not kept: there are too many")
            self._worst = self._worst or EXIT_DAMAGED

    def finish(self) -> int:
        """Write what is still to be written; return the exit code."""
        self._renderer.close()
        return self._worst

    def export(self, findings: Sequence[Finding], output: Path, password: bytes | None) -> None:
        """Export findings, and say how that went.

        Raises:
            ExportError: Something could not be exported.
        """
        from dumpscan.output.exports.key_files import export

        report = export(findings, output, password)
        for warning in report.warnings:
            self.warn(warning)
        there = f", {len(report.already_there)} were there already" if report.already_there else ""
        self.note(f"{len(report.written)} files written to {output}{there}")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _naming(path: Path, error: NoSuchProcessError) -> str:
    """Return the text of an error with the input that it is about."""
    text = str(error)
    return text if text.startswith(f"{path}: ") else f"{path}: {text}"
