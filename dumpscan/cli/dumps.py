"""The commands that read dumps: those of `minidump` and `kernel`, and the same without a group, from one place.

`dumpscan x509 FILE...` recognises what each file is, `dumpscan kernel x509 FILE...` insists on one kind. A command is a
function over a `Request` and a line in `_COMMANDS`; a new kind of dump gets its group without a change here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dumpscan.cli import options as declared
from dumpscan.cli.commands import Command, Example, Group
from dumpscan.memory.formats import CORE, KERNEL, MINIDUMP, OpenOptions
from dumpscan.memory.open import dumps_in
from dumpscan.memory.packed.unpack import UnpackOptions
from dumpscan.output.formats.registry import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dumpscan.artifacts.registry import Search
    from dumpscan.cli.run import AnyDump, Run
    from dumpscan.memory.formats import DumpKind
    from dumpscan.output.formats.render import View
    from dumpscan.search.merge import Collector
    from dumpscan.search.options import SearchOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asked for; a field for each option, of which a command has those that make sense for it.

    Attributes:
        command: The command's name without its group.
        kind: The group; None where files are recognised.
    """

    command: str
    kind: DumpKind | None
    files: Sequence[Path]
    output: Path | None = None
    password: str | None = None
    capture: Path | None = None
    aes: bool = True
    aes_unaligned: bool = False
    deep: bool = False
    certificates: Sequence[Path] = ()
    archive_password: str | None = None
    scratch: Path | None = None
    sysroot: Path | None = None
    symbols: Sequence[Path] = ()
    offline: bool = True
    pids: Sequence[int] = ()
    names: Sequence[str] = ()
    everything: bool = False
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
            everything=self.everything,
        )

    def over(self, run: Run, work: Callable[[int, Path, AnyDump], None]) -> None:
        """Work on each of the files (see `Run.over`)."""
        unpacking = UnpackOptions(password=self.archive_password, scratch=self.scratch)
        options = OpenOptions(symbols=self.symbols, offline=self.offline, unpacking=unpacking, sysroot=self.sysroot)
        run.over(self._inputs(unpacking), self.kind, options, work)

    def search(self, run: Run, what: Search, options: SearchOptions) -> Collector:
        """Search each of the files; in the end, say what was left out."""
        from dumpscan.search.merge import Collector
        from dumpscan.search.run import search

        collector = Collector()
        left_out: list[str] = []

        def work(number: int, path: Path, dump: AnyDump) -> None:
            def note(text: str) -> None:
                left_out.append(f"{path}: {text}")

            advance = run.searching(dump, what).advance
            for problem in search(dump, what, collector, options=options, order=(number,), progress=advance, note=note):
                run.damaged(problem)

        self.over(run, work)
        for text in left_out:
            run.note(text)
        return collector

    def _inputs(self, unpacking: UnpackOptions) -> Iterator[tuple[Path, bool]]:
        """List the files, and whether each was named itself.

        Directories are walked where kinds are recognised, and archives are looked into.
        """
        for path in self.files:
            walked = self.kind is None and os.path.isdir(path)  # noqa: PTH112 - pathlib's raises for a name too long
            for file in _walk(path) if walked else (path,):
                dumps, others = dumps_in(file, unpacking)
                if not dumps:  # an archive of other things; to open it says so
                    yield file, not walked
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
    from dumpscan.memory.dump import is_physical
    from dumpscan.output.formats.render import View

    run = request.run(view)
    environment = view is View.ENVARS

    def work(_number: int, path: Path, dump: AnyDump) -> None:
        for process in dump.processes(pids=request.pids, names=request.names, environment=environment):
            held = process.environment if environment else process.command_line is not None
            if held or view is View.PSLIST or is_physical(dump):
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


def _tls(request: Request) -> int:
    from dumpscan.artifacts.registry import TLS

    if request.capture is None:
        return _search(request, TLS)
    from dumpscan.artifacts.tls.recorded.records import read_capture
    from dumpscan.cli.messages import complain

    capture = read_capture(request.capture)
    if not request.quiet:
        for problem in capture.problems:
            complain(f"{request.capture}: {problem}", level="warning")
        complain(f"{request.capture}: {capture.describe()}", level="note")
    return _search(request, TLS.with_tls(capture))


def _with_aes(search: Search, request: Request) -> Search:
    """Return the search with AES keys or without, as the user wants it; certificates are looked for without."""
    from dumpscan.artifacts.registry import X509

    if search.tls:
        return search
    if search is X509 or not (request.aes or request.aes_unaligned):
        return search.without_aes()
    return search.with_aes(unaligned=request.aes_unaligned)


def _named_keys(files: Sequence[Path]) -> tuple[bytes, ...]:
    """Return the public keys of certificates that the user names.

    Raises:
        UsageError: A file holds none that can be looked for.
    """
    if not files:
        return ()
    from dumpscan.exceptions import UsageError
    from dumpscan.search.reference import read_references

    found: dict[bytes, None] = {}
    for file in files:
        keys = [each.public_info for each in read_references(file) if each.public_info is not None]
        if not keys:
            raise UsageError(f"{file}: to search for a private key takes the certificate or public key itself")
        found |= dict.fromkeys(keys)
    return tuple(found)


def _search(request: Request, search: Search) -> int:
    """Search the dumps, pair what was found, show and export it."""
    from dumpscan.artifacts.registry import EVERYTHING, KEYS
    from dumpscan.output.formats.render import View
    from dumpscan.search.options import SearchOptions
    from dumpscan.search.pairs import with_certificates, with_pairs, without_guesses

    password = declared.ask_password(request.password, request.output)
    view = View.SECRETS if search is KEYS else View.EVERYTHING if search is EVERYTHING else View.FINDINGS
    run = request.run(view)
    what = _with_aes(search, request)
    public_keys = _named_keys(request.certificates)
    options = SearchOptions(pids=request.pids, names=request.names, deep=request.deep, public_keys=public_keys)
    collector = request.search(run, what, options)
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

_SYMBOLS = (declared.symbols, declared.offline)
_FILTERS = (declared.pids, declared.names)
_SEARCHING = (declared.output, declared.password)
_KNOWN = (declared.certificates, declared.deep)
_AES = (declared.aes, declared.aes_unaligned)
_UNPACKING = (declared.archive_password, declared.scratch)
_SHOWING = (declared.output_format, declared.quiet, declared.no_progress)
_SAMPLES = {None: "lsass.dmp", MINIDUMP: "lsass.dmp", CORE: "nginx.core", KERNEL: "memory.raw"}
"""Names of files in the examples, by the group."""


@dataclass(frozen=True, slots=True)
class _Command:
    """A command.

    Attributes:
        name: As it is typed.
        body: What it does; returns the exit code.
        help: What its help says.
        examples: What follows the command's name, and what that does; `FILE` stands for a file of the kind.
        options: Options beside those that follow from the kind of dump, and those that all commands have.
        filters: Whether it takes `--pid` and `--name`.
        everywhere: Whether it is in every group; otherwise only without one.
        many_processes: Whether it makes sense only where there is more than one process.
        alias: Another name for it, which no help shows.
    """

    name: str
    body: Callable[[Request], int]
    help: str
    examples: tuple[tuple[str, str], ...]
    options: tuple[Callable[[Any], Any], ...] = ()
    filters: bool = True
    everywhere: bool = True
    many_processes: bool = False
    alias: str | None = None

    def is_in(self, kind: DumpKind | None) -> bool:
        """Say whether it is in a group, or among the commands that need none."""
        return kind is None or (self.everywhere and (kind.many_processes or not self.many_processes))


_COMMANDS = (
    _Command(
        "info",
        _info,
        "Show what each dump is: system, processes, memory, and how much of it is there.",
        (
            ("FILE", "Describe one dump."),
            ("FILE --format json", "Write every field as JSON, for another program."),
        ),
        filters=False,
    ),
    _Command(
        "pslist",
        _pslist,
        "List processes with their ids, names, times and sessions.",
        (
            ("FILE --symbols symbols", "List the processes of an image whose symbol table lies in `symbols`."),
            ("FILE --online --format csv", "Download the symbol table if it is missing, and write CSV."),
        ),
        many_processes=True,
    ),
    _Command(
        "cmdline",
        _cmdline,
        "Show the command lines of processes.",
        (
            ("FILE", "Show the command line of every process in the dump."),
            ("FILE --format jsonl", "Write one JSON line for each process, with the exact strings."),
        ),
    ),
    _Command(
        "envars",
        _envars,
        "Show the environments of processes (`envar` means the same).",
        (
            ("FILE", "Show the environment variables of every process in the dump."),
            ("FILE --format csv", "Write one row for each process, for a spreadsheet."),
        ),
        alias="envar",
    ),
    _Command(
        "x509",
        _x509,
        "Find X.509 certificates and private keys, prove each key, and pair keys with certificates.",
        (
            ("FILE", "Show what is in one dump."),
            ("FILE -o out --password -", "Export it to the directory `out`, and ask for a password for the keys."),
        ),
        (*_SEARCHING, *_KNOWN, declared.everything),
    ),
    _Command(
        "symcrypt",
        _symcrypt,
        "Find the keys that Windows' own crypto library holds, prove each, and match it to its certificate.",
        (
            ("FILE", "Show the keys that SymCrypt holds in memory."),
            ("FILE --no-aes -o out", "Leave out AES keys, and export the others to the directory `out`."),
        ),
        (*_SEARCHING, *_AES),
    ),
    _Command(
        "keys",
        _keys,
        "Show everything secret: keys from any source, and which certificate each opens.",
        (
            ("FILE", "Show all keys and encrypted containers."),
            ("FILE --deep -o out", "Look for the key of every certificate in any form, and export all keys to `out`."),
        ),
        (*_SEARCHING, *_AES, *_KNOWN),
    ),
    _Command(
        "tls",
        _tls,
        "Find the secrets of TLS sessions and prove each; a key log of them decrypts a capture.",
        (
            ("FILE", "Show the secrets of TLS 1.2 and 1.3 that the dump's programs hold."),
            ("FILE -o out", "Write them to `out/sslkeys.log`, a key log that Wireshark reads."),
            ("FILE --capture traffic.pcapng", "Show only those of a capture's sessions, proven by what they decrypt."),
        ),
        (declared.output, declared.capture),
    ),
    _Command(
        "scan",
        _scan,
        "Show everything: certificates, keys, containers, and the processes that hold them.",
        (
            ("FILE", "Show everything that is in one dump."),
            ("dumps/ --format jsonl", "Write one JSON line for each finding in any dump below `dumps`."),
        ),
        (*_SEARCHING, *_AES, *_KNOWN, declared.everything),
        everywhere=False,
    ),
)


def group(kind: DumpKind) -> Group:
    """Make the group of commands of one kind of dump."""
    made = Group(kind.name, help=kind.title)
    add_commands(made, kind)
    return made


def add_commands(to: Group, kind: DumpKind | None, *, section: str = "Commands") -> None:
    """Add the commands of a group, or those that need none."""
    for command in _COMMANDS:
        if command.is_in(kind):
            to.add(_command(command, kind), section=section, alias=command.alias)


def _command(command: _Command, kind: DumpKind | None) -> Command:
    """Make a command with the options that fit the kind of dump."""

    def run(**given: Any) -> int:  # noqa: ANN401 - click has checked them
        return command.body(Request(command=command.name, kind=kind, **given))

    many = kind is None or kind.many_processes
    what = "Dumps of any kind, and directories of them." if kind is None else kind.files
    files = click.argument("files", nargs=-1, required=True, metavar="FILE...", type=declared.FILE, help=what)
    decorators = (
        files,
        *command.options,
        *_UNPACKING,
        *(_SYMBOLS if many else ()),
        *((declared.sysroot,) if kind in {None, CORE} else ()),
        *(_FILTERS if many and command.filters else ()),
        *_SHOWING,
    )
    function: Callable[..., int] = run
    for decorate in reversed(decorators):
        function = decorate(function)
    sample = _SAMPLES[KERNEL if command.many_processes else kind]
    program = "dumpscan" if kind is None else f"dumpscan {kind.name}"
    examples = [
        Example(f"{program} {command.name} {line.replace('FILE', sample)}", meaning)
        for line, meaning in command.examples
    ]
    return click.command(command.name, cls=Command, help=command.help, examples=examples)(function)
