"""`dumpscan minidump ...`: user-mode minidumps of Windows, Crashpad and Breakpad."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from dumpscan.cli.options import Aes, Dumps, Format, FormatOption, NoProgress, Output, Password, Quiet

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from dumpscan.cli.run import Run
    from dumpscan.cli.scan import ScanRun
    from dumpscan.memory.minidump.reader import Minidump

app = typer.Typer(help="User-mode minidumps (Windows, Crashpad, Breakpad).", no_args_is_help=True)


@app.command()
def info(
    dumps: Dumps, output_format: FormatOption = Format.TABLE, quiet: Quiet = False, no_progress: NoProgress = False
) -> int:
    """Show system, process, streams, threads, modules and memory, and how much of the process is there."""
    from dumpscan.cli.run import Run
    from dumpscan.memory.minidump.summary import describe
    from dumpscan.output.formats.render import View
    from dumpscan.output.records import info_record

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
    from dumpscan.output.formats.render import View

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
    from dumpscan.output.formats.render import View

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
    from dumpscan.artifacts.registry import X509
    from dumpscan.cli.scan import ScanRun

    run = ScanRun("minidump", X509, output_format, output, password, quiet=quiet, progress=not no_progress)
    return _scan(run, dumps)


@app.command()
def symcrypt(
    dumps: Dumps,
    output: Output = None,
    password: Password = None,
    aes: Aes = False,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Find the keys that Windows' own crypto library holds, prove each, and match it to its certificate."""
    from dumpscan.artifacts.registry import SYMCRYPT
    from dumpscan.cli.scan import ScanRun

    run = ScanRun("minidump", SYMCRYPT, output_format, output, password, quiet=quiet, progress=not no_progress)
    return _scan(run, dumps, aes=aes)


@app.command()
def keys(
    dumps: Dumps,
    output: Output = None,
    password: Password = None,
    aes: Aes = False,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Show everything secret in one table: keys from any source, and which certificate each opens."""
    from dumpscan.artifacts.registry import KEYS
    from dumpscan.cli.scan import ScanRun

    run = ScanRun("minidump", KEYS, output_format, output, password, quiet=quiet, progress=not no_progress)
    return _scan(run, dumps, aes=aes)


def _scan(run: ScanRun, dumps: list[Path], *, aes: bool = False) -> int:
    for number, (path, dump) in enumerate(_each(run, dumps)):
        with run.progress_bar(path, dump.captured_bytes * (2 if aes else 1)) as bar:
            run.scan_space(dump, number, aes=aes, advance=bar.advance)
    return run.finish()


def _each(run: Run, paths: list[Path]) -> Generator[tuple[Path, Minidump]]:
    from dumpscan.memory.minidump.reader import Minidump

    with closing(run.each(paths, Minidump, lambda dump: dump.damage)) as dumps:
        yield from dumps
