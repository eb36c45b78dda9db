"""`dumpscan redact`: a copy of a dump that can be handed on, with its secrets gone and proof of it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dumpscan.cli import options as declared
from dumpscan.cli.commands import AtLeast, Example, OneOf, command
from dumpscan.output.formats.registry import Format
from dumpscan.redact.filling import Fill
from dumpscan.redact.secret import DEFAULT_KINDS, What

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.redact.many import Job, Outcome
    from dumpscan.redact.report import Redaction
    from dumpscan.redact.run import RedactOptions

_MAX_VALUE_FILE = 16 << 20
_MAX_VALUES = 10_000
MIN_VALUE = 6
"""Bytes of the shortest string that may be removed everywhere."""


@dataclass(slots=True)
class _Results:
    """What is told in the end.

    Attributes:
        output_format: In which form.
        quiet: Whether warnings are left out.
        code: The exit code so far.
        redactions: What was done.
    """

    output_format: Format
    quiet: bool
    code: int = 0
    redactions: list[Redaction] = field(default_factory=list)

    def add(self, redaction: Redaction) -> None:
        """Take a redaction, and say what is wrong with its dump."""
        from dumpscan.cli.messages import EXIT_DAMAGED

        self.redactions.append(redaction)
        for problem in redaction.problems:
            self.tell(f"{redaction.source.file}: {problem}", "warning")
        for note in redaction.notes:
            self.tell(f"{redaction.source.file}: {note}")
        if redaction.problems:
            self.code = self.code or EXIT_DAMAGED

    def fail(self, problem: str) -> None:
        """Take a dump of which there is no copy."""
        from dumpscan.cli.messages import EXIT_UNREADABLE, complain

        complain(problem)
        self.code = EXIT_UNREADABLE

    def tell(self, message: str, level: str = "note") -> None:
        """Say something beside the results."""
        from dumpscan.cli.messages import complain

        if not self.quiet:
            complain(message, level=level)

    def write(self) -> None:
        """Write the results to standard output."""
        from dumpscan.findings import InputStatus, Status
        from dumpscan.output.formats.registry import make_renderer, write_rows
        from dumpscan.output.formats.render import View
        from dumpscan.output.redaction import COLUMNS, redaction_lines, redaction_record, redaction_rows
        from dumpscan.output.text import write_text

        if self.output_format is Format.TABLE:
            for redaction in self.redactions:
                write_text(sys.stdout, "".join(f"{line}\n" for line in redaction_lines(redaction)))
        elif self.output_format is Format.CSV:
            rows = (row for redaction in self.redactions for row in redaction_rows(redaction))
            write_rows(sys.stdout, self.output_format, COLUMNS, rows)
        else:
            renderer = make_renderer(self.output_format, command="redact", view=View.FINDINGS, stream=sys.stdout)
            for redaction in self.redactions:
                source = redaction.source
                status = Status.DAMAGED if redaction.problems else Status.OK
                renderer.add_input(InputStatus(source.file, source.size, status, redaction.problems))
                renderer.add(redaction_record(redaction))
            renderer.close()
        sys.stdout.flush()


@command(
    "redact",
    Example("dumpscan redact crash.dmp -o crash.redacted.dmp", "Write a copy without secrets."),
    Example("dumpscan redact --verify crash.redacted.dmp", "Exit with 4 if there is any secret in it."),
)
@click.argument(
    "places",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=declared.FILE,
    help="Dumps of any kind, directories of them, cases of `triage`.",
)
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    type=declared.FILE,
    help="Write the copy here; of several dumps, a directory for the copies and a report beside each.",
)
@click.option("--verify", is_flag=True, help="Write nothing; exit with 4 if there is anything that should be removed.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be removed, and where.")
@click.option("--report", metavar="FILE", type=declared.FILE, help="Write what was removed and kept, as JSON.")
@click.option(
    "--what",
    "kinds",
    metavar="KIND",
    type=OneOf(What),
    multiple=True,
    help=f"Remove only this kind of secret: {', '.join(What)}. May be repeated. By default, all but certificates go.",
)
@click.option(
    "--keep", "kept", metavar="KIND", type=OneOf(What), multiple=True, help="Keep this kind. May be repeated."
)
@click.option(
    "--keep-env", metavar="NAME", multiple=True, help="Keep the value of this environment variable. May be repeated."
)
@click.option(
    "--regex", "expressions", metavar="REGEX", multiple=True, help="Remove what matches, in ASCII and UTF-16, too."
)
@click.option(
    "--value-file",
    metavar="FILE",
    type=declared.FILE,
    multiple=True,
    help="Remove the strings in this file, one a line, in every form, too.",
)
@click.option(
    "--fill",
    type=OneOf(Fill),
    default=Fill.PATTERN.value,
    show_default=True,
    help="Write this over secrets: `REDACTED` over and over, or zeros.",
)
@click.option("--keep-unknown", is_flag=True, help="Keep bytes outside all structures of a damaged dump.")
@click.option(
    "--only-stacks",
    is_flag=True,
    help="Of a minidump, keep only what a stack walk needs: threads, registers, modules, and the pointers in stacks.",
)
@click.option("--force", is_flag=True, help="Replace copies and reports that are there already.")
@click.option(
    "--jobs", "-j", metavar="N", type=AtLeast(1), default=None, help="Redact so many dumps of several at a time."
)
@declared.archive_password
@declared.scratch
@declared.symbols
@declared.offline
@declared.output_format
@declared.quiet
@declared.no_progress
def redact(
    places: Sequence[Path],
    output: Path | None,
    verify: bool,
    dry_run: bool,
    report: Path | None,
    kinds: Sequence[What],
    kept: Sequence[What],
    keep_env: Sequence[str],
    expressions: Sequence[str],
    value_file: Sequence[Path],
    fill: Fill,
    keep_unknown: bool,
    only_stacks: bool,
    force: bool,
    jobs: int | None,
    archive_password: str | None,
    scratch: Path | None,
    symbols: Sequence[Path],
    offline: bool,
    output_format: Format,
    quiet: bool,
    no_progress: bool,
) -> int:
    """Write copies of dumps without keys, passwords and tokens, and prove that they are gone.

    The copy has the size and structure of the dump. It is searched again before it gets its name: if anything is left,
    the command fails and leaves no file. The dump itself is never changed.
    """
    from dumpscan.exceptions import UsageError
    from dumpscan.memory.formats import OpenOptions
    from dumpscan.memory.packed.unpack import UnpackOptions
    from dumpscan.redact.run import RedactOptions
    from dumpscan.redact.secret import Wanted
    from dumpscan.redact.shapes.own_patterns import compiled

    if (output is not None) + verify + dry_run != 1:
        raise UsageError("give one of --output PATH, --dry-run and --verify")
    if report is not None and output is None:
        raise UsageError("--report goes with --output; `--dry-run --format json` writes the same to standard output")
    wanted = Wanted(
        kinds=(frozenset(kinds) or DEFAULT_KINDS) - frozenset(kept),
        keep_environment=tuple(keep_env),
        expressions=tuple(os.fsencode(each) for each in expressions),
        values=tuple(value for each in value_file for value in _values(each)),
    )
    compiled(wanted.expressions)
    opening = OpenOptions(
        symbols=symbols, offline=offline, unpacking=UnpackOptions(password=archive_password, scratch=scratch)
    )
    many = len(places) > 1 or _holds_many(places[0]) or (output is not None and output.is_dir())
    options = RedactOptions(
        wanted=wanted,
        fill=fill,
        keep_unknown=keep_unknown,
        only_stacks=only_stacks,
        force=force,
        digests=report is not None or (many and output is not None) or output_format not in (Format.TABLE, Format.CSV),
        opening=opening,
    )
    results = _Results(output_format, quiet)
    if output is None:
        _examine(places, options, results, verify=verify, progress=not (quiet or no_progress))
    elif not many:
        _redact_one(places[0], output, options, results, report, progress=not (quiet or no_progress))
    else:
        if report is not None:
            raise UsageError("--report is for one dump; of several, a report is written beside each copy")
        _redact_many(places, output, options, results, jobs)
    results.write()
    return results.code


def _values(path: Path) -> Iterator[bytes]:
    """Read the strings to remove, one a line.

    Raises:
        InputError: The file cannot be read, or is too large.
    """
    from dumpscan.exceptions import InputError, reason

    try:
        with path.open("rb") as file:
            data = file.read(_MAX_VALUE_FILE + 1)
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read: {reason(error)}") from error
    lines = [line for line in data.splitlines() if line]
    if len(data) > _MAX_VALUE_FILE or len(lines) > _MAX_VALUES:
        raise InputError(path, f"has more than {_MAX_VALUES} lines or {_MAX_VALUE_FILE >> 20} MiB")
    for number, line in enumerate(lines, 1):
        if len(line) < MIN_VALUE:
            raise InputError(path, f"line {number} has fewer than {MIN_VALUE} bytes, which lie everywhere")
    yield from lines


def _holds_many(path: Path) -> bool:
    from dumpscan.case.store.database import is_case_file

    return os.path.isdir(path) or (os.path.isfile(path) and is_case_file(path))  # noqa: PTH112, PTH113 - see `split`


def _examine(
    places: Sequence[Path], options: RedactOptions, results: _Results, *, verify: bool, progress: bool
) -> None:
    """Say what would be removed from dumps; with `verify`, that there is anything is what the exit code tells."""
    from dumpscan.cli.messages import EXIT_GATE
    from dumpscan.cli.progress import ProgressBar
    from dumpscan.exceptions import DumpscanError
    from dumpscan.memory.formats import NoDumpError
    from dumpscan.redact.many import jobs_for
    from dumpscan.redact.run import examine

    for job in jobs_for(places, None):
        try:
            with ProgressBar(job.source.name, None, enabled=progress) as bar:
                redaction = examine(job.source, options, progress=bar.advance)
        except NoDumpError as error:
            if job.named:
                results.fail(f"{job.source}: {error}")
        except DumpscanError as error:
            results.fail(str(error))
        else:
            results.add(redaction)
    if verify and any(redaction.removed for redaction in results.redactions):
        results.code = EXIT_GATE


def _redact_one(
    source: Path, target: Path, options: RedactOptions, results: _Results, report: Path | None, *, progress: bool
) -> None:
    from dumpscan.cli.progress import ProgressBar
    from dumpscan.exceptions import UsageError
    from dumpscan.memory.formats import NoDumpError
    from dumpscan.output.redaction import write_report
    from dumpscan.redact.run import redact as redact_dump

    if report is not None and report.exists() and not options.force:
        raise UsageError(f"{report}: is there already, and is not written over (see --force)")

    def told(redaction: Redaction) -> None:
        if report is not None:
            write_report(report, redaction)

    try:
        with ProgressBar(source.name, None, enabled=progress) as bar:
            results.add(redact_dump(source, target, options, progress=bar.advance, before_naming=told))
    except NoDumpError as error:
        results.fail(f"{source}: {error}")


def _redact_many(
    places: Sequence[Path], output: Path, options: RedactOptions, results: _Results, jobs: int | None
) -> None:
    from dumpscan.output.redaction import write_report
    from dumpscan.redact.many import jobs_for, redact_all

    others = there = 0
    listed: list[Job] = list(jobs_for(places, output))
    outcome: Outcome
    for outcome in redact_all(listed, options, workers=jobs or 1, write_report=write_report):
        there += outcome.there
        if outcome.redaction is not None:
            results.add(outcome.redaction)
        elif outcome.other and not outcome.job.named:
            others += 1
        elif outcome.problem is not None:
            results.fail(outcome.problem)
    if there:
        results.tell(f"{there} copies are there already, and were left as they are (see --force)")
    if others:
        results.tell(f"{others} files are not dumps")
