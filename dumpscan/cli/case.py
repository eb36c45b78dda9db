"""`dumpscan case ...`: what is in a case file."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dumpscan.cli import options
from dumpscan.cli.commands import AtLeast, Example, Group, command
from dumpscan.cli.report import export
from dumpscan.output.formats.registry import Format

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dumpscan.case.moments import At
    from dumpscan.case.records import DumpRecord, ExposedKey
    from dumpscan.case.store.reader import Case
    from dumpscan.findings import Finding


@command(
    "show",
    Example("dumpscan case show case.db", "Show the whole case in short."),
    Example("dumpscan case show case.db --certificate server.cer", "Show a certificate, its keys and places."),
)
@options.case_file
@click.option("--key", metavar="ID", help="Show a key and its certificates. The beginning of the id is enough.")
@click.option(
    "--certificate",
    metavar="CERT",
    help="Show a certificate and its keys: give its file, that of its public key, or the beginning of its thumbprint.",
)
@click.option("--dump", metavar="PATH", help="Show what is in a dump, and what is wrong with it.")
@options.at
@options.everything
@options.output_format
def show(
    case: Path,
    key: str | None,
    certificate: str | None,
    dump: str | None,
    at: At | None,
    everything: bool,
    output_format: Format,
) -> int:
    """Show the whole case in short, or all about one key, certificate or dump."""
    from dumpscan.case.store.reader import Case

    chosen = [choice for choice in (key, certificate, dump) if choice is not None]
    if len(chosen) > 1:
        from dumpscan.exceptions import UsageError

        raise UsageError("give one of --key, --certificate and --dump")
    with Case.open(case) as opened:
        if key is not None:
            return _named(_of_key(opened, key), f"no key with id {key}", output_format)
        if certificate is not None:
            return _named(_of_certificate(opened, certificate), f"no certificate {certificate}", output_format)
        if dump is not None:
            return _dump(opened, dump, output_format, everything=everything)
        return _all(opened, at, output_format)


@command(
    "query",
    Example("dumpscan case query case.db", "List tables, columns and questions to begin with."),
    Example('dumpscan case query case.db "SELECT path, status FROM dumps"', "List the dumps."),
    Example('dumpscan case query case.db "SELECT * FROM pairs" --format csv', "Write keys and certificates as CSV."),
)
@options.case_file
@click.argument(
    "sql",
    metavar="[SQL]",
    required=False,
    help="One SELECT statement; `.tables` or `.schema`. Without it, tables, columns and some questions are listed.",
)
@click.option(
    "--limit",
    "most_rows",
    metavar="ROWS",
    type=AtLeast(1),
    default=10_000,
    show_default=True,
    help="Show so many rows at most.",
)
@click.option(
    "--timeout",
    "seconds",
    metavar="SECONDS",
    type=AtLeast(0.1),
    default=60.0,
    show_default=True,
    help="Give up after so many seconds.",
)
@options.output_format
def query(case: Path, sql: str | None, most_rows: int, seconds: float, output_format: Format) -> int:
    """Ask the case in SQL. Nothing can be changed; key material reads as NULL."""
    from dumpscan.case.store import guide
    from dumpscan.case.store.query import query as ask
    from dumpscan.cli.messages import EXIT_DONE, complain
    from dumpscan.output.formats.registry import write_rows
    from dumpscan.output.terminal import write_lines
    from dumpscan.output.text import printable, write_text

    if sql is None and output_format is Format.TABLE:
        write_lines(sys.stdout, map(printable, guide.guide(case)))
        return EXIT_DONE
    if sql is None:
        answer = guide.columns(case)
    elif sql.lstrip().startswith("."):
        answer = guide.command(case, sql)
    else:
        answer = ask(case, sql, most_rows=most_rows, seconds=seconds)
    if sql is not None and sql.lstrip().startswith(".schema") and output_format is Format.TABLE:
        if not answer.rows:
            complain("there is no such table or view: `.tables` lists them", level="note")
        for (statement,) in answer.rows:
            write_text(sys.stdout, "".join(f"{printable(line)}\n" for line in f"{statement!s};".splitlines()))
    else:
        write_rows(sys.stdout, output_format, answer.columns, answer.rows)
    if answer.cut:
        complain(f"only the first {len(answer.rows)} rows are shown: see --limit", level="warning")
    return EXIT_DONE


def show_findings(
    command: str,
    findings: Iterable[Finding],
    dumps: Sequence[DumpRecord],
    output_format: Format,
    *,
    everything: bool = False,
) -> None:
    """Write findings and what became of the files that they lie in to standard output."""
    from dumpscan.output.formats.registry import make_renderer
    from dumpscan.output.formats.render import View
    from dumpscan.output.records import finding_record

    renderer = make_renderer(
        output_format, command=command, view=View.FINDINGS, stream=sys.stdout, everything=everything
    )
    for dump in dumps:
        renderer.add_input(dump.input_status)
    for finding in findings:
        renderer.add(finding_record(finding))
    renderer.close()


def show_summary(case: Case, exposed: Sequence[ExposedKey], at: At) -> None:
    """Write a case in short to standard output; `exposed` is what `Case.exposed_keys` returns for these moments."""
    from dumpscan.findings import Status
    from dumpscan.output.case_summary import case_summary
    from dumpscan.output.terminal import write_lines

    bad = [dump for dump in case.dumps(processes=False) if dump.status in {Status.UNREADABLE, Status.PENDING}]
    write_lines(sys.stdout, case_summary(case.summary(at), exposed, bad, at))


def _of_key(case: Case, given: str) -> list[Finding]:
    """Return the keys and certificates of what is named: by the beginning of a key id, or as `references` reads it."""
    from dumpscan.search.reference import beginning_of_name, references

    beginning = beginning_of_name(given)
    if beginning is not None:
        return case.keyed(beginning)
    return _each_once(found for each in references(given) if each.key_id for found in case.keyed(each.key_id))


def _of_certificate(case: Case, given: str) -> list[Finding]:
    """Return the certificates that are named, and the keys and other certificates of their public keys."""
    from dumpscan.search.reference import beginning_of_name, references

    beginning = beginning_of_name(given)
    if beginning is not None:
        return case.certificates(beginning)
    return _each_once(
        found
        for each in references(given)
        for found in (
            *(case.certificates(each.thumbprint) if each.thumbprint else ()),
            *(case.keyed(each.key_id) if each.key_id else ()),
        )
    )


def _each_once(findings: Iterable[Finding]) -> list[Finding]:
    return list({each.identity: each for each in findings}.values())


def _named(findings: list[Finding], nothing: str, output_format: Format) -> int:
    from dumpscan.cli.messages import EXIT_DONE, EXIT_UNREADABLE, complain

    if not findings:
        complain(f"{nothing} in this case")
        return EXIT_UNREADABLE
    show_findings("case show", findings, (), output_format, everything=True)
    return EXIT_DONE


def _dump(case: Case, name: str, output_format: Format, *, everything: bool) -> int:
    from dumpscan.cli.messages import EXIT_DONE, EXIT_UNREADABLE, complain
    from dumpscan.output.labels import size_label
    from dumpscan.output.text import printable, write_text

    record = case.dump(name) or case.dump(str(Path(name).absolute()))
    if record is None:
        named = [each.path for each in case.dumps(processes=False) if re.split(r"[/\\!]", each.path)[-1] == name]
        record = case.dump(named[0]) if len(named) == 1 else None
        which = f": which of {', '.join(named)}?" if named else ""
    if record is None:
        complain(f"no dump {name} in this case{which}")
        return EXIT_UNREADABLE
    if output_format is Format.TABLE:
        size = "unknown" if record.size is None else size_label(record.size)
        lines = [
            f"{record.path}: {record.status.value}, {record.format or 'no dump'}, {size}",
            f"SHA-256 {record.sha256 or 'not computed'}",
            *(() if record.captured is None else (f"made {record.captured.isoformat(timespec='seconds')}",)),
            f"read {record.finished.isoformat(timespec='seconds')} by dumpscan {record.tool_version}",
            *record.problems,
            *(
                f"process {process.pid} {process.name or ''}: {process.command_line or 'no command line'}"
                for process in record.processes
            ),
        ]
        write_text(sys.stdout, "".join(f"{printable(line)}\n" for line in lines) + "\n")
    show_findings("case show", case.findings(dump=record.path), [record], output_format, everything=everything)
    return EXIT_DONE


def _all(case: Case, at: At | None, output_format: Format) -> int:
    from dumpscan.case.moments import At
    from dumpscan.cli.messages import EXIT_DONE

    if output_format is Format.TABLE:
        judged = At.of(at)
        show_summary(case, case.exposed_keys(judged), judged)
    else:
        show_findings("case show", case.findings(), case.dumps(processes=False), output_format)
    sys.stdout.flush()
    return EXIT_DONE


GROUP = Group("case", help="Show, query and export case files, which hold what triage found.")
GROUP.add(show)
GROUP.add(query)
GROUP.add(export)
