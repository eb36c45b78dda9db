"""`dumpscan minidump ...`: user-mode minidumps of Windows, Crashpad and Breakpad."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from dumpscan.cli.options import Dumps, Format, FormatOption, NoProgress, Output, Password, Quiet, ask_password

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from dumpscan.cli.run import Run
    from dumpscan.memory.minidump import Minidump

app = typer.Typer(help="User-mode minidumps (Windows, Crashpad, Breakpad).", no_args_is_help=True)


@app.command()
def info(
    dumps: Dumps, output_format: FormatOption = Format.TABLE, quiet: Quiet = False, no_progress: NoProgress = False
) -> int:
    """Show system, process, streams, threads, modules and memory, and how much of the process is there."""
    from dumpscan.cli.run import Run
    from dumpscan.memory.minidump_summary import describe
    from dumpscan.output.records import info_record
    from dumpscan.output.render import View

    run = Run("minidump info", View.INFO, output_format, quiet=quiet, progress=not no_progress)
    for path, dump in _each(run, dumps):
        run.add(info_record("minidump", str(path), describe(dump)))
    return run.finish()


@app.command()
def cmdline(
    dumps: Dumps, output_format: FormatOption = Format.TABLE, quiet: Quiet = False, no_progress: NoProgress = False
) -> int:
    """Show the command line of the process."""
    from dumpscan.cli.run import Run
    from dumpscan.output.render import View

    run = Run("minidump cmdline", View.CMDLINE, output_format, quiet=quiet, progress=not no_progress)
    for path, dump in _each(run, dumps):
        process = dump.process
        if process.command_line is None:
            run.note(f"{path}: no command line: {'; '.join(process.notes) or 'the dump does not hold it'}")
        else:
            run.add_process(process, path, environment=False)
    return run.finish()


@app.command()
def envars(
    dumps: Dumps, output_format: FormatOption = Format.TABLE, quiet: Quiet = False, no_progress: NoProgress = False
) -> int:
    """Show the environment of the process (`envar` means the same)."""
    from dumpscan.cli.run import Run
    from dumpscan.output.render import View

    run = Run("minidump envars", View.ENVARS, output_format, quiet=quiet, progress=not no_progress)
    for path, dump in _each(run, dumps):
        process = dump.process
        if process.environment:
            run.add_process(process, path, environment=True)
        else:
            run.note(f"{path}: no environment: {'; '.join(process.notes) or 'the dump does not hold it'}")
    return run.finish()


app.command("envar", hidden=True)(envars)


@app.command()
def x509(
    dumps: Dumps,
    output: Output = None,
    password: Password = None,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Find X.509 certificates and private keys, prove each key, and pair keys with certificates."""
    from dumpscan.artifacts.merge import Collector
    from dumpscan.artifacts.pairs import with_pairs
    from dumpscan.artifacts.scanner import Scanner
    from dumpscan.cli.progress import ProgressBar
    from dumpscan.cli.run import Run
    from dumpscan.output.render import View

    secret = ask_password(password, output)
    run = Run("minidump x509", View.FINDINGS, output_format, quiet=quiet, progress=not no_progress)
    scanner, collector = Scanner(), Collector()
    for number, (path, dump) in enumerate(_each(run, dumps)):
        with ProgressBar(path.name, dump.captured_bytes, enabled=run.progress) as bar:
            for problem in scanner.scan(dump, collector, order=(number,), progress=bar.advance):
                run.damaged(problem)
    findings = with_pairs(collector.findings())
    if not findings and run.readable:
        run.note("no certificate and no private key found")
    run.add_findings(findings, dropped=collector.dropped)
    return run.finish(output, secret)


def _each(run: Run, paths: list[Path]) -> Generator[tuple[Path, Minidump]]:
    from dumpscan.memory.minidump import Minidump

    with closing(run.each(paths, Minidump, lambda dump: dump.damage)) as dumps:
        yield from dumps
