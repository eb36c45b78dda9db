"""The command line as a whole: its groups of commands, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import Any

import click

from dumpscan._version import __version__
from dumpscan.cli import case, symbols, synth
from dumpscan.cli.commands import Example, Group, command
from dumpscan.cli.dumps import add_commands, group
from dumpscan.cli.find import find
from dumpscan.cli.messages import (
    EXIT_CODES,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_UNREADABLE,
    EXIT_USAGE,
    complain,
)
from dumpscan.cli.redact import redact
from dumpscan.cli.report import report
from dumpscan.cli.triage import triage
from dumpscan.exceptions import DumpscanError, UsageError, reason
from dumpscan.memory.formats import KINDS

PROGRAM = "dumpscan"


class _Root(Group):
    """The program: it ends with the code that a command returns."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Run the command."""
        ctx.exit(super().invoke(ctx) or EXIT_DONE)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own
        """List the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


app = _Root(
    PROGRAM,
    help="Find every X.509 certificate and private key in memory dumps, prove each key, and say where it lay.",
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda ctx, _option, wanted: _show_version(ctx) if wanted else None,
            help="Show the version and exit.",
        )
    ],
)


def _show_version(ctx: click.Context) -> None:
    click.echo(f"{PROGRAM} {__version__}")
    ctx.exit()


@command(
    "plugins",
    Example("dumpscan plugins", "Print the directory."),
    Example(
        'vol -p "$(dumpscan plugins)" -f memory.raw dumpscan.x509.X509',
        "Run one of the plugins in volatility3.",
    ),
)
def plugins() -> int:
    """Print the directory of the plugins for volatility3."""
    from dumpscan.memory.volatility import plugins_directory

    click.echo(plugins_directory())
    return EXIT_DONE


@command(
    "completion",
    Example('eval "$(dumpscan completion bash)"', "Complete in this shell; in `~/.bashrc`, in every one."),
    Example("dumpscan completion fish > ~/.config/fish/completions/dumpscan.fish", "Complete in every fish shell."),
)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]), help="bash, zsh or fish.")
def completion(shell: str) -> int:
    """Print the script that completes commands and options in a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is not None:
        click.echo(found(app, {}, PROGRAM, "_DUMPSCAN_COMPLETE").source())
    return EXIT_DONE


add_commands(app, None, section="Dumps of any kind")
for _kind in KINDS:
    app.add(group(_kind), section="Dumps of one kind (the same commands)")
app.add(find, section="Many dumps")
app.add(triage, section="Many dumps")
app.add(case.GROUP, section="Many dumps")
app.add(report, section="Many dumps")
app.add(redact, section="Many dumps")
app.add(symbols.GROUP, section="Tools")
app.add(synth.GROUP, section="Tools")
app.add(plugins, section="Tools")
app.add(completion, section="Tools")


def run() -> None:
    """Run the command line and exit; whatever a user or an input can cause ends in one clear line and a code."""
    try:
        code = app.main(prog_name=PROGRAM, standalone_mode=False)  # ends quietly when our reader goes away (`| head`)
    except (KeyboardInterrupt, click.Abort) as error:
        # click makes an Abort of the interrupt, which may say how far the command got.
        complain(str(error.__cause__ or error) or "interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        complain(error.format_message())
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else PROGRAM
        complain(f"`{command} --help` shows how it is used", level="note")
        sys.exit(EXIT_USAGE)
    except UsageError as error:
        complain(str(error))
        sys.exit(EXIT_USAGE)
    except DumpscanError as error:
        complain(str(error))
        sys.exit(EXIT_UNREADABLE)
    except RuntimeError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):  # raised while a module's classes were made
            raise
        complain("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except MemoryError:
        complain("there is not enough memory for this")
        sys.exit(EXIT_UNREADABLE)
    except OSError as error:  # of standard output: a full disk, a closed descriptor
        complain(f"cannot write the results: {reason(error)}")
        sys.exit(EXIT_UNREADABLE)
    sys.exit(code)
