"""`dumpscan kernel ...`: images of a Windows machine's physical memory."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import typer

from dumpscan.cli.options import (
    Aes,
    Format,
    FormatOption,
    Images,
    Names,
    NoProgress,
    Offline,
    Output,
    Password,
    Pids,
    Quiet,
    Symbols,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from dumpscan.cli.run import Run
    from dumpscan.cli.scan import ScanRun
    from dumpscan.memory.kernel.image import KernelImage

app = typer.Typer(help="Images of a Windows machine's physical memory.", no_args_is_help=True)


@app.command()
def info(
    images: Images,
    symbols: Symbols = None,
    offline: Offline = True,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Show OS build, kernel base, page table, symbol table, image format and page statistics."""
    from dumpscan.cli.run import Run
    from dumpscan.output.formats.render import View
    from dumpscan.output.records import info_record

    run = Run("kernel info", View.INFO, output_format, quiet=quiet, progress=not no_progress)
    for path, image in _each(run, images, symbols, offline=offline):
        run.add(info_record("kernel", str(path), image.describe()))
    return run.finish()


@app.command()
def pslist(
    images: Images,
    symbols: Symbols = None,
    offline: Offline = True,
    pids: Pids = None,
    names: Names = None,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """List processes: ids, names, times, sessions."""
    run = _listing("pslist", output_format, quiet=quiet, no_progress=no_progress)
    for path, image in _each(run, images, symbols, offline=offline):
        for process in image.processes(pids=pids or (), names=names or ()):
            run.add_process(process, path, environment=False)
    return run.finish()


@app.command()
def cmdline(
    images: Images,
    symbols: Symbols = None,
    offline: Offline = True,
    pids: Pids = None,
    names: Names = None,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Show the command lines of processes."""
    run = _listing("cmdline", output_format, quiet=quiet, no_progress=no_progress)
    for path, image in _each(run, images, symbols, offline=offline):
        for process in image.processes(pids=pids or (), names=names or ()):
            run.add_process(process, path, environment=False)
    return run.finish()


@app.command()
def envars(
    images: Images,
    symbols: Symbols = None,
    offline: Offline = True,
    pids: Pids = None,
    names: Names = None,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Show the environments of processes (`envar` means the same)."""
    run = _listing("envars", output_format, quiet=quiet, no_progress=no_progress)
    for path, image in _each(run, images, symbols, offline=offline):
        for process in image.processes(pids=pids or (), names=names or (), environment=True):
            run.add_process(process, path, environment=True)
    return run.finish()


app.command("envar", hidden=True)(envars)


@app.command()
def x509(
    images: Images,
    output: Output = None,
    password: Password = None,
    symbols: Symbols = None,
    offline: Offline = True,
    pids: Pids = None,
    names: Names = None,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Find X.509 certificates and private keys in all of physical memory, and who maps them."""
    from dumpscan.artifacts.registry import X509
    from dumpscan.cli.scan import ScanRun

    run = ScanRun("kernel", X509, output_format, output, password, quiet=quiet, progress=not no_progress)
    images_opened = _each(run, images, symbols, offline=offline)
    return _scan(run, images_opened, pids, names)


@app.command()
def symcrypt(
    images: Images,
    output: Output = None,
    password: Password = None,
    aes: Aes = False,
    symbols: Symbols = None,
    offline: Offline = True,
    pids: Pids = None,
    names: Names = None,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Find the keys that Windows' own crypto library holds, in the memory of every process and the kernel."""
    from dumpscan.artifacts.registry import SYMCRYPT
    from dumpscan.cli.scan import ScanRun

    run = ScanRun("kernel", SYMCRYPT, output_format, output, password, quiet=quiet, progress=not no_progress)
    images_opened = _each(run, images, symbols, offline=offline)
    return _scan(run, images_opened, pids, names, aes=aes)


@app.command()
def keys(
    images: Images,
    output: Output = None,
    password: Password = None,
    aes: Aes = False,
    symbols: Symbols = None,
    offline: Offline = True,
    pids: Pids = None,
    names: Names = None,
    output_format: FormatOption = Format.TABLE,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> int:
    """Show everything secret in one table: keys from any source, and which certificate each opens."""
    from dumpscan.artifacts.registry import KEYS
    from dumpscan.cli.scan import ScanRun

    run = ScanRun("kernel", KEYS, output_format, output, password, quiet=quiet, progress=not no_progress)
    images_opened = _each(run, images, symbols, offline=offline)
    return _scan(run, images_opened, pids, names, aes=aes)


def _scan(
    run: ScanRun,
    images: Iterator[tuple[Path, KernelImage]],
    pids: list[int] | None,
    names: list[str] | None,
    *,
    aes: bool = False,
) -> int:
    from dumpscan.search.physical import KernelScanOptions

    options = KernelScanOptions(pids=tuple(pids or ()), names=tuple(names or ()), aes=aes)
    for number, (path, image) in enumerate(images):
        with run.progress_bar(path, image.physical.size * (2 if aes else 1)) as bar:
            run.scan_image(image, number, options=options, advance=bar.advance)
    return run.finish()


def _listing(command: str, output_format: Format, *, quiet: bool, no_progress: bool) -> Run:
    from dumpscan.cli.run import Run
    from dumpscan.output.formats.render import View

    view = {"pslist": View.PSLIST, "cmdline": View.CMDLINE, "envars": View.ENVARS}[command]
    return Run(f"kernel {command}", view, output_format, quiet=quiet, progress=not no_progress)


def _each(
    run: Run, paths: list[Path], symbols: list[Path] | None, *, offline: bool
) -> Generator[tuple[Path, KernelImage]]:
    from dumpscan.memory.kernel.image import KernelImage

    opener = partial(KernelImage, symbols=symbols or (), offline=offline)
    with closing(run.each(paths, opener, lambda image: image.damage)) as images:
        for path, image in images:
            yield path, image
            for warning in image.warnings:
                run.warn(f"{path}: {warning}")
