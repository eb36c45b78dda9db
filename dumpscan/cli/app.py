"""The command line as a whole: its groups of commands, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dumpscan._version import __version__
from dumpscan.cli import case, symbols, synth
from dumpscan.cli.dumps import add_commands, group
from dumpscan.cli.find import find
from dumpscan.cli.messages import EXIT_DONE, EXIT_INTERRUPTED, EXIT_UNREADABLE, EXIT_USAGE, complain
from dumpscan.cli.report import export, report
from dumpscan.cli.triage import triage
from dumpscan.exceptions import DumpscanError, UsageError, reason
from dumpscan.memory.open import KINDS


def _exit(code: int | None, **_options: object) -> None:
    """End with the code that the command returned."""
    raise typer.Exit(code or EXIT_DONE)


app = typer.Typer(
    name="dumpscan",
    help="Finds every X.509 certificate and private key in memory dumps, proves each key, and says where it lay.",
    epilog="Exit codes: 0 done, 1 an input could not be read, 2 usage, 3 done, but an input is damaged, "
    "4 the gate (`triage --fail-on`) is closed, 5 `find` found nothing.",
    no_args_is_help=True,
    result_callback=_exit,
    rich_markup_mode=None,  # plain help: drawing it with rich takes longer than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_commands(app, None)
for _kind in KINDS:
    app.add_typer(group(_kind), name=_kind.name)
app.add_typer(symbols.app, name="symbols")
app.add_typer(synth.app, name="synth")
app.command()(find)
app.command()(triage)
case.app.command("export")(export)
app.add_typer(case.app, name="case")
app.command()(report)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"dumpscan {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def plugins() -> None:
    """Print the directory of the plugins for volatility3: `vol -p "$(dumpscan plugins)" ...`."""
    from dumpscan.memory.volatility import plugins_directory

    typer.echo(plugins_directory())


def run() -> None:
    """Run the command line and exit; whatever a user or an input can cause ends in one clear line and a code."""
    try:
        app()  # says what is wrong with the arguments itself, and ends quietly when our reader goes away (`| head`)
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except UsageError as error:
        complain(str(error))
        sys.exit(EXIT_USAGE)
    except DumpscanError as error:
        complain(str(error))
        sys.exit(EXIT_UNREADABLE)
    except OSError as error:  # of standard output: a full disk, a closed descriptor
        complain(f"cannot write the results: {reason(error)}")
        sys.exit(EXIT_UNREADABLE)
