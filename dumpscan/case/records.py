"""What a case records of dumps and of itself. What was found in dumps are the findings of `dumpscan.findings`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError
from dumpscan.findings import InputStatus, Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from dumpscan.findings import Certificate, PrivateKey, Process


class CaseError(DumpscanError):
    """A case file cannot be used: it is something else or damaged, is being written to, or cannot answer a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpRecord:
    """An input file.

    Attributes:
        path: Absolute path, or the URL. The findings in it have the same string as `Location.file`.
        size: Its length in bytes; None where that is not known.
        modified: When it was last changed, UTC; None where that is not known.
        captured: When the dump was made by its own account, UTC; None where it does not say.
        sha256: SHA-256 of the file (hex); None if it was not computed (`--no-hash`) or the file could not be read.
        format: Its format, e.g. `minidump` or `kernel: LiME`; None if it is not a dump.
        status: How much of it could be used.
        problems: What was wrong with it, a sentence each.
        tool_version: The version of dumpscan that read it.
        settings: The settings it was read with, by name, as `ReadSettings.recorded` returns them.
        started: When reading began, UTC.
        finished: When reading ended, UTC.
        processes: Its processes, with command lines and environments.
    """

    path: str
    size: int | None
    modified: datetime | None
    captured: datetime | None = None
    sha256: str | None
    format: str | None
    status: Status
    problems: tuple[str, ...] = ()
    tool_version: str
    settings: Mapping[str, object] = field(default_factory=dict)
    started: datetime
    finished: datetime
    processes: tuple[Process, ...] = ()

    @property
    def moment(self) -> datetime:
        """When what it shows was so: when it was made; where it does not say, when the file was changed or read."""
        return self.captured or self.modified or self.started

    @property
    def input_status(self) -> InputStatus:
        """What became of it, as an input of a command."""
        return InputStatus(self.path, self.size, self.status, self.problems, self.captured)

    @property
    def is_dump(self) -> bool:
        """Whether it is a dump from which something could be read."""
        return self.status in {Status.OK, Status.NO_SYMBOLS, Status.DAMAGED}


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSymbols:
    """The symbol table of a kernel that was not there when its image was read.

    Attributes:
        pdb: Name of the kernel's symbol file, e.g. `ntkrnlmp.pdb`.
        guid: Its GUID, upper-case hex.
        age: Its age.
        refused: Path of a table that was there and could not be used; None if there was none.
    """

    pdb: str
    guid: str
    age: int
    refused: str | None = None


class Exposure(StrEnum):
    """How severe it is that a private key lay in memory; the worst comes first."""

    LIVE = "live"
    """One of its certificates is valid: now, or when a dump was made that the key lies in (`dumpscan.case.moments`)."""
    PAIRED = "paired"
    """It has certificates, none of which is valid."""
    ALONE = "alone"
    """None of its certificates was found."""
    UNPROVEN = "unproven"
    """None of its certificates was found, and nothing proves that it is a key."""


_SEVERITY = tuple(Exposure)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedKey:
    """A private key that lay in memory.

    Attributes:
        key: The key. Of its places it has the first only, of that place's process the id and the name, and it names no
            certificates; `Case.keyed` returns it whole.
        certificates: Its certificates in the case, each with its first place; that with the latest end comes first.
        exposure: How severe it is.
        captured: When the dumps were made that it lies in, as far as they say.
        dump_count: How many dumps it lies in.
    """

    key: PrivateKey
    certificates: tuple[Certificate, ...]
    exposure: Exposure
    captured: tuple[datetime, ...] = ()
    dump_count: int

    @property
    def severity(self) -> int:
        """The place of its exposure in the order of severity; 0 is the worst."""
        return _SEVERITY.index(self.exposure)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSummary:
    """A case in numbers.

    Attributes:
        dumps: How many files have each status; a status that no file has is left out.
        formats: How many readable dumps have each format.
        bytes: Length of all readable dumps together.
        processes: How many processes they have.
        findings: How many findings there are of each kind, e.g. `private_key`.
        keys: How many private keys have each exposure.
        expired_certificates: How many certificates have expired (see `dumpscan.case.moments`).
        live_certificates: How many certificates are valid.
        well_known_cas: How many certificates are of well-known authorities.
        first: When reading the first file began, UTC; None in an empty case.
        last: When reading the last file ended, UTC; None in an empty case.
        tool_versions: The versions of dumpscan that read the files.
    """

    dumps: Mapping[Status, int]
    formats: Mapping[str, int]
    bytes: int
    processes: int
    findings: Mapping[str, int]
    keys: Mapping[Exposure, int]
    expired_certificates: int
    live_certificates: int
    well_known_cas: int
    first: datetime | None
    last: datetime | None
    tool_versions: tuple[str, ...]
