"""`dumpscan find`: is the private key of this certificate in any of these dumps?"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dumpscan.cli import options
from dumpscan.cli.commands import Example, command
from dumpscan.output.formats.registry import Format

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dumpscan.case.records import DumpRecord
    from dumpscan.cli.dumps import Request
    from dumpscan.cli.run import Run
    from dumpscan.findings import Finding
    from dumpscan.search.answers import Answer
    from dumpscan.search.reference import Reference


@command(
    "find",
    Example("dumpscan find server.cer dumps/", "Say whether the key of a certificate lies in any dump below `dumps`."),
    Example(
        "dumpscan find id_ed25519.pub 3F:A1:07:5C:21:EE:90:44:B7:12:6D:88:0A:4E:5B:91:CC:D3:70:2F case.db",
        "Look in a case for an SSH key and for the key of a thumbprint.",
    ),
)
@click.argument(
    "asked",
    nargs=-1,
    required=True,
    metavar="CERT... DUMP...|CASE...",
    help="What to find: certificate and public key files (DER, PEM, PKCS#7, SSH), thumbprints, key ids. "
    "Where: dumps of any kind, directories of them, cases.",
)
@options.deep
@options.archive_password
@options.scratch
@options.symbols
@options.sysroot
@options.offline
@options.output_format
@options.quiet
@options.no_progress
def find(
    asked: Sequence[str],
    deep: bool,
    archive_password: str | None,
    scratch: Path | None,
    symbols: Sequence[Path],
    sysroot: Path | None,
    offline: bool,
    output_format: Format,
    quiet: bool,
    no_progress: bool,
) -> int:
    """Say whether the private keys of certificates lie in dumps or cases.

    Exit code 0: at least one is there. 5: none was found. 1: nothing could be read.
    """
    from dumpscan.case.store.database import is_case_file
    from dumpscan.cli.dumps import Request
    from dumpscan.output.formats.render import View

    wanted, places = _sorted(asked)
    cases = [path for path in places if is_case_file(path)]
    request = Request(
        command="find",
        kind=None,
        files=[path for path in places if path not in cases],
        deep=deep,
        archive_password=archive_password,
        scratch=scratch,
        symbols=symbols,
        sysroot=sysroot,
        offline=offline,
        output_format=output_format,
        quiet=quiet,
        no_progress=no_progress,
    )
    run = request.run(View.FINDINGS)
    found = _in_dumps(request, run, wanted) if request.files else []
    known: list[DumpRecord] = []
    for case in cases:
        in_case, dumps = _in_case(case, wanted)
        found += in_case
        known += dumps
    return _tell(run, wanted, found, known, output_format)


def _sorted(asked: Iterable[str]) -> tuple[list[Reference], list[Path]]:
    """Tell what is to be found from where it is to be found.

    Raises:
        UsageError: Some words are neither (all of them are named), or one of the two is not given.
    """
    from dumpscan.exceptions import UsageError
    from dumpscan.search.reference import may_be_reference, references

    wanted: list[Reference] = []
    places: list[Path] = []
    faults: list[str] = []
    absent: list[str] = []
    for each in asked:
        if may_be_reference(each):
            try:
                wanted += references(each)
            except UsageError as error:
                faults.append(str(error))
        elif _is_absent(each):
            absent.append(each)
        elif fault := _unusable(each):
            faults.append(fault)
        else:
            places.append(Path(each))
    if absent:
        faults.append(
            f"{', '.join(absent)}: no such file; expected a certificate or public key file, a thumbprint (40 or 64 hex "
            "digits), a key id (64), or a dump, directory or case to look in"
        )
    if faults:
        raise UsageError("; ".join(faults))
    if not wanted:
        where = ", ".join(map(str, places))
        raise UsageError(
            f"nothing to find in {where}: give a certificate, a public key, a thumbprint (40 or 64 hex digits) or a "
            "key id (64) too"
        )
    if not places:
        raise UsageError("nowhere to look: give dumps, directories or case files too")
    return wanted, places


def _is_absent(given: str) -> bool:
    """Whether a word names no file, and is no beginning of a thumbprint or key id."""
    from dumpscan.memory.open import STANDARD_INPUT
    from dumpscan.memory.packed.unpack import split
    from dumpscan.search.reference import beginning_of_name

    outer, _ = split(Path(given))
    return given != STANDARD_INPUT and not os.path.lexists(outer) and not beginning_of_name(given)


def _unusable(given: str) -> str | None:
    """Say why a word is no place to look in; None if it can be read."""
    from dumpscan.memory.open import STANDARD_INPUT
    from dumpscan.memory.packed.unpack import split
    from dumpscan.search.reference import beginning_of_name

    outer, _ = split(Path(given))
    if given == STANDARD_INPUT or os.access(outer, os.R_OK):
        return None
    if os.path.lexists(outer):
        return f"{given}: cannot be read"
    digits = beginning_of_name(given) or ""
    return (
        f"{given}: no such file, and {len(digits)} hex digits are not a whole thumbprint (40 or 64) or key id (64); "
        "`--format json` shows whole ones"
    )


def _in_dumps(request: Request, run: Run, wanted: Sequence[Reference]) -> list[Finding]:
    """Search dumps for keys, and for those that are asked for in forms that no layout tells."""
    from dumpscan.artifacts.registry import KEYS
    from dumpscan.search.options import SearchOptions
    from dumpscan.search.pairs import with_pairs

    known = tuple(dict.fromkeys(each.public_info for each in wanted if each.public_info is not None))
    options = SearchOptions(deep=request.deep, public_keys=known)
    collector = request.search(run, KEYS.without_aes(), options)
    return with_pairs(collector.findings())


def _in_case(path: Path, wanted: Sequence[Reference]) -> tuple[list[Finding], list[DumpRecord]]:
    """Return what a case has of what is asked for, its encrypted containers, and its dumps."""
    from dumpscan.case.store.reader import Case
    from dumpscan.findings import EncryptedContainer, Status

    with Case.open(path) as case:
        found: dict[tuple[str, str], Finding] = {}
        for reference in wanted:
            names = [(case.keyed, reference.key_id), (case.certificates, reference.thumbprint or reference.sha256)]
            for look_up, name in names:
                found |= {each.identity: each for each in (look_up(name) if name else ())}
        containers = list(case.findings(EncryptedContainer.kind))
        dumps = [dump for dump in case.dumps(processes=False) if dump.status is not Status.OTHER]
    return [*found.values(), *containers], dumps


def _tell(
    run: Run,
    wanted: Sequence[Reference],
    found: Sequence[Finding],
    dumps: Sequence[DumpRecord],
    output_format: Format,
) -> int:
    """Write the answers; `dumps` are those of cases. Return the exit code."""
    from dumpscan.cli.messages import EXIT_DONE, EXIT_NOT_FOUND, EXIT_UNREADABLE
    from dumpscan.findings import Status
    from dumpscan.output.answers import COLUMNS, Searched, answer_lines, answer_record, answer_rows
    from dumpscan.output.formats.registry import write_rows
    from dumpscan.output.terminal import write_lines
    from dumpscan.search.answers import answer, locked

    answers: list[Answer] = [answer(reference, found) for reference in wanted]
    readable = run.readable + sum(each.is_dump for each in dumps)
    if output_format is Format.TABLE:
        incomplete = run.incomplete + sum(each.status not in {Status.OK, Status.NO_SYMBOLS} for each in dumps)
        searched = Searched(dumps=readable, incomplete=incomplete, locked=locked(found))
        write_lines(sys.stdout, answer_lines(answers, searched))
        sys.stdout.flush()
    elif output_format is Format.CSV:
        write_rows(sys.stdout, output_format, COLUMNS, answer_rows(answers))
    else:
        for each in dumps:
            run.add_input(each.input_status)
        for each_answer in answers:
            run.add(answer_record(each_answer))
        run.finish()
    if any(each.found for each in answers):
        return EXIT_DONE
    return EXIT_NOT_FOUND if readable else EXIT_UNREADABLE
