"""What the program says of itself: help in whole sentences, examples that work, errors in plain words."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from dumpscan.cli.app import PROGRAM, app
from dumpscan.cli.commands import Command, Group, summary
from dumpscan.cli.messages import EXIT_CODES
from support.corpus import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join((PROGRAM, *path)), command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from walk(each, (*path, name))


ALL = dict(walk(app))
COMMANDS = {path: command for path, command in ALL.items() if isinstance(command, Command)}
EXAMPLES = [(path, example.line) for path, command in COMMANDS.items() for example in command.examples]


def help_of(path: str, width: int = 80) -> str:
    command = ALL[path]
    context = command.context_class(command, info_name=path, terminal_width=width, **command.context_settings)
    return command.get_help(context)


def test_everything_is_a_command_or_a_group_of_ours() -> None:
    assert len(COMMANDS) > 30
    assert {type(command) for command in ALL.values() if command is not app} == {Command, Group}


@pytest.mark.parametrize("path", COMMANDS)
def test_two_examples_in_each_commands_help(path: str) -> None:
    command = COMMANDS[path]
    assert len(command.examples) >= 2
    shown = help_of(path)
    for example in command.examples:
        assert example.line in shown
        assert path in example.line
        assert example.meaning.endswith(".")


@pytest.mark.parametrize(("path", "line"), EXAMPLES)
def test_examples_are_understood(path: str, line: str) -> None:
    words = shlex.split(re.sub(r'"\$\(dumpscan plugins\)"|eval "\$\(|\)"$|>.*', "", line))
    if words[0] != PROGRAM:
        assert path == "dumpscan plugins"  # a command of volatility3
        return
    command: click.Command = app
    context = app.make_context(PROGRAM, words[1:])
    rest = context._protected_args + context.args
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        with context.scope():
            context = command.make_context(name, rest, parent=context)
        rest = context._protected_args + context.args if isinstance(command, click.Group) else []
    assert context.command_path == path


@pytest.mark.parametrize("path", ALL)
def test_sentences_are_whole(path: str) -> None:
    assert summary(ALL[path]).endswith("."), "the help of a command is a sentence"
    for parameter in ALL[path].params:
        told = parameter.help if isinstance(parameter, (click.Option, click.Argument)) else ""
        assert told, parameter.name
        assert told.endswith("."), (parameter.name, told)
    shown = help_of(path)
    command = ALL[path]
    for listed in command.commands.values() if isinstance(command, click.Group) else ():
        assert summary(listed) in " ".join(shown.split()), "nothing is cut short"
    assert max(map(len, shown.splitlines())) <= 100


def test_every_parameter_reaches_its_function() -> None:
    for path, command in COMMANDS.items():
        assert command.callback is not None
        parameters = inspect.signature(command.callback).parameters
        if "given" in parameters:  # commands over dumps take them as a whole
            continue
        assert [each.name for each in command.params] == list(parameters), path
        for parameter in command.params:
            default = parameters[str(parameter.name)].default
            if default is not inspect.Parameter.empty and default is not None:
                assert str(parameter.get_default(click.Context(command))) == str(default), (path, parameter.name)


def test_choices_are_named() -> None:
    assert "ecs|" in help_of("dumpscan case export")
    assert "[table|json|jsonl|csv]" in help_of("dumpscan x509")
    triage = " ".join(help_of("dumpscan triage").split())
    assert "Exit with 4 if there is such a thing: private-key, unproven-key, key-with-certificate, live-key," in triage


def test_the_exit_codes_are_those_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for code in EXIT_CODES:
        assert f"\n  {code} " in help_of("dumpscan")
        assert f"\n| {code} |" in readme


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x50", "a"], "No such command 'x50'. Did you mean 'x509'?"),
        (["kernel", "pslst", "a"], "No such command 'pslst'. Did you mean 'pslist'?"),
        (["symbols", "ad"], "No such command 'ad'. Did you mean 'add'?"),
        (["x509", "--formt", "json", "a"], "No such option '--formt'. Did you mean '--format'?"),
        (["x509", "--pid", "x", "a"], "'x' is not a whole number of 0 or more."),
        (["x509", "a", "--pid"], "--pid needs a value."),
        (["export", "a"], "No such command 'export'. Did you mean 'case export'?"),
        (["x509", "--format", "yaml", "a"], "'yaml' is not one of 'table', 'json', 'jsonl', 'csv'."),
        (["x509"], "Missing argument 'FILE...'."),
        (["triage", "a", "-c", "x", "--jobs", "-1"], "'-1' is not a whole number of 0 or more."),
        (["triage", "a", "-c", "x", "--jobs", "two"], "'two' is not a whole number of 0 or more."),
        (["case", "query", "x", "SELECT 1", "--timeout", "nan"], "'nan' is not a number of 0.1 or more."),
        (["report", "c", "-o", "x", "--at", "June"], "'June' is not a date such as 2025-06-01 or a time such as"),
    ],
)
def test_errors_in_plain_words(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dumpscan", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith("dumpscan: error: ")
    assert said in error
    assert hint.startswith("dumpscan: note: `dumpscan ")
    assert hint.endswith(" --help` shows how it is used")
    for leak in ("Input should", "Value error", "pydantic", "parse string"):
        assert leak not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    command = [sys.executable, "-m", "dumpscan", "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert f"_DUMPSCAN_COMPLETE={shell}_complete" in done.stdout
