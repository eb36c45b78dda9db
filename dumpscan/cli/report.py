"""`dumpscan report` and `dumpscan case export`: a case for people, and for other tools."""

from __future__ import annotations

import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dumpscan.cli import options
from dumpscan.cli.commands import Example, OneOf, command
from dumpscan.output.exports.registry import Target

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TextIO

    from dumpscan.case.moments import At

_force = click.option("--force", is_flag=True, help="Replace the file if it is there.")


@command(
    "report",
    Example("dumpscan report case.db -o report.html", "Write the report of a case."),
    Example(
        "dumpscan report case.db -o report.html --at 2025-06-01 --force",
        "Replace it by one that judges certificates by the time of the incident.",
    ),
)
@options.case_file
@click.option(
    "--output", "-o", metavar="FILE", type=options.FILE, required=True, help="The HTML file; `-` for standard output."
)
@click.option("--title", metavar="TEXT", help="Its heading, instead of the case file's name.")
@options.at
@_force
@options.quiet
def report(
    case: Path,
    output: Path,
    title: str | None = None,
    at: At | None = None,
    force: bool = False,
    quiet: bool = False,
) -> int:
    """Write a case as one HTML file to read, print and hand on."""
    from dumpscan.case.store.reader import Case
    from dumpscan.cli.messages import EXIT_DONE, complain
    from dumpscan.output.report.html import write_report
    from dumpscan.output.report.texts import minute

    with Case.open(case) as opened, _destination(output, force=force) as stream:
        write_report(
            opened.dumps(),
            opened.findings(),
            stream,
            title=title or f"Case {case.stem}",
            generated=datetime.now(UTC) if at is None else at.now,
            at=at,
            settings={"case file": str(case), "case begun": minute(opened.created)},
        )
    if not quiet and str(output) != "-":
        complain(f"report written to {output}", level="note")
    return EXIT_DONE


@command(
    "export",
    Example("dumpscan case export case.db --to ecs -o events.jsonl", "Write events for Elasticsearch."),
    Example("dumpscan case export case.db --to timesketch", "Write a timeline to standard output."),
)
@options.case_file
@click.option("--to", type=OneOf(Target), required=True, help="Write for this tool.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=options.FILE,
    default="-",
    show_default=True,
    help="The file to write; `-` is standard output.",
)
@_force
@options.quiet
def export(case: Path, to: Target, output: Path = Path("-"), force: bool = False, quiet: bool = False) -> int:
    """Write a case for another tool."""
    from dumpscan.case.store.reader import Case
    from dumpscan.cli.messages import EXIT_DONE, complain
    from dumpscan.output.exports.registry import export_case

    with Case.open(case) as opened, _destination(output, force=force) as stream:
        count = export_case(opened.dumps(), opened.findings(), to, stream)
    if not quiet and str(output) != "-":
        complain(f"{count} records written to {output}", level="note")
    return EXIT_DONE


@contextlib.contextmanager
def _destination(output: Path, *, force: bool) -> Generator[TextIO]:
    if str(output) == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    from dumpscan.files import new_file

    with new_file(output, force=force) as stream:
        yield stream
