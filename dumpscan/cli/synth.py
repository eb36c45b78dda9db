"""`dumpscan synth ...`: synthetic dumps with their ground truth, for tests and demonstrations."""

from __future__ import annotations

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
    from dumpscan.synth.minidump_scenario import build_minidump

    for path in build_minidump(scenario, output):
        if not quiet:
            typer.echo(path)
    return 0
