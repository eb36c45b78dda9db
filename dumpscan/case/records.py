"""What a case says of its dumps and of itself. What was found in them are the findings of `dumpscan.findings`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError
from dumpscan.findings import Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from dumpscan.findings import Certificate, PrivateKey, Process


class CaseError(DumpscanError):
    """A case file cannot be used: it is none, somebody else is writing to it, or a question to it makes no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpRecord:
    """A file that was looked at.

    Attributes:
        path: Absolute path, or the URL. `Location.file` of what was found in it is the same string.
        size: Bytes in it; None where that cannot be known.
        modified: When it was last changed, UTC; None where the system that it lies on does not say.
        sha256: Of the file (hex); None if it was not computed (`--no-hash`) or the file could not be read.
        format: `minidump`; `kernel` and the container, e.g. `kernel: LiME`; None for what is no dump.
        status: How much of it could be used.
        problems: What is wrong with it, a sentence each.
        tool_version: The version of dumpscan that read it.
        settings: How it was read, by name: `aes`, `hash`, `store_keys`, `symbols`.
        started: When reading it began, UTC.
        finished: When reading it ended, UTC.
        processes: Its processes, with command lines and environments.
    """

    path: str
    size: int | None
    modified: datetime | None
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
    def is_dump(self) -> bool:
        """Whether something could be read of it."""
        return self.status in {Status.OK, Status.DAMAGED}


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
    """How bad it is that a private key lay in memory, the worst first."""

    LIVE = "live"
    """One of its certificates is valid now."""
    PAIRED = "paired"
    """It has certificates, none of which is valid now."""
    ALONE = "alone"
    """No certificate of it was found."""
    UNPROVEN = "unproven"
    """No certificate of it was found, and nothing proves that it is a key."""


_SEVERITY = tuple(Exposure)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedKey:
    """A private key that lay in memory.

    Attributes:
        key: The key with its first place only, of whose process it has the id and the name, and without references to
            certificates; `Case.keyed` has all.
        certificates: Its certificates in the case, each with its first place only; those that are valid longest first.
        exposure: How bad it is.
        dump_count: Dumps that it lies in.
    """

    key: PrivateKey
    certificates: tuple[Certificate, ...]
    exposure: Exposure
    dump_count: int

    @property
    def severity(self) -> int:
        """0 for the worst."""
        return _SEVERITY.index(self.exposure)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSummary:
    """A case in numbers.

    Attributes:
        dumps: Files by status; a status that no file has is left out.
        formats: Readable dumps by format.
        bytes: Size of all readable dumps together.
        processes: Processes in them.
        findings: Findings by kind (`certificate`, `private_key`, `public_key`, `symmetric_key`, `encrypted_container`).
        keys: Private keys by exposure.
        expired_certificates: Certificates whose validity has ended.
        live_certificates: Certificates that are valid now.
        first: When the first dump began to be read, UTC; None in an empty case.
        last: When the last one was finished, UTC.
        tool_versions: Versions of dumpscan that read them.
    """

    dumps: Mapping[Status, int]
    formats: Mapping[str, int]
    bytes: int
    processes: int
    findings: Mapping[str, int]
    keys: Mapping[Exposure, int]
    expired_certificates: int
    live_certificates: int
    first: datetime | None
    last: datetime | None
    tool_versions: tuple[str, ...]
