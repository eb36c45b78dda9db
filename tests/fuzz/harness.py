"""Runs commands on mutated files in child processes that may use so much memory and so many CPU seconds.

A mutant escapes if a command ends with an exception, with an exit code that the README does not know, writes a
traceback or an escape sequence, or needs more than its limits. It is then shrunk and saved.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.mutate import database, mutated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from fuzz.mutate import Mutator

    Command = tuple[str, ...]

EXIT_CODES = frozenset({0, 1, 2, 3, 4, 5})
MAX_MEMORY = 2 << 30
"""Bytes of address space beyond what the process has when it begins; the given and held-out inputs are judged by it."""
MAX_SECONDS = 20
"""CPU seconds for one mutant."""
_LONGEST = 600
"""Seconds of wall-clock time for one mutant: what waits for ever takes no CPU seconds."""
_MUTANTS_PER_CHILD = 5000
_MOST_ESCAPED = 10
_SELDOM = 40
"""One mutant of so many is read by a command that takes much longer than the others."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of each child's own is made in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is fuzzed.

    Attributes:
        name: Its name.
        seeds: Files that mutants are made of, by their file names.
        mutators: How.
        commands: One of these commands, chosen by the mutant's number, reads it; `{}` stands for the mutant, `-` for
            standard input, which holds it too, and `{dir}` for a directory of its own.
        seldom: Commands that take so long that few mutants are read by them.
        is_database: Whether the mutants are case files, which are changed by SQL.
        run: Reads a mutant as bytes, in place of commands: that is ten times as fast as a command.
    """

    name: str
    seeds: dict[str, bytes]
    mutators: tuple[Mutator, ...]
    commands: tuple[Command, ...]
    seldom: tuple[Command, ...] = ()
    is_database: bool = False
    run: Callable[[bytes], object] | None = None


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        mutants: How many were tried.
        escaped: What went wrong, with the mutant that it went wrong on.
    """

    mutants: int = 0
    escaped: list[tuple[str, Path]] = field(default_factory=list)


def fuzz(target: Target, *, seed: int | str, seconds: float, directory: Path, mutants: int | None = None) -> Outcome:
    """Fuzz a target until the time is over, or so many mutants have been tried.

    Args:
        target: What to fuzz.
        seed: The same seed gives the same mutants.
        seconds: Wall-clock seconds.
        directory: Where mutants are written; those that escape stay there.
        mutants: How many to try at most.
    """
    import dumpscan.cli.app  # noqa: PLC0415 - once, before the children are forked
    import dumpscan.memory.kernel.image  # noqa: PLC0415 - as above
    import dumpscan.search.run  # noqa: F401, PLC0415 - as above

    if target.run is not None:
        for content in target.seeds.values():  # what is computed once, before the children are forked
            target.run(content)
    outcome = Outcome()
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else directory, prefix="dumpscan-fuzz-") as work:
        while time.monotonic() < ends and len(outcome.escaped) < _MOST_ESCAPED:
            begun = f"{seed}-{outcome.mutants}"
            count = min(_MUTANTS_PER_CHILD, (mutants or outcome.mutants + _MUTANTS_PER_CHILD) - outcome.mutants)
            if count <= 0:
                break
            done, problem = _batch(target, begun, count, ends, Path(work))
            outcome.mutants += done
            if problem is not None:
                path = _make(target, begun, done - 1, directory / f"escaped-{target.name}-{begun}-{done}")
                outcome.escaped.append((problem, _shrunk(target, path, problem, _command(target, begun, done - 1))))
    return outcome


def _command(target: Target, seed: str, number: int) -> Command:
    """Choose the command that reads a mutant; it is empty if the target has none."""
    rng = random.Random(f"{seed}-{number}-command")  # noqa: S311 - repeatable on purpose
    if target.seldom and not rng.randrange(_SELDOM):
        return rng.choice(target.seldom)
    return rng.choice(target.commands or ((),))


def _mutant(target: Target, seed: str, number: int) -> tuple[str, bytes, random.Random]:
    """Make a mutant; return its seed's name, its bytes, and what made it."""
    rng = random.Random(f"{seed}-{number}")  # noqa: S311 - repeatable on purpose
    name = rng.choice(sorted(target.seeds))
    content = target.seeds[name]
    return name, content if target.is_database else mutated(content, target.mutators, rng), rng


def _make(target: Target, seed: str, number: int, path: Path) -> Path:
    """Write a mutant, named as its seed is: commands may look at names."""
    name, content, rng = _mutant(target, seed, number)
    path = path.with_name(f"{path.name}{Path(name).suffix}")
    path.write_bytes(content)
    if target.is_database:
        database(path, rng)
    return path


def _batch(target: Target, seed: str, count: int, ends: float, work: Path) -> tuple[int, str | None]:
    """Try mutants in one child; return how many were begun, and what went wrong with the last of them."""
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(target, seed, count, ends, work, theirs))
    child.start()
    theirs.close()
    begun, problem = 0, None
    try:
        for message in _messages(ours):
            if message is None:
                begun += 1
            else:
                problem = message
    except TimeoutError:
        child.kill()
        problem = f"nothing for {_LONGEST} seconds: it waits"
    child.join()
    if problem is None and child.exitcode:
        problem = f"the process ended with {child.exitcode}: out of CPU seconds, or killed"
    return begun, problem


def _messages(connection: Connection) -> Iterator[str | None]:
    with contextlib.suppress(EOFError):
        while True:
            if not connection.poll(_LONGEST):
                raise TimeoutError
            yield connection.recv()


def _child(target: Target, seed: str, count: int, ends: float, work: Path, out: Connection) -> None:  # noqa: PLR0917
    gc.freeze()  # what was imported is not looked through again and again
    _limit()
    os.environ["XDG_CACHE_HOME"] = str(work / "cache")
    for number in range(count):
        if time.monotonic() > ends:
            break
        out.send(None)
        problem = _problem(target, seed, number, work)
        if problem is not None:
            out.send(problem)
            break
    out.close()
    os._exit(0)


def _problem(target: Target, seed: str, number: int, work: Path) -> str | None:
    """Make a mutant and read it; say what went wrong."""
    _grant()
    command = _command(target, seed, number)
    if not command:
        return _try_bytes(target, _mutant(target, seed, number)[1])
    return _try(target, _make(target, seed, number, work / "mutant"), command)


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MAX_MEMORY, resource.RLIM_INFINITY))


def _grant() -> None:
    """Let the process take so many CPU seconds from now on."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + MAX_SECONDS, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def _try_bytes(target: Target, data: bytes) -> str | None:
    """Read a mutant in this process; say what went wrong."""
    try:
        if target.run is not None:
            target.run(data)
    except BaseException:  # noqa: BLE001 - whatever escapes is what is looked for
        return traceback.format_exc(limit=-3)
    return None


def _try(target: Target, path: Path, command: Command) -> str | None:
    """Run a command on a mutant; say what went wrong."""
    if not command:
        return _try_bytes(target, path.read_bytes())
    code, problem = run([each.format(path, dir=path.parent) for each in command], standard_input=path)
    if problem is None and code not in EXIT_CODES:
        problem = f"exit code {code}"
    return problem and f"dumpscan {' '.join(command)}: {problem}"


def run(arguments: Sequence[str], standard_input: Path | None = None) -> tuple[int, str | None]:
    """Run a command in this process; return its exit code, and what it did that none may do."""
    from dumpscan.cli import app as command_line  # noqa: PLC0415 - a test may have put another in its place

    stdout, stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    before = sys.argv, sys.stdin
    sys.argv = ["dumpscan", *arguments]
    if standard_input is not None and "-" in arguments:
        sys.stdin = io.TextIOWrapper(io.BytesIO(standard_input.read_bytes()))
    code: object = 0
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            command_line.run()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - whatever escapes is what is looked for
        return 1, traceback.format_exc(limit=-3)
    finally:
        sys.argv, sys.stdin = before
    for stream in (stdout, stderr):
        stream.flush()
        written = stream.buffer.getvalue()
        if b"Traceback" in written or b"a fault of dumpscan" in written:
            return 1, f"a traceback: {written[-800:]!r}"
        if b"\x1b" in written:
            return 1, "an escape character in its output"
    return int(code or 0) if isinstance(code, int | None) else 1, None


def _shrunk(target: Target, path: Path, problem: str, command: Command) -> Path:
    """Cut away of a mutant what is not needed for it to escape, for as long as that is quick."""
    path.with_name(f"{path.name}.txt").write_text(problem)
    if target.is_database:
        return path
    ends = time.monotonic() + 20
    data = path.read_bytes()
    size = len(data) // 2
    trial = path.with_name(f"trial-{path.name}")
    while size >= 16 and time.monotonic() < ends:
        for at in range(0, len(data), size):
            smaller = data[:at] + data[at + size :]
            trial.write_bytes(smaller)
            if smaller and _escapes(target, trial, command):
                data = smaller
                break
            if time.monotonic() > ends:
                break
        else:
            size //= 2
    trial.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def _escapes(target: Target, path: Path, command: Command) -> bool:
    context = get_context("fork")

    def check() -> None:
        _limit()
        _grant()
        os._exit(_try(target, path, command) is not None)

    child = context.Process(target=check)
    child.start()
    child.join()
    return bool(child.exitcode)
