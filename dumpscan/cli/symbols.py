"""`dumpscan symbols ...`: which symbol tables images need, where to put them, and tables made of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dumpscan.cli import options
from dumpscan.cli.commands import Example, Group, command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dumpscan.cli.run import AnyDump
    from dumpscan.output.formats.registry import Format


@command(
    "needed",
    Example("dumpscan symbols needed memory.raw", "Say which table an image needs."),
    Example("dumpscan symbols needed *.raw --format csv", "Write what several images need as CSV."),
)
@options.images
@options.symbols
@options.scratch
@options.output_format
@options.quiet
def needed(
    images: Sequence[Path], symbols: Sequence[Path], scratch: Path | None, output_format: Format, quiet: bool
) -> int:
    """Say which symbol table each image needs, whether it is there, and where to get it.

    Exit code 1: a table is missing.
    """
    from dumpscan.cli.messages import EXIT_DONE, EXIT_UNREADABLE
    from dumpscan.cli.run import Run
    from dumpscan.memory.dump import is_physical
    from dumpscan.memory.formats import KERNEL, OpenOptions
    from dumpscan.memory.packed.unpack import UnpackOptions
    from dumpscan.output.formats.render import View
    from dumpscan.output.records import symbols_record

    states: list[str] = []
    run = Run("symbols needed", View.SYMBOLS, output_format, quiet=quiet, progress=False)

    def work(_number: int, path: Path, image: AnyDump) -> None:
        needs = image.symbols_states() if is_physical(image) else []
        for found in needs:
            states.append(found.state)
            run.add(symbols_record(str(path), found))
        if not needs:
            run.note(f"{path}: needs no symbol table: its kernel's symbols and types are in its memory")

    options = OpenOptions(symbols=symbols, unpacking=UnpackOptions(scratch=scratch))
    run.over(((path, True) for path in images), KERNEL, options, work, judge=False)
    return run.finish() or (EXIT_UNREADABLE if "missing" in states else EXIT_DONE)


@command(
    "make",
    Example("dumpscan symbols make server.raw -o tables", "Make the table of a Linux machine's kernel."),
    Example("dumpscan symbols make server.raw -o tables --all", "With every type and symbol, for any plugin."),
)
@options.images
@click.option(
    "--output",
    "-o",
    metavar="DIR",
    type=options.DIRECTORY,
    required=True,
    help="Write the tables into this directory of tables, for `vol -s DIR`.",
)
@click.option("--all", "whole", is_flag=True, help="Write all types and symbols, not only what the usual plugins need.")
@options.scratch
@options.quiet
def make(images: Sequence[Path], output: Path, whole: bool, scratch: Path | None, quiet: bool) -> int:
    """Make a symbol table for volatility3 out of the image of a Linux machine, whose memory has types and symbols."""
    from dumpscan.cli.run import Run
    from dumpscan.files import write_whole
    from dumpscan.memory.dump import is_physical
    from dumpscan.memory.formats import KERNEL, OpenOptions
    from dumpscan.memory.packed.unpack import UnpackOptions
    from dumpscan.output.formats.registry import Format
    from dumpscan.output.formats.render import View

    run = Run("symbols make", View.SYMBOLS, Format.TABLE, quiet=quiet, progress=False)

    def work(_number: int, _path: Path, image: AnyDump) -> None:
        if is_physical(image):
            name, table = image.make_table(whole=whole)
            write_whole(output / name, table)
            if not quiet:
                click.echo(output / name)

    opening = OpenOptions(unpacking=UnpackOptions(scratch=scratch))
    run.over(((path, True) for path in images), KERNEL, opening, work, judge=False)
    return run.finish()


@command(
    "add",
    Example("dumpscan symbols add ntkrnlmp.pdb", "Convert a PDB file and keep the table."),
    Example("dumpscan symbols add windows.zip", "Keep every table of a pack."),
)
@click.argument(
    "sources",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=options.FILE,
    help="PDB files, ISF tables (.json[.xz]), also of Linux kernels; packs of them.",
)
@options.quiet
def add(sources: Sequence[Path], quiet: bool) -> int:
    """Put symbol tables where they are found from then on."""
    from dumpscan.cli.messages import EXIT_DONE, EXIT_UNREADABLE, complain
    from dumpscan.exceptions import DumpscanError
    from dumpscan.memory.symbols.files import add_tables
    from dumpscan.memory.symbols.store import user_store

    code = EXIT_DONE
    for source in sources:
        try:
            added, problems = add_tables(source, user_store())
        except DumpscanError as error:
            complain(str(error))
            code = EXIT_UNREADABLE
            continue
        for problem in problems:
            complain(problem, level="warning")
        for table in added:
            if not quiet:
                click.echo(table.path)
    return code


@command(
    "list",
    Example("dumpscan symbols list", "List the tables that were added."),
    Example("dumpscan symbols list --format csv", "List them as CSV."),
)
@options.output_format
def list_tables(output_format: Format) -> int:
    """List the symbol tables that were added or downloaded."""
    import sys

    from dumpscan.cli.messages import EXIT_DONE, complain
    from dumpscan.memory.symbols.store import stored_tables, user_store
    from dumpscan.output.formats.registry import Format, write_rows

    rows = [(each.name, each.guid, each.age, each.size, str(each.path)) for each in stored_tables(user_store())]
    if not rows and output_format is Format.TABLE:
        complain(f"there is no symbol table in {user_store()}; `dumpscan symbols add` puts them there", level="note")
        return EXIT_DONE
    write_rows(sys.stdout, output_format, ("name", "guid", "age", "bytes", "path"), rows)
    return EXIT_DONE


@command(
    "remove",
    Example("dumpscan symbols remove 0123456789ABCDEF0123456789ABCDEF", "Remove the tables with a GUID."),
    Example("dumpscan symbols remove --all", "Remove every table that was added."),
)
@click.argument("tables", nargs=-1, metavar="TABLE...", help="GUIDs of tables, or their files, as `list` shows them.")
@click.option("--all", "everything", is_flag=True, help="Remove every table that was added or downloaded.")
@options.quiet
def remove(tables: Sequence[str], everything: bool, quiet: bool) -> int:
    """Remove symbol tables that were added or downloaded."""
    from dumpscan.cli.messages import EXIT_DONE, EXIT_UNREADABLE, complain
    from dumpscan.exceptions import UsageError
    from dumpscan.memory.symbols.store import remove_table, stored_tables, user_store

    if bool(tables) == everything:
        raise UsageError("give the tables to remove, or --all")
    code = EXIT_DONE
    stored = stored_tables(user_store())
    for wanted in tables or ("",):
        chosen = [each for each in stored if everything or each.is_called(wanted)]
        for each in chosen:
            remove_table(each)
            if not quiet:
                click.echo(each.path)
        if not chosen and wanted:
            complain(f"{wanted}: no such table in {user_store()}: see `dumpscan symbols list`")
            code = EXIT_UNREADABLE
    return code


GROUP = Group("symbols", help="Manage symbol tables of kernels.")
GROUP.add(needed)
GROUP.add(make)
GROUP.add(add)
GROUP.add(list_tables)
GROUP.add(remove)
