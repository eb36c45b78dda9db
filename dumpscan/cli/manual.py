"""The manual page, from the declarations of the commands: `python -m dumpscan.cli.manual docs/dumpscan.1`.

The wheel has it as `share/man/man1/dumpscan.1`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dumpscan.cli.app import PROGRAM, app
from dumpscan.cli.commands import Command, Group, summary
from dumpscan.cli.messages import EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = {
    "COLUMNS": "The width of tables, where the terminal does not tell it.",
    "NO_COLOR": "If it is set, nothing is coloured.",
    "FORCE_COLOR, CLICOLOR_FORCE": "If one is set, a pipe gets colours too. Its tables keep their full width.",
}
"""Variables that are no option's."""


def manual() -> str:
    """Return the manual page in the form of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM}" "User Commands"'
    yield ".ad l"
    yield ".SH NAME"
    yield f"{PROGRAM} \\- {_text('find certificates and private keys in memory dumps')}"
    yield ".SH SYNOPSIS"
    yield f".B {PROGRAM}"
    yield r"\fICOMMAND\fR [\fIOPTIONS\fR] \fIFILE\fR..."
    yield ".SH DESCRIPTION"
    yield _text(summary(app))
    yield ".SH COMMANDS"
    for section, commands in app.sections.items():
        yield f".SS {_text(section)}"
        for command in commands:
            yield from _command(f"{PROGRAM} {command.name}", command)
    yield ".SH OPTIONS"
    yield from _options()
    yield ".SH ENVIRONMENT"
    for variable, meaning in _variables().items():
        yield from (".TP", f".B {_text(variable)}", _text(meaning))
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES.items():
        yield from (".TP", f".B {code}", _text(meaning))


def _command(path: str, command: click.Command) -> Iterator[str]:
    """Yield what a command does, how it is called, and its examples; of a group, all of its commands."""
    if isinstance(command, Group):
        yield from (".TP", f".B {_text(path)}", _text(summary(command)))
        if any(summary(each) not in map(summary, app.commands.values()) for each in command.commands.values()):
            for each in command.commands.values():
                yield from _command(f"{path} {each.name}", each)
        else:
            yield _text(f"Its commands are {', '.join(command.commands)}, which work as without {command.name}.")
        return
    arguments = " ".join(
        f"\\fI{_text(each.make_metavar(_NO_CONTEXT))}\\fR" for each in command.params if _is_argument(each)
    )
    yield from (".TP", f"\\fB{_text(path)}\\fR [\\fIOPTIONS\\fR] {arguments}".rstrip(), _text(summary(command)))
    for parameter in command.params:
        if isinstance(parameter, click.Argument) and parameter.help:
            yield ".br"
            yield f"\\fI{_text(parameter.human_readable_name)}\\fR: {_text(parameter.help)}"
    names = [each.opts[0] for each in command.params if isinstance(each, click.Option)]
    if names:
        yield ".br"
        yield f"Options: {_text(', '.join(names))}."
    for example in command.examples if isinstance(command, Command) else ():
        yield from (".RS", ".TP", f".B {_text(example.line)}", _text(example.meaning), ".RE")


_NO_CONTEXT = click.Context(app)


def _is_argument(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


def _options() -> Iterator[str]:
    """Yield each option once, with the commands that have it where these are few."""
    users: dict[tuple[str, str], list[str]] = {}
    options: dict[tuple[str, str], click.Option] = {}
    for path, command in walk(app, PROGRAM):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                key = (parameter.opts[0], parameter.help or "")
                options.setdefault(key, parameter)
                users.setdefault(key, []).append(path.removeprefix(PROGRAM).strip())
    for key in sorted(options, key=lambda key: (key[0].lstrip("-"), key[1])):
        option, commands = options[key], users[key]
        names = ", ".join((*option.opts, *option.secondary_opts))
        metavar = "" if option.is_flag else f" \\fI{_text(option.make_metavar(_NO_CONTEXT))}\\fR"
        yield from (".TP", f"\\fB{_text(names)}\\fR{metavar}", _text(option.help or ""))
        if len(commands) <= _FEW and all(commands):
            yield _text(f"(Commands: {', '.join(commands)}.)")


_FEW = 4
"""Commands that are named with an option that only they have."""


def _variables() -> dict[str, str]:
    """Return the environment variables that stand for options, and the others."""
    found = {
        str(parameter.envvar): f"The same as {parameter.opts[0]}."
        for _, command in walk(app, PROGRAM)
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.envvar
    }
    return {**dict(sorted(found.items())), **ENVIRONMENT}


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all that are in it, with their paths."""
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from walk(each, f"{path} {name}")


def _text(text: str) -> str:
    """Escape what means something to roff: backslashes, hyphens, and a point or an apostrophe that begins a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(manual(), encoding="utf-8")
