"""`dumpscan triage`: any mix of dumps into a case, a summary, and a gate for scripts."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from dumpscan.case.rules import GateRule
from dumpscan.cli import options
from dumpscan.cli.commands import AtLeast, Example, OneOf, command
from dumpscan.exceptions import UsageError
from dumpscan.output.formats.registry import Format

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from dumpscan.case.gate import Reason
    from dumpscan.case.moments import At
    from dumpscan.case.triage.run import TriageOutcome, TriageProgress
    from dumpscan.case.triage.workers import Workers

_REMARKS = 20
_ENVIRONMENT_KEPT = (
    "environment variables of processes go into the case, with any passwords in them: "
    "--no-environment leaves them out, --mask-environment masks what looks like a credential"
)


@command(
    "triage",
    Example("dumpscan triage dumps/ -c case.db", "Read every dump below `dumps` into a case."),
    Example(
        "dumpscan triage build.dmp -c case.db --fail-on private-key --fail-on live-key",
        "Exit with 4 if a private key lies in the dump.",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="FILE_OR_DIR...", help="Dumps, directories of them, or URLs.")
@click.option(
    "--case",
    "-c",
    metavar="CASE",
    type=options.FILE,
    required=True,
    help="The case file. It is begun if it is not there.",
)
@click.option(
    "--fail-on",
    metavar="WHAT",
    type=OneOf(GateRule),
    multiple=True,
    help=f"Exit with 4 if there is such a thing: {', '.join(GateRule)}. May be repeated.",
)
@click.option(
    "--allow",
    metavar="CERT",
    multiple=True,
    help="Let --fail-on ignore this: a file of thumbprints and key ids, one a line, or of certificates or public keys; "
    "a thumbprint; a key id. May be repeated.",
)
@click.option(
    "--write-allow", metavar="FILE", type=options.FILE, help="Write what --fail-on finds as a list for --allow."
)
@click.option("--sarif", metavar="FILE", type=options.FILE, help="Write what --fail-on finds as SARIF 2.1.0.")
@click.option("--junit", metavar="FILE", type=options.FILE, help="Write what --fail-on finds as JUnit XML.")
@options.at
@click.option(
    "--jobs",
    "-j",
    metavar="N",
    type=AtLeast(0),
    default=0,
    show_default="one for each processor",
    help="Work in so many processes.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Work on a Dask cluster: tcp://host:8786, say.")
@click.option("--hash/--no-hash", "hashes", default=True, show_default=True, help="Compute the SHA-256 of files.")
@click.option("--store-keys", is_flag=True, help="Store key material in the case file.")
@click.option("--again", is_flag=True, help="Read also what has not changed.")
@click.option(
    "--environment/--no-environment",
    default=True,
    show_default=True,
    help="Keep environment variables in the case, with any passwords in them.",
)
@click.option("--mask-environment", is_flag=True, help="Mask values of variables that look like credentials.")
@options.aes
@options.aes_unaligned
@options.tls
@options.symbols
@options.offline
@options.archive_password
@options.scratch
@click.option(
    "--scratch-limit",
    metavar="MIB",
    type=AtLeast(1),
    default=65536,
    show_default=True,
    help="Refuse dumps that have more than so many MiB when they are fetched or unpacked.",
)
@options.output_format
@options.quiet
@options.no_progress
def triage(
    names: Sequence[str],
    case: Path,
    fail_on: Sequence[GateRule],
    allow: Sequence[str],
    write_allow: Path | None,
    sarif: Path | None,
    junit: Path | None,
    at: At | None,
    jobs: int,
    scheduler: str | None,
    hashes: bool,
    store_keys: bool,
    again: bool,
    environment: bool,
    mask_environment: bool,
    aes: bool,
    aes_unaligned: bool,
    tls: bool,
    symbols: Sequence[Path],
    offline: bool,
    archive_password: str | None,
    scratch: Path | None,
    scratch_limit: int,
    output_format: Format,
    quiet: bool,
    no_progress: bool,
) -> int:
    """Read any mix of dumps into a case, each file once, and say what is worst."""
    from dumpscan.case.gate import read_allowed
    from dumpscan.case.store.writer import CaseWriter
    from dumpscan.case.triage.environment import Environment
    from dumpscan.case.triage.run import triage as run_triage
    from dumpscan.case.triage.task import ReadSettings
    from dumpscan.cli.messages import complain
    from dumpscan.cli.progress import ProgressBar

    if "-" in names:
        raise UsageError("a case keeps dumps by their names, and `-` has none: give a file, or use `dumpscan keys -`")
    files = GateFiles(write_allow, sarif, junit)
    files.check(fail_on)
    allowed = frozenset().union(*(read_allowed(each) for each in allow))
    settings = ReadSettings(
        aes=aes or aes_unaligned,
        aes_unaligned=aes_unaligned,
        tls=tls or GateRule.TLS_SECRET in fail_on,
        hashes=hashes,
        store_keys=store_keys,
        environment=Environment.chosen(keep=environment, mask=mask_environment),
        symbols=tuple(str(each.absolute()) for each in symbols),
        offline=offline,
        scratch=None if scratch is None else str(scratch.absolute()),
        scratch_limit=scratch_limit << 20,
        archive_password=archive_password,
    )
    cores = jobs or _cores()
    with (
        CaseWriter.open(case) as writer,
        ProgressBar("looking for dumps", None, enabled=not (quiet or no_progress), delay=0) as bar,
        _interruptible(case) as states,
    ):

        def show(state: TriageProgress) -> None:
            states[:] = [state]
            bar.show(_state(state), state.bytes_done, state.bytes)

        outcome = run_triage(
            writer,
            names,
            settings,
            workers=_workers(scheduler),
            jobs=cores,
            again=again,
            progress=show,
        )
    if outcome.read and settings.environment is Environment.KEPT and not quiet:
        complain(_ENVIRONMENT_KEPT, level="note")
    return _report(case, outcome, fail_on, allowed, at, files, output_format, quiet=quiet)


@dataclass(frozen=True, slots=True)
class GateFiles:
    """The files that tell other programs what the gate found; each is replaced if it is there."""

    allow: Path | None
    sarif: Path | None
    junit: Path | None

    def check(self, rules: Sequence[GateRule]) -> None:
        """Refuse to write what no rule asks for.

        Raises:
            UsageError: There is a file and no rule.
        """
        if not rules and any((self.allow, self.sarif, self.junit)):
            raise UsageError("--write-allow, --sarif and --junit tell what --fail-on finds: give --fail-on too")

    def write(
        self,
        broken: list[Reason],
        rules: Sequence[GateRule],
        dumps: Sequence[str],
        skipped: Mapping[str, str],
        *,
        quiet: bool,
    ) -> list[Reason]:
        """Write the files; return what closes the gate: with a new list of what to allow, only what none can have."""
        from functools import partial

        from dumpscan.cli.messages import complain
        from dumpscan.files import new_file
        from dumpscan.output.exports.gate import write_allow, write_junit, write_sarif

        for path, write in ((self.sarif, write_sarif), (self.junit, partial(write_junit, skipped=skipped))):
            if path is not None:
                with new_file(path, force=True) as stream:
                    write(broken, rules, sorted(dumps), stream)
        if self.allow is None:
            return broken
        with new_file(self.allow, force=True) as stream:
            count = write_allow(broken, stream)
        if not quiet:
            complain(f"{count} entries written to {self.allow}: --allow {self.allow} ignores them", level="note")
        return [reason for reason in broken if reason.finding is None]


@contextmanager
def _interruptible(case: Path) -> Generator[list[TriageProgress]]:
    """Give an interrupt a text that says what is done, by the last state in the list, and how to go on."""
    states: list[TriageProgress] = []
    try:
        yield states
    except KeyboardInterrupt as error:
        done = "no file was read yet"
        if states:
            verb = "is" if states[-1].files_done == 1 else "are"
            done = f"{states[-1].files_done} of {states[-1].files} files {verb} in {case}"
        raise KeyboardInterrupt(f"interrupted: {done}; run the same command again to read the others") from error


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
    rules: Sequence[GateRule],
    allowed: frozenset[str],
    at: At | None,
    files: GateFiles,
    output_format: Format,
    *,
    quiet: bool,
) -> int:
    from dumpscan.case.gate import not_judged, reasons, with_other_files
    from dumpscan.case.moments import At
    from dumpscan.case.store.reader import Case
    from dumpscan.cli.case import show_findings, show_summary
    from dumpscan.cli.messages import EXIT_DAMAGED, EXIT_DONE, EXIT_GATE, EXIT_UNREADABLE, complain
    from dumpscan.findings import Status

    _remark(outcome, quiet=quiet)
    judged = At.of(at)
    with Case.open(path) as case:
        exposed = case.exposed_keys(judged) if rules or output_format is Format.TABLE else []
        if output_format is Format.TABLE:
            show_summary(case, exposed, judged)
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
            reasons(case, rules, dumps=outcome.paths, allowed=allowed, now=judged, exposed=exposed) if rules else ()
        )
        skipped: Mapping[str, str] = {}
        if files.junit is not None:
            broken = with_other_files(case, broken, outcome.paths)
            skipped = not_judged(case, outcome.paths)
    sys.stdout.flush()
    broken = files.write(broken, rules, outcome.paths, skipped, quiet=quiet)
    for reason in broken:
        complain(f"{reason.rule.value}: {reason.text}", level="gate")
    if broken:
        return EXIT_GATE
    if outcome.named_others or outcome.statuses[Status.UNREADABLE] or outcome.statuses[Status.PENDING]:
        return EXIT_UNREADABLE
    return EXIT_DAMAGED if outcome.statuses[Status.DAMAGED] else EXIT_DONE


def _remark(outcome: TriageOutcome, *, quiet: bool) -> None:
    """Say which inputs have problems, and how many were read."""
    from dumpscan.cli.messages import complain
    from dumpscan.findings import Status
    from dumpscan.output.missing_symbols import MissingTables

    for name in outcome.named_others:
        complain(f"{name}: no dump")
    if quiet:
        return
    for name, status, problems in outcome.problems[:_REMARKS]:
        complain(f"{name}: {'; '.join(problems)}", level="warning" if status is Status.DAMAGED else "error")
    if len(outcome.problems) > _REMARKS:
        complain(f"{len(outcome.problems) - _REMARKS} more files have problems: see the case", level="warning")
    missing = MissingTables()
    missing.add_recorded(outcome.missing_symbols)
    if line := missing.line():
        complain(line, level="warning")
    unchanged = len(outcome.paths) - outcome.read
    count = "1 file" if outcome.read == 1 else f"{outcome.read} files"
    complain(f"{count} read, {unchanged} known and unchanged", level="note")


def _state(state: TriageProgress) -> str:
    return f"{state.files_done}/{state.files} files, {state.findings} findings, {state.private_keys} private keys"
