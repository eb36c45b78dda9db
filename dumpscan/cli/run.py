"""One command over one or several inputs: what it says on standard error, what became of each input, its exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from dumpscan.cli.messages import EXIT_DAMAGED, EXIT_DONE, EXIT_UNREADABLE, complain
from dumpscan.exceptions import DumpscanError
from dumpscan.findings import InputStatus, Status
from dumpscan.output.formats.render import View, make_renderer
from dumpscan.output.records import finding_record, process_record

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from dumpscan.findings import Finding, Process
    from dumpscan.output.records import Record

Dump = TypeVar("Dump")


class Run:
    """One command over its inputs. Results go to standard output through one renderer, all else to standard error.

    Attributes:
        quiet: No warnings and no progress.
        progress: Whether progress may be shown.
        readable: How many inputs could be read.
    """

    def __init__(self, command: str, view: View, output_format: str, *, quiet: bool, progress: bool) -> None:
        self.quiet = quiet
        self.progress = progress and not quiet
        self.readable = 0
        self._worst = EXIT_DONE
        self._damage: list[str] = []
        self._renderer = make_renderer(output_format, command=command, view=view, stream=sys.stdout)

    def warn(self, message: str) -> None:
        """Say what a user should know but need not act upon."""
        if not self.quiet:
            complain(message, level="warning")

    def note(self, message: str) -> None:
        """Say how it went."""
        if not self.quiet:
            complain(message, level="note")

    def each(
        self,
        paths: Sequence[Path],
        opener: Callable[[Path], AbstractContextManager[Dump]],
        damage: Callable[[Dump], Sequence[str]],
    ) -> Generator[tuple[Path, Dump]]:
        """Open the inputs one after another; one that cannot be read is said so, and the rest goes on.

        Args:
            paths: Files to open.
            opener: Opens one; raises a `DumpscanError` if it cannot.
            damage: What turned out to be wrong with an opened one, asked for when the caller is done with it.
        """
        for path in paths:
            self._damage.clear()
            try:
                with opener(path) as dump:
                    yield path, dump
                    problems = (*damage(dump), *self._damage)
            except DumpscanError as error:
                complain(str(error))
                self._worst = EXIT_UNREADABLE
                self._renderer.add_input(InputStatus(str(path), _size(path), Status.UNREADABLE, (str(error),)))
                continue
            self.readable += 1
            for problem in problems:
                self.warn(f"{path}: {problem}")
            if problems and self._worst == EXIT_DONE:
                self._worst = EXIT_DAMAGED
            status = Status.DAMAGED if problems else Status.OK
            self._renderer.add_input(InputStatus(str(path), _size(path), status, problems))

    def damaged(self, problem: str) -> None:
        """Note what else is wrong with the input at hand, beside what it says itself."""
        self._damage.append(problem)

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
