"""The commands that read dumps: those of `minidump` and `kernel`, and the same without a group, from one place.

`dumpscan x509 FILE...` recognises what each file is, `dumpscan kernel x509 FILE...` insists on one kind. A command is a
function over a `Request` and a line in `_COMMANDS`; a new kind of dump gets its group without a change here.
"""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dumpscan.cli.options import (
    Aes,
    AesUnaligned,
    ArchivePassword,
    Deep,
    FormatOption,
    Names,
    NoProgress,
    Offline,
    Output,
    Password,
    Pids,
    Quiet,
    Scratch,
    Symbols,
    SysrootOption,
    ask_password,
)
from dumpscan.memory.open import CORE, OpenOptions, dumps_in
from dumpscan.memory.packed.unpack import UnpackOptions
from dumpscan.output.formats.registry import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.artifacts.registry import Search
    from dumpscan.cli.run import AnyDump, Run
    from dumpscan.memory.open import DumpKind
    from dumpscan.output.formats.render import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asked for; a field for each option, of which a command has those that make sense for it.

    Attributes:
        command: The command's name without its group.
        kind: The group; None where files are recognised.
    """

    command: str
    kind: DumpKind | None
    files: list[Path]
    output: Path | None = None
    password: str | None = None
    aes: bool = True
    aes_unaligned: bool = False
    deep: bool = False
    archive_password: str | None = None
    scratch: Path | None = None
    sysroot: Path | None = None
    symbols: list[Path] | None = None
    offline: bool = True
    pids: list[int] | None = None
    names: list[str] | None = None
    output_format: Format = Format.TABLE
    quiet: bool = False
    no_progress: bool = False

    def run(self, view: View) -> Run:
        """Begin the command."""
        from dumpscan.cli.run import Run

        return Run(
            f"{self.kind} {self.command}" if self.kind else self.command,
            view,
            self.output_format,
            quiet=self.quiet,
            progress=not self.no_progress,
        )

    def over(self, run: Run, work: Callable[[int, Path, AnyDump], None]) -> None:
        """Work on each of the files (see `Run.over`)."""
        unpacking = UnpackOptions(password=self.archive_password, scratch=self.scratch)
        options = OpenOptions(
            symbols=self.symbols or (), offline=self.offline, unpacking=unpacking, sysroot=self.sysroot
        )
        run.over(self._inputs(unpacking), self.kind, options, work)

    def _inputs(self, unpacking: UnpackOptions) -> Iterator[tuple[Path, bool]]:
        """List the files, and whether each was named itself.

        Directories are walked where kinds are recognised, and archives are looked into.
        """
        for path in self.files:
            walked = self.kind is None and path.is_dir()
            for file in _walk(path) if walked else (path,):
                dumps, others = dumps_in(file, unpacking)
                if not dumps:  # an archive of other things; to open it says so
                    dumps = [file]
                yield from ((dump, not walked and len(dumps) + others == 1) for dump in dumps)


def _walk(directory: Path) -> Iterator[Path]:
    """List what is in a directory, as triage does, by names that begin as the directory was given."""
    from dumpscan.case.triage.inputs import list_inputs

    whole = os.path.abspath(directory)  # noqa: PTH100 - as `list_inputs` makes it
    for each in list_inputs([str(directory)]):
        if not each.other:
            yield directory / os.path.relpath(each.path, whole)


# --- Commands --------------------------------------------------------------------------------------------------------


def _info(request: Request) -> int:
    from dumpscan.output.formats.render import View
    from dumpscan.output.records import info_record

    run = request.run(View.INFO)

    def work(_number: int, path: Path, dump: AnyDump) -> None:
        run.add(info_record(dump.kind, str(path), dump.describe()))

    request.over(run, work)
    return run.finish()


def _pslist(request: Request) -> int:
    from dumpscan.output.formats.render import View

    return _processes(request, View.PSLIST)


def _cmdline(request: Request) -> int:
    from dumpscan.output.formats.render import View

    return _processes(request, View.CMDLINE)


def _envars(request: Request) -> int:
    from dumpscan.output.formats.render import View

    return _processes(request, View.ENVARS)


def _processes(request: Request, view: View) -> int:
    from dumpscan.memory.dump import PhysicalDump
    from dumpscan.output.formats.render import View

    run = request.run(view)
    environment = view is View.ENVARS

    def work(_number: int, path: Path, dump: AnyDump) -> None:
        for process in dump.processes(pids=request.pids or (), names=request.names or (), environment=environment):
            held = process.environment if environment else process.command_line is not None
            if held or view is View.PSLIST or isinstance(dump, PhysicalDump):
                run.add_process(process, path, environment=environment)
            else:
                what = "environment" if environment else "command line"
                run.note(f"{path}: no {what}: {'; '.join(process.notes) or 'the dump does not hold it'}")

    request.over(run, work)
    return run.finish()


def _x509(request: Request) -> int:
    from dumpscan.artifacts.registry import X509

    return _search(request, X509)


def _symcrypt(request: Request) -> int:
    from dumpscan.artifacts.registry import SYMCRYPT

    return _search(request, SYMCRYPT)


def _keys(request: Request) -> int:
    from dumpscan.artifacts.registry import KEYS

    return _search(request, KEYS)


def _scan(request: Request) -> int:
    from dumpscan.artifacts.registry import EVERYTHING

    return _search(request, EVERYTHING)


def _with_aes(search: Search, request: Request) -> Search:
    """Return the search with AES keys or without, as the user wants it; certificates are looked for without."""
    from dumpscan.artifacts.registry import X509

    if search is X509 or not (request.aes or request.aes_unaligned):
        return search.without_aes()
    return search.with_aes(unaligned=request.aes_unaligned)


def _search(request: Request, search: Search) -> int:
    """Search the dumps, pair what was found, show and export it."""
    from dumpscan.artifacts.registry import EVERYTHING, KEYS
    from dumpscan.cli.progress import ProgressBar
    from dumpscan.output.formats.render import View
    from dumpscan.search.merge import Collector
    from dumpscan.search.options import SearchOptions
    from dumpscan.search.pairs import with_certificates, with_pairs, without_guesses
    from dumpscan.search.run import search as search_dump
    from dumpscan.search.run import search_size

    password = ask_password(request.password, request.output)
    view = View.SECRETS if search is KEYS else View.EVERYTHING if search is EVERYTHING else View.FINDINGS
    run = request.run(view)
    what = _with_aes(search, request)
    options = SearchOptions(pids=request.pids or (), names=request.names or (), deep=request.deep)
    collector = Collector()

    def work(number: int, path: Path, dump: AnyDump) -> None:
        with ProgressBar(path.name, search_size(dump, what), enabled=run.progress) as bar:
            for problem in search_dump(dump, what, collector, options=options, order=(number,), progress=bar.advance):
                run.damaged(problem)

    request.over(run, work)
    found = without_guesses(with_pairs(collector.findings()))
    shown = what.shown(found)
    if not shown and run.readable:
        run.note(what.nothing)
    try:
        run.add_findings(shown, dropped=collector.dropped)
        code = run.finish()
    finally:  # what was asked for as files is written, also when nobody reads the table to its end
        if request.output is not None:
            run.export(with_certificates(shown, found), request.output, password)
    return code


# --- Registration ----------------------------------------------------------------------------------------------------

_OPTIONS: dict[str, Any] = {
    "output": Output,
    "password": Password,
    "aes": Aes,
    "aes_unaligned": AesUnaligned,
    "deep": Deep,
    "archive_password": ArchivePassword,
    "scratch": Scratch,
    "symbols": Symbols,
    "sysroot": SysrootOption,
    "offline": Offline,
    "pids": Pids,
    "names": Names,
    "output_format": FormatOption,
    "quiet": Quiet,
    "no_progress": NoProgress,
}
_DEFAULTS = {field.name: field.default for field in fields(Request)}
_SYMBOLS = ("symbols", "offline")
_FILTERS = ("pids", "names")
_SEARCHING = ("output", "password")
_UNPACKING = ("archive_password", "scratch")
_SHOWING = ("output_format", "quiet", "no_progress")


@dataclass(frozen=True, slots=True)
class _Command:
    """A command.

    Attributes:
        name: As it is typed.
        body: What it does; returns the exit code.
        help: What its help says.
        options: Options beside those that follow from the kind of dump, and those that all commands have.
        filters: Whether it takes `--pid` and `--name`.
        everywhere: Whether it is in every group; otherwise only without one.
        many_processes: Whether it makes sense only where there is more than one process.
        alias: Another name for it, which no help shows.
    """

    name: str
    body: Callable[[Request], int]
    help: str
    options: tuple[str, ...] = ()
    filters: bool = True
    everywhere: bool = True
    many_processes: bool = False
    alias: str | None = None

    def is_in(self, kind: DumpKind | None) -> bool:
        """Say whether it is in a group, or among the commands that need none."""
        return kind is None or (self.everywhere and (kind.many_processes or not self.many_processes))


_COMMANDS = (
    _Command(
        "info", _info, "Show what each dump is: system, processes, memory, and how much of it is there.", filters=False
    ),
    _Command("pslist", _pslist, "List processes: ids, names, times, sessions.", many_processes=True),
    _Command("cmdline", _cmdline, "Show the command lines of processes."),
    _Command("envars", _envars, "Show the environments of processes (`envar` means the same).", alias="envar"),
    _Command(
        "x509",
        _x509,
        "Find X.509 certificates and private keys, prove each key, and pair keys with certificates.",
        _SEARCHING,
    ),
    _Command(
        "symcrypt",
        _symcrypt,
        "Find the keys that Windows' own crypto library holds, prove each, and match it to its certificate.",
        (*_SEARCHING, "aes", "aes_unaligned"),
    ),
    _Command(
        "keys",
        _keys,
        "Show everything secret in one table: keys from any source, and which certificate each opens.",
        (*_SEARCHING, "aes", "aes_unaligned", "deep"),
    ),
    _Command(
        "scan",
        _scan,
        "Show everything: certificates, keys, containers, and the processes that hold them.",
        (*_SEARCHING, "aes", "aes_unaligned", "deep"),
        everywhere=False,
    ),
)


def group(kind: DumpKind) -> typer.Typer:
    """Make the group of commands of one kind of dump."""
    app = typer.Typer(help=kind.title, no_args_is_help=True)
    add_commands(app, kind)
    return app


def add_commands(app: typer.Typer, kind: DumpKind | None) -> None:
    """Add the commands of a group, or those that need none."""
    for command in _COMMANDS:
        if command.is_in(kind):
            function = _function(command, kind)
            app.command(command.name)(function)
            if command.alias:
                app.command(command.alias, hidden=True)(function)


def _function(command: _Command, kind: DumpKind | None) -> Callable[..., int]:
    """Make a function with the parameters that typer is to read: one for each option of the command."""

    def function(**given: Any) -> int:  # noqa: ANN401 - typer has checked them
        return command.body(Request(command=command.name, kind=kind, **given))

    many = kind is None or kind.many_processes
    names = (
        *command.options,
        *_UNPACKING,
        *(_SYMBOLS if many else ()),
        *(("sysroot",) if kind in {None, CORE} else ()),
        *(_FILTERS if many and command.filters else ()),
        *_SHOWING,
    )
    what = "Dumps of any kind, and directories of them." if kind is None else kind.files
    argument = typer.Argument(metavar="FILE...", help=what, show_default=False)
    files = inspect.Parameter("files", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[list[Path], argument])
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[name], annotation=_OPTIONS[name])
        for name in names
    ]
    vars(function)["__signature__"] = inspect.Signature([files, *options])
    function.__annotations__ = {each.name: each.annotation for each in (files, *options)}
    function.__doc__ = command.help
    function.__name__ = command.name
    return function
