"""`dumpscan synth ...`: synthetic dumps with their ground truth, for tests and demonstrations."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import click

from dumpscan.cli import options
from dumpscan.cli.commands import AtLeast, Example, Group, OneOf, command
from dumpscan.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_scenario = click.argument("scenario", metavar="SCENARIO.toml", type=options.FILE, help="What to build.")
_directory = click.option(
    "--output",
    "-o",
    metavar="DIR",
    type=options.DIRECTORY,
    default=".",
    show_default=True,
    help="Write the dump and its ground truth here.",
)


def _examples(name: str, scenario: str) -> tuple[Example, Example]:
    line = f"dumpscan synth {name} sample_dumps/{scenario}.toml"
    return (
        Example(f"{line} -o lab", "Build the dump and its ground truth in the directory `lab`."),
        Example(f"{line} -q", "Build them in the working directory, and name no files."),
    )


@command("minidump", *_examples("minidump", "webserver"))
@_scenario
@_directory
@options.quiet
def minidump(scenario: Path, output: Path, quiet: bool) -> int:
    """Build a minidump and its ground truth (JSON) from a scenario; the same scenario gives the same bytes."""
    from dumpscan.synth.minidump.build import build_minidump

    for path in build_minidump(scenario, output):
        if not quiet:
            click.echo(path)
    return 0


@command("core", *_examples("core", "nginx"))
@_scenario
@_directory
@options.quiet
def core(scenario: Path, output: Path, quiet: bool) -> int:
    """Build the core of a Linux process and its ground truth (JSON) from a scenario."""
    from dumpscan.synth.core.build import build_core

    for path in build_core(scenario, output):
        if not quiet:
            click.echo(path)
    return 0


class Container(StrEnum):
    """Formats of a kernel image."""

    RAW = "raw"
    CRASH = "crash"
    CRASH_BITMAP = "crash-bitmap"
    LIME = "lime"
    ELF = "elf"
    KDUMP = "kdump"


@command("kernel", *_examples("kernel", "workstation"))
@_scenario
@_directory
@click.option("--symbols", metavar="ISF", type=options.FILE, help="Build from this real symbol table.")
@click.option(
    "--container",
    type=OneOf(Container),
    default=Container.RAW.value,
    show_default=True,
    help="Write the image in this format.",
)
@click.option(
    "--size", metavar="MIB", type=AtLeast(1), help="Give the machine so much memory, whatever the scenario says."
)
@options.quiet
def kernel(
    scenario: Path, output: Path, symbols: Path | None, container: Container, size: int | None, quiet: bool
) -> int:
    """Build an image of physical memory and its ground truth from a scenario; for Windows, its symbol table too."""
    from dumpscan.synth.kernel.build import build_kernel
    from dumpscan.synth.kernel.linux.build import build_linux, is_linux

    size = None if size is None else size << 20
    if is_linux(scenario):
        if symbols is not None:
            raise UsageError("--symbols is for Windows: a Linux kernel has its symbols in its memory")
        made = tuple(build_linux(scenario, output, container=container, size=size))
    else:
        paths = build_kernel(scenario, output, symbols=symbols, container=container, size=size)
        made = (paths.image, paths.symbols, paths.truth)
    for path in made:
        if not quiet:
            click.echo(path)
    return 0


GROUP = Group("synth", help="Build synthetic dumps with known content.")
GROUP.add(minidump)
GROUP.add(core)
GROUP.add(kernel)
