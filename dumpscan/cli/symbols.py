"""`dumpscan symbols ...`: which symbol tables images need, and where to put them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dumpscan.cli.options import FormatOption, Images, Quiet, Symbols
from dumpscan.output.formats.registry import Format

if TYPE_CHECKING:
    from dumpscan.cli.run import AnyDump

app = typer.Typer(help="Symbol tables of Windows kernels.", no_args_is_help=True)

Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="PDB files, ISF tables (.json[.xz]), packs of them (zip, tar).", show_default=False
    ),
]


@app.command()
def needed(
    images: Images, symbols: Symbols = None, output_format: FormatOption = Format.TABLE, quiet: Quiet = False
) -> int:
    """Say which symbol table each image needs, whether it is there, and where to get it."""
    from dumpscan.cli.run import Run
    from dumpscan.memory.dump import PhysicalDump
    from dumpscan.memory.open import KERNEL, OpenOptions
    from dumpscan.output.formats.render import View
    from dumpscan.output.records import symbols_record

    run = Run("symbols needed", View.SYMBOLS, output_format, quiet=quiet, progress=False)

    def work(_number: int, path: Path, image: AnyDump) -> None:
        for found in image.symbols_states() if isinstance(image, PhysicalDump) else ():
            run.add(symbols_record(str(path), found))

    options = OpenOptions(symbols=symbols or ())
    run.over(((path, True) for path in images), KERNEL, options, work, judge=False)
    return run.finish()


@app.command()
def add(sources: Sources, quiet: Quiet = False) -> int:
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
                typer.echo(table.path)
    return code
