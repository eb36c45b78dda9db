"""`dumpscan report` and `dumpscan case export`: a case for people, and for other tools."""

from __future__ import annotations

import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dumpscan.cli.options import Quiet
from dumpscan.output.exports.registry import Target

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TextIO

CasePath = Annotated[Path, typer.Argument(metavar="CASE", help="The case file.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]
When = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        metavar="TIME",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"],
        help="The time by which certificates are judged, e.g. 2025-06-01 (UTC); now by default.",
        show_default=False,
    ),
]
To = Annotated[Target, typer.Option("--to", help="The tool to write for.", show_default=False)]


def report(
    case: CasePath,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The HTML file; `-` for standard output.", show_default=False
        ),
    ],
    title: Annotated[
        str | None, typer.Option(help="Its heading; the case file's name by default.", show_default=False)
    ] = None,
    at: When = None,
    force: Force = False,
    quiet: Quiet = False,
) -> int:
    """Write a case as one HTML file to read, print and hand on."""
    from dumpscan.case.store.reader import Case
    from dumpscan.cli.messages import EXIT_DONE, complain
    from dumpscan.output.report.html import write_report
    from dumpscan.output.report.rows import minute

    moment = datetime.now(UTC) if at is None else at.replace(tzinfo=UTC)
    with Case.open(case) as opened, _destination(output, force=force) as stream:
        write_report(
            opened.dumps(),
            opened.findings(),
            stream,
            title=title or f"Case {case.stem}",
            generated=moment,
            settings={"case file": str(case), "case begun": minute(opened.created)},
        )
    if not quiet and str(output) != "-":
        complain(f"report written to {output}", level="note")
    return EXIT_DONE


def export(
    case: CasePath,
    to: To,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write; `-` is standard output.")
    ] = Path("-"),
    force: Force = False,
    quiet: Quiet = False,
) -> int:
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
