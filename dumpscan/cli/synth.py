"""`dumpscan synth ...`: synthetic dumps with their ground truth, for tests and demonstrations."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dumpscan.cli.options import Quiet

app = typer.Typer(help="Build synthetic dumps with known content.", no_args_is_help=True)

Scenario = Annotated[Path, typer.Argument(metavar="SCENARIO.toml", help="What is to be built.", show_default=False)]
Directory = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Where the dump and its truth go.", file_okay=False),
]


@app.command()
def minidump(scenario: Scenario, output: Directory = Path(), quiet: Quiet = False) -> int:
    """Build a minidump and its ground truth (JSON) from a scenario; the same scenario gives the same bytes."""
    from dumpscan.synth.minidump.build import build_minidump

    for path in build_minidump(scenario, output):
        if not quiet:
            typer.echo(path)
    return 0


@app.command()
def core(scenario: Scenario, output: Directory = Path(), quiet: Quiet = False) -> int:
    """Build the core of a Linux process and its ground truth (JSON) from a scenario."""
    from dumpscan.synth.core.build import build_core

    for path in build_core(scenario, output):
        if not quiet:
            typer.echo(path)
    return 0


class Container(StrEnum):
    """Formats of a kernel image."""

    RAW = "raw"
    CRASH = "crash"
    CRASH_BITMAP = "crash-bitmap"
    LIME = "lime"
    ELF = "elf"


@app.command()
def kernel(
    scenario: Scenario,
    output: Directory = Path(),
    symbols: Annotated[
        Path | None,
        typer.Option("--symbols", metavar="ISF", help="A real symbol table to build from.", show_default=False),
    ] = None,
    container: Annotated[Container, typer.Option("--container", help="Format of the image.")] = Container.RAW,
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="MIB", help="Physical memory, instead of the scenario's.", show_default=False),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Build an image of physical memory, its symbol table and its ground truth from a scenario."""
    from dumpscan.synth.kernel.build import build_kernel

    size = None if size is None else size << 20
    paths = build_kernel(scenario, output, symbols=symbols, container=container, size=size)
    for path in (paths.image, paths.symbols, paths.truth):
        if not quiet:
            typer.echo(path)
    return 0
