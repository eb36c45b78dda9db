"""The unit of work of a triage: reads one file. It is the same in this process, in a pool and on a cluster.

No input makes it raise: a file that cannot be read gives a result that says so.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan._version import __version__
from dumpscan.artifacts.registry import KEYS
from dumpscan.case.records import MissingSymbols
from dumpscan.case.triage.staging import staged
from dumpscan.exceptions import DumpscanError, InputError
from dumpscan.findings import EncryptedContainer, Finding, PrivateKey, Status, SymmetricKey, TlsSecret
from dumpscan.memory.dump import is_physical
from dumpscan.memory.formats import ONE_IMAGE, NoDumpError, OpenOptions
from dumpscan.memory.open import StillPackedError, open_dump
from dumpscan.memory.packed.unpack import split
from dumpscan.memory.symbols.errors import SymbolsError
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.pairs import with_pairs, without_guesses
from dumpscan.search.run import search, search_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dumpscan.case.store.writer import DumpResult
    from dumpscan.case.triage.task import Task
    from dumpscan.findings import Process
    from dumpscan.memory.dump import PhysicalDump, ProcessDump
    from dumpscan.memory.symbols.errors import MissingTable

_HASHED_BESIDE = 64 << 20
"""Length in bytes from which a file is hashed while it is searched, so that the disk reads it once. Smaller files are
still in the system's cache when the search is over."""


class _Reading:
    """What has been learnt of a file so far. It remains if reading fails in the middle."""

    def __init__(self) -> None:
        self.format: str | None = None
        self.sha256: str | None = None
        self.captured: datetime | None = None
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.processes: tuple[Process, ...] = ()
        self.findings: list[Finding] = []
        self.opened = True
        self.missing_symbols: tuple[MissingSymbols, ...] = ()


def read_dump(task: Task, advance: Callable[[int], None] | None = None) -> DumpResult:
    """Read a file: its format, its processes, and all keys and certificates in it.

    Args:
        task: The file.
        advance: Called repeatedly with the number of bytes that have been read since the last call.
    """
    started = datetime.now(UTC)
    reading = _Reading()
    status = Status.UNREADABLE
    try:
        with staged(task.path, task.size, task.settings.scratch, task.settings.scratch_limit) as path:
            try:
                _read(path, task, reading, advance)
                complete = Status.NO_SYMBOLS if reading.missing_symbols else Status.OK
                status = Status.DAMAGED if reading.problems else complete
            finally:
                reading.problems += reading.remarks
                reading.problems = [problem.replace(str(path), task.path) for problem in reading.problems]
    except StillPackedError as error:
        reading.problems.append(str(error))
    except NoDumpError as error:
        status = Status.OTHER
        reading.problems.append(str(error))
    except MemoryError:
        status = Status.PENDING
        reading.problems.append("there was not enough memory to read it")
    except DumpscanError as error:
        reading.problems.append(_reason(error))
        reading.opened = not isinstance(error.__cause__, OSError)
    except Exception as error:  # noqa: BLE001 - a bug that one file shows must not end a triage of ten thousand
        reading.problems.append(f"a fault of dumpscan {__version__}: {type(error).__name__}: {error}"[:500])
    if reading.findings and status is Status.UNREADABLE:
        status = Status.DAMAGED
    return _result(task, reading, status, started)


def _result(task: Task, reading: _Reading, status: Status, started: datetime) -> DumpResult:
    findings = _at(task.path, reading.findings)
    if not task.settings.store_keys:
        findings = map(_without_secret, findings)
    return task.result(
        status,
        started,
        problems=reading.problems,
        findings=findings,
        sha256=reading.sha256,
        dump_format=reading.format,
        captured=reading.captured,
        processes=reading.processes,
        opened=reading.opened,
        missing_symbols=reading.missing_symbols,
    )


def _read(path: Path, task: Task, reading: _Reading, advance: Callable[[int], None] | None) -> None:
    settings = task.settings
    options = OpenOptions(
        symbols=[Path(each) for each in settings.symbols], offline=settings.offline, unpacking=settings.unpacking
    )
    file, _ = split(path)  # of a file in an archive, the archive: it is what can be hashed and shown again
    try:
        dump = open_dump(path, options=options)
    except InputError:
        if settings.hashes and (task.size or 0) < _HASHED_BESIDE:
            reading.sha256 = _digest(file)
        raise
    with dump:
        hashing = _Hashing(file, reading)
        beside = settings.hashes and file.stat().st_size >= _HASHED_BESIDE
        if beside:
            hashing.start()
        try:
            with ONE_IMAGE if is_physical(dump) else nullcontext():
                _search(dump, task, reading, advance)
        finally:
            if beside:
                hashing.join()
            elif settings.hashes:
                hashing.run()


def _search(
    dump: ProcessDump | PhysicalDump, task: Task, reading: _Reading, advance: Callable[[int], None] | None
) -> None:
    reading.format = dump.format
    reading.captured = dump.captured
    collector = Collector()
    try:
        reading.processes = tuple(dump.processes(environment=True))
    except DumpscanError as error:
        problem = f"its processes cannot be listed: {_reason(error)}"
        if isinstance(error, SymbolsError):
            reading.missing_symbols = tuple(map(_missing_symbols, error.missing))
            reading.remarks.append(problem)
        else:
            reading.problems.append(problem)
    settings = task.settings
    what = KEYS.with_aes(unaligned=settings.aes_unaligned) if settings.aes else KEYS.without_aes()
    if settings.tls:
        what = what.with_tls()
    if advance is not None:
        advance = _in_shares(advance, search_size(dump, what), task.size or 0)
    try:
        reading.problems += search(dump, what, collector, options=SearchOptions(threads=task.threads), progress=advance)
        reading.problems += dump.damage
    finally:
        reading.findings = without_guesses(with_pairs(collector.findings()))
        if collector.dropped:
            reading.problems.append(f"{collector.dropped} further findings were not kept: there are too many")


def _in_shares(advance: Callable[[int], None], whole: int, size: int) -> Callable[[int], None]:
    """Return what counts bytes that are searched, `whole` of them over all passes, as shares of the file's size."""
    searched = told = 0

    def count(further: int) -> None:
        nonlocal searched, told
        searched += further
        now = size * min(searched, whole) // max(whole, 1)
        advance(now - told)
        told = now

    return count


def _missing_symbols(missing: MissingTable) -> MissingSymbols:
    pdb, refused = missing.pdb, missing.refused
    return MissingSymbols(pdb=pdb.name, guid=pdb.guid, age=pdb.age, refused=None if refused is None else str(refused))


class _Hashing(threading.Thread):
    """Computes a file's SHA-256 while the file is searched, from the same pages of the system's cache."""

    def __init__(self, path: Path, reading: _Reading) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._reading = reading

    def run(self) -> None:
        """Compute it in the calling thread."""
        self._reading.sha256 = _digest(self._path)


def _digest(path: Path) -> str | None:
    try:
        status = path.stat()
        return _digest_of(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=4)
def _digest_of(path: Path, _size: int, _modified_ns: int) -> str:
    """Compute a file's SHA-256; that of an archive is remembered for the next dump in it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _at(path: str, findings: Iterable[Finding]) -> Iterable[Finding]:
    """Yield findings whose places name the file as the case does; a copy of it may have been read."""
    for finding in findings:
        yield replace(finding, locations=tuple(replace(place, file=path) for place in finding.locations))


def _without_secret(finding: Finding) -> Finding:
    match finding:
        case PrivateKey():
            return replace(finding, pkcs8=b"")
        case SymmetricKey():
            return replace(finding, key=b"")
        case TlsSecret():
            return replace(finding, secret=b"")
        case EncryptedContainer():
            return replace(finding, data=b"")
        case _:
            return finding


def _reason(error: DumpscanError) -> str:
    """Return an error's message without the name of the file."""
    if not isinstance(error, InputError):
        return str(error)
    return error.problem if error.offset is None else f"at offset {error.offset:#x}: {error.problem}"
