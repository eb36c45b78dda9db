"""`dumpscan triage`: any mix of dumps into a case, a summary, and a gate for scripts."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dumpscan.case.rules import GateRule
from dumpscan.cli.options import Aes, AesUnaligned, ArchivePassword, FormatOption, NoProgress, Offline, Quiet, Symbols
from dumpscan.output.formats.registry import Format

if TYPE_CHECKING:
    from dumpscan.case.triage.run import TriageOutcome, TriageProgress
    from dumpscan.case.triage.workers import Workers

Names = Annotated[
    list[str],
    typer.Argument(metavar="FILE_OR_DIR...", help="Dumps, directories of them, or URLs.", show_default=False),
]
CaseFile = Annotated[
    Path,
    typer.Option("--case", "-c", metavar="CASE", help="The case file; begun if it is not there.", show_default=False),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes to work with; 0: one for each core.")]
FailOn = Annotated[
    list[GateRule] | None,
    typer.Option("--fail-on", help="Exit with 4 if there is such a thing; may be repeated.", show_default=False),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="CERT",
        help="What --fail-on ignores: a file of thumbprints and key ids, one a line, or of certificates or public "
        "keys; a thumbprint; a key id. May be repeated.",
        show_default=False,
    ),
]

_REMARKS = 20
_ENVIRONMENT_KEPT = (
    "environment variables of processes go into the case, with any passwords in them: "
    "--no-environment leaves them out, --mask-environment masks what looks like a credential"
)


def triage(
    names: Names,
    case: CaseFile,
    fail_on: FailOn = None,
    allow: Allow = None,
    jobs: Jobs = 0,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Work on a Dask cluster, e.g. tcp://host:8786.", show_default=False),
    ] = None,
    hashes: Annotated[bool, typer.Option("--hash/--no-hash", help="Whether to compute files' SHA-256.")] = True,
    store_keys: Annotated[bool, typer.Option("--store-keys", help="Store key material in the case file.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Read also what has not changed.")] = False,
    environment: Annotated[
        bool, typer.Option("--environment/--no-environment", help="Whether the case keeps environment variables.")
    ] = True,
    mask_environment: Annotated[
        bool, typer.Option("--mask-environment", help="Mask values of variables that look like credentials.")
    ] = False,
    aes: Aes = True,
    aes_unaligned: AesUnaligned = False,
    symbols: Symbols = None,
    offline: Offline = True,
    archive_password: ArchivePassword = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where to fetch remote dumps to, and to unpack packed ones.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    scratch_limit: Annotated[
        int, typer.Option(metavar="MIB", min=1, help="MiB that each fetched or unpacked dump may have.")
    ] = 65536,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Read any mix of dumps into a case, each file once, and say what is worst."""
    from dumpscan.case.gate import read_allowed
    from dumpscan.case.store.writer import CaseWriter
    from dumpscan.case.triage.environment import Environment
    from dumpscan.case.triage.run import triage as run_triage
    from dumpscan.case.triage.task import ReadSettings
    from dumpscan.cli.messages import complain
    from dumpscan.cli.progress import ProgressBar

    allowed = frozenset().union(*(read_allowed(each) for each in allow or ()))
    settings = ReadSettings(
        aes=aes or aes_unaligned,
        aes_unaligned=aes_unaligned,
        hashes=hashes,
        store_keys=store_keys,
        environment=Environment.chosen(keep=environment, mask=mask_environment),
        symbols=tuple(str(each.absolute()) for each in symbols or ()),
        offline=offline,
        scratch=None if scratch is None else str(scratch.absolute()),
        scratch_limit=scratch_limit << 20,
        archive_password=archive_password,
    )
    cores = jobs or _cores()
    with (
        CaseWriter.open(case) as writer,
        ProgressBar("looking for dumps", None, enabled=not (quiet or no_progress), delay=0) as bar,
    ):
        outcome = run_triage(
            writer,
            names,
            settings,
            workers=_workers(scheduler),
            jobs=cores,
            again=again,
            progress=lambda state: bar.show(_state(state), state.bytes_done, state.bytes),
        )
    if outcome.read and settings.environment is Environment.KEPT and not quiet:
        complain(_ENVIRONMENT_KEPT, level="note")
    return _report(case, outcome, fail_on or (), allowed, output_format, quiet=quiet)


def _workers(scheduler: str | None) -> Workers | None:
    if scheduler is None:
        return None
    from dumpscan.case.triage.cluster import Cluster

    return Cluster(scheduler)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report(
    path: Path,
    outcome: TriageOutcome,
    rules: list[GateRule] | tuple[()],
    allowed: frozenset[str],
    output_format: Format,
    *,
    quiet: bool,
) -> int:
    from dumpscan.case.gate import reasons
    from dumpscan.case.store.reader import Case
    from dumpscan.cli.case import show_findings
    from dumpscan.cli.messages import EXIT_DAMAGED, EXIT_DONE, EXIT_GATE, EXIT_UNREADABLE, complain
    from dumpscan.findings import Status
    from dumpscan.output.case_summary import case_summary
    from dumpscan.output.text import write_text

    for name in outcome.named_others:
        complain(f"{name}: no dump")
    if not quiet:
        for name, status, problems in outcome.problems[:_REMARKS]:
            complain(f"{name}: {'; '.join(problems)}", level="warning" if status is Status.DAMAGED else "error")
        if len(outcome.problems) > _REMARKS:
            complain(f"{len(outcome.problems) - _REMARKS} more files have problems: see the case", level="warning")
        unchanged = len(outcome.paths) - outcome.read
        complain(f"{outcome.read} files read, {unchanged} known and unchanged", level="note")
    now = datetime.now(UTC)
    with Case.open(path) as case:
        exposed = case.exposed_keys(now) if rules or output_format is Format.TABLE else []
        if output_format is Format.TABLE:
            bad = [dump for dump in case.dumps(processes=False) if dump.status in {Status.UNREADABLE, Status.PENDING}]
            lines = case_summary(case.summary(now), exposed, bad)
            write_text(sys.stdout, "".join(f"{line}\n" for line in lines))
        else:
            paths = frozenset(outcome.paths)
            within = case.identities(paths)
            show_findings(
                "triage",
                (finding for finding in case.findings() if finding.identity in within),
                [dump for dump in case.dumps(processes=False) if dump.path in paths],
                output_format,
            )
        broken = list(
            reasons(case, rules, dumps=outcome.paths, allowed=allowed, now=now, exposed=exposed) if rules else ()
        )
    sys.stdout.flush()
    for reason in broken:
        complain(f"{reason.rule.value}: {reason.text}", level="gate")
    if broken:
        return EXIT_GATE
    if outcome.named_others or outcome.statuses[Status.UNREADABLE] or outcome.statuses[Status.PENDING]:
        return EXIT_UNREADABLE
    return EXIT_DAMAGED if outcome.statuses[Status.DAMAGED] else EXIT_DONE


def _state(state: TriageProgress) -> str:
    return f"{state.files_done}/{state.files} files, {state.findings} findings, {state.private_keys} private keys"
