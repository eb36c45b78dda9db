"""What to read and how. Imports nothing that only reading needs: the coordinator of a triage reads no files itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan._version import __version__
from dumpscan.case.records import DumpRecord
from dumpscan.case.store.writer import DumpResult
from dumpscan.case.triage.environment import Environment, limited
from dumpscan.findings import Status
from dumpscan.memory.packed.unpack import UnpackOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.case.records import MissingSymbols
    from dumpscan.findings import Finding, Process

_MAX_PROBLEMS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How files are read.

    Attributes:
        aes: Whether to look for AES keys by their schedules.
        aes_unaligned: Whether to look for them at addresses that are no multiples of four too.
        tls: Whether to look for secrets of TLS sessions.
        hashes: Whether to compute the SHA-256 of files.
        store_keys: Whether key material leaves the process that finds it and is stored in the case.
        environment: What becomes of environment variables.
        symbols: Directories of kernels' symbol tables, as for `KernelImage`.
        offline: As for `KernelImage`.
        scratch: Directory for files that are fetched or unpacked; the system's by default.
        scratch_limit: Bytes that one such file may have.
        archive_password: Of encrypted archives; it is not kept with a dump.
    """

    aes: bool = True
    aes_unaligned: bool = False
    tls: bool = False
    hashes: bool = True
    store_keys: bool = False
    environment: Environment = Environment.KEPT
    symbols: tuple[str, ...] = ()
    offline: bool = True
    scratch: str | None = None
    scratch_limit: int = 64 << 30
    archive_password: str | None = field(default=None, repr=False)

    @property
    def unpacking(self) -> UnpackOptions:
        """How packed dumps are unpacked."""
        scratch = None if self.scratch is None else Path(self.scratch)
        return UnpackOptions(password=self.archive_password, scratch=scratch, limit=self.scratch_limit)

    def recorded(self) -> dict[str, object]:
        """Return what the case records with each dump: the settings that can change what is found."""
        return {
            "aes": self.aes,
            "aes_unaligned": self.aes_unaligned,
            "tls": self.tls,
            "hash": self.hashes,
            "store_keys": self.store_keys,
            "environment": self.environment.value,
            "symbols": list(self.symbols),
            "offline": self.offline,
            "scratch_limit": self.scratch_limit,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A file to read.

    Attributes:
        path: Absolute path, or URL.
        size: Its length in bytes when it was listed; None if that is not known.
        modified_ns: As in `DumpResult`.
        tag: As in `DumpResult`.
        settings: How to read it.
        threads: How many threads to search with.
        unusable: As in `Input`.
        other: As in `Input`.
    """

    path: str
    size: int | None
    modified_ns: int | None
    tag: str | None = None
    settings: ReadSettings
    threads: int = 1
    unusable: str | None = None
    other: bool = False

    def result(
        self,
        status: Status,
        started: datetime,
        *,
        problems: Iterable[str],
        findings: Iterable[Finding] = (),
        sha256: str | None = None,
        dump_format: str | None = None,
        captured: datetime | None = None,
        processes: Iterable[Process] = (),
        opened: bool = True,
        missing_symbols: Iterable[MissingSymbols] = (),
    ) -> DumpResult:
        """Return the result of reading it, which ended now. The arguments are as in `DumpRecord` and `DumpResult`."""
        said = list(dict.fromkeys(problems))
        if len(said) > _MAX_PROBLEMS:
            said[_MAX_PROBLEMS:] = [f"and {len(said) - _MAX_PROBLEMS} more problems"]
        record = DumpRecord(
            path=self.path,
            size=self.size,
            modified=_moment(self.modified_ns),
            captured=captured,
            sha256=sha256,
            format=dump_format,
            status=status,
            problems=tuple(said),
            tool_version=__version__,
            settings=self.settings.recorded(),
            started=started,
            finished=datetime.now(UTC),
            processes=tuple(limited(process, self.settings.environment) for process in processes),
        )
        return DumpResult(
            record=record,
            findings=tuple(findings),
            modified_ns=self.modified_ns,
            tag=self.tag,
            opened=opened,
            missing_symbols=tuple(missing_symbols),
        )

    def failed(self, reason: str) -> DumpResult:
        """Return the result for a file that was not read to its end."""
        return self.result(Status.PENDING, datetime.now(UTC), problems=[reason])

    def refused(self) -> DumpResult:
        """Return the result for a file that is unusable."""
        status = Status.OTHER if self.other else Status.UNREADABLE
        return self.result(status, datetime.now(UTC), problems=[self.unusable or ""], opened=False)


def _moment(nanoseconds: int | None) -> datetime | None:
    """Return a time in UTC; None for one that a file system may have and Python's calendar has not."""
    if nanoseconds is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None
