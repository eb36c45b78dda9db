"""Commands and groups of commands, as click has them, with what a user needs beside: examples and whole sentences.

The help and the manual page (`dumpscan.cli.manual`) are written from the same declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_INDENT = 2


@dataclass(frozen=True, slots=True)
class Example:
    """A command line that works as it stands, given such files, and what it does."""

    line: str
    meaning: str


_NO_BREAK = "\u2011"
"""A hyphen at which no line ends."""


class _Formatter(click.HelpFormatter):
    """Writes help whose lines do not end within an option's name."""

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace("-", _NO_BREAK))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names and what they mean."""
        super().write_dl([(name, text.replace("-", _NO_BREAK)) for name, text in rows], col_max, col_spacing)

    def getvalue(self) -> str:
        """Return what was written."""
        return super().getvalue().replace(_NO_BREAK, "-")


class _Context(click.Context):
    formatter_class = _Formatter


class Command(click.Command):
    """A command.

    Args:
        examples: What is shown below its help.
        arguments: As click takes them.
    """

    context_class = _Context

    def __init__(self, *arguments: Any, examples: Iterable[Example] = (), **options: Any) -> None:  # noqa: ANN401 - click's own
        options.setdefault("context_settings", _HELP)
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; an option without its value is told as a fault of this command."""
        try:
            return super().parse_args(ctx, args)
        except click.BadOptionUsage as error:
            if error.ctx is None and error.message.endswith("requires an argument."):
                raise click.BadOptionUsage(error.option_name, f"{error.option_name} needs a value.", ctx) from error
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example.line}\n")
                    formatter.indent()
                    formatter.write_text(example.meaning)
                    formatter.dedent()


def command(name: str, *examples: Example) -> Callable[[Callable[..., int]], Command]:
    """Make a command of a function, which returns the exit code; its docstring is the command's help.

    Args:
        name: As it is typed.
        examples: As for `Command`.
    """
    return click.command(name, cls=Command, examples=examples)


class Group(click.Group):
    """A group of commands, listed in the order and under the headings with which they were added."""

    context_class = _Context

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - click's own
        options.setdefault("context_settings", _HELP)
        options.setdefault("no_args_is_help", True)
        super().__init__(*arguments, **options)
        self.sections: dict[str, list[click.Command]] = {}
        self._aliases: dict[str, str] = {}

    def add(self, command: click.Command, *, section: str = "Commands", alias: str | None = None) -> None:
        """Add a command, under a heading; `alias` is another name for it that no help shows."""
        self.add_command(command)
        self.sections.setdefault(section, []).append(command)
        if alias:
            self._aliases[alias] = str(command.name)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own
        """List the names of the commands."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name, or None."""
        return super().get_command(ctx, self._aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that was typed; one that only a group has is suggested with the group's name."""
        groups = [each for each in self.commands.values() if isinstance(each, Group) and args[0] in each.commands]
        if args[0] not in self.commands and len(groups) == 1:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean '{groups[0].name} {args[0]}'?", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own
        """Write what each command does, the whole sentence."""
        width = max((len(name) for name in self.commands), default=0) + _INDENT
        for section, commands in self.sections.items():
            with formatter.section(section):
                formatter.write_dl([(f"{command.name:{width}}", summary(command)) for command in commands])


def summary(command: click.Command) -> str:
    """Return the first paragraph of a command's help, on one line."""
    return " ".join((command.help or "").split("\n\n")[0].split())


class AtLeast(click.ParamType[float]):
    """The type of an option that takes a number: a whole one if `minimum` is, and none below `minimum`."""

    name = "number"

    def __init__(self, minimum: float) -> None:
        self._minimum = minimum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's own
        """Return the number."""
        try:
            number = type(self._minimum)(value)
        except ValueError:
            number = None
        if number is None or not number >= self._minimum:
            kind = "whole number" if isinstance(self._minimum, int) else "number"
            self.fail(f"{value!r} is not a {kind} of {self._minimum} or more.", param, ctx)
        return number


class Judging(click.ParamType[Any]):
    """The type of an option that says by which moments certificates are judged (`dumpscan.case.moments`)."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's own
        """Return an `At`."""
        from dumpscan.case.moments import At

        match value:
            case "capture":
                return At.captured()
            case "now":
                return At.on(datetime.now(UTC))
            case str():
                try:
                    return At.on(_moment(value))
                except (ValueError, OverflowError):
                    expected = "a date such as 2025-06-01 or a time such as 2025-06-01T12:30:00"
                    return self.fail(f"{value!r} is not {expected}.", param, ctx)
            case _:
                return value


def _moment(text: str) -> datetime:
    """Read a date or a time of ISO 8601, which is UTC unless it has a zone."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class OneOf(click.Choice[str]):
    """The type of an option that takes one of the values of an enumeration."""

    def __init__(self, values: type[StrEnum]) -> None:
        super().__init__([value.value for value in values])
        self._values = values

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's own
        """Return the member of the enumeration."""
        return self._values(super().convert(value, param, ctx))
