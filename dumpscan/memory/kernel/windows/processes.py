"""Processes of a kernel image, as volatility3's plugins list them, in our own records.

`windows.pslist` gives the rows, its column `Offset` the EPROCESS, from which the rest is read. Command lines are read
as `windows.cmdline` does, environments as `windows.envars` does, but on where those give up: a page that is not there
costs what lies in it and no more, and names that begin with `=` are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dumpscan.findings import Process
from dumpscan.memory.kernel.windows.session import ADDRESS_MASK
from dumpscan.memory.physical.page_tables import translate
from dumpscan.memory.records import decode_utf16
from dumpscan.model.c_process import c_process
from dumpscan.model.windows.c_paging import CR3_FRAME_MASK, PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.memory.kernel.windows.session import KernelSession
    from dumpscan.memory.physical.image import PhysicalImage

MAX_PROCESSES = 1 << 14
"""A busy terminal server runs a few thousand; a list that is longer than this does not end."""

_SYSTEM = 4
_MAX_ENVIRONMENT_BYTES = 4 << 20
"""Real blocks have a few KiB; larger ones are read as far as this."""
_FIRST_ENVIRONMENT_BYTES = 64 << 10
"""Read of a block whose size is not recorded."""
_MIN_ADDRESS = 0x10000
"""Windows never maps anything below."""


@dataclass(frozen=True, slots=True)
class ListedProcess:
    """A process, and where its memory is.

    Attributes:
        process: The record, without command line and environment.
        root: Frame of its top-level page table; None if it has none any more.
        peb: Address of its process environment block; 0 if it has none.
        offset: Virtual address of its EPROCESS, without sign extension.
    """

    process: Process
    root: int | None
    peb: int
    offset: int

    @property
    def ended(self) -> bool:
        """Whether it has exited."""
        return self.process.exited is not None


def list_processes(session: KernelSession, problems: list[str]) -> Iterator[ListedProcess]:
    """List the processes that `windows.pslist` shows, in its order.

    Args:
        session: The kernel.
        problems: What is damaged is appended here, a sentence each.
    """
    table_base = session.offset("_EPROCESS", "Pcb") + session.offset("_KPROCESS", "DirectoryTableBase")
    peb = session.offset("_EPROCESS", "Peb")
    rows = session.rows(session.plugin("windows.pslist", "PsList"))
    count = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001 - whatever damaged lists make volatility3 raise
            reason = " ".join(str(error).split())[:200]
            problems.append(f"the list of processes breaks off after {count}: {type(error).__name__}: {reason}")
            break
        if count == MAX_PROCESSES:
            problems.append(f"the list of processes does not end: only the first {count} are taken")
            break
        count += 1
        offset = _number(row[3]) or 0
        root = session.number(offset + table_base)
        yield ListedProcess(
            Process(
                pid=_number(row[0]),
                parent_pid=_number(row[1]),
                name=str(row[2]),
                session=_number(row[6]),
                wow64=bool(row[7]) if isinstance(row[7], int) else None,
                architecture="x86" if row[7] or session.is_32bit else "x64",
                created=_time(row[8]),
                exited=_time(row[9]),
            ),
            (root & CR3_FRAME_MASK) >> PAGE_SHIFT or None if root is not None else None,
            session.number(offset + peb) or 0,
            offset,
        )


def count_broken_links(session: KernelSession, listed: Sequence[ListedProcess]) -> int:
    """Count the processes whose neighbours in the list do not point back: there it was cut, or was changing."""
    link = session.offset("_EPROCESS", "ActiveProcessLinks")
    size = 4 if session.is_32bit else 8
    broken = 0
    for entry in listed:
        own = (entry.offset + link) & ADDRESS_MASK
        following, before = session.number(own) or 0, session.number(own + size) or 0
        back = session.number((following & ADDRESS_MASK) + size), session.number(before & ADDRESS_MASK)
        broken += any(pointer is None or pointer & ADDRESS_MASK != own for pointer in back)
    return broken


def is_plausible(process: Process) -> bool:
    """Say whether a record could be that of a process: it has a name, and it began (System may not know when)."""
    named = bool(process.name) and (process.name or "").isprintable() and "\ufffd" not in (process.name or "")
    return named and (process.created is not None or process.pid == _SYSTEM)


def _number(value: object) -> int | None:
    """Return a cell's number; volatility3 has objects of its own for what is absent."""
    return int(value) if isinstance(value, int) else None


def _time(value: object) -> datetime | None:
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def describe_process(image: PhysicalImage, listed: ListedProcess, *, environment: bool) -> Process:
    """Add to a process what its own memory says: image path, command line, and the environment if wanted.

    Args:
        image: Physical memory.
        listed: The process.
        environment: Whether to read the environment too.

    Returns:
        The record; its notes say what is missing or partial. A process without a block of its own (System, and others
        that are the kernel's) has none of it, and no note.
    """
    if not listed.peb:
        return listed.process
    if listed.root is None:
        return replace(listed.process, notes=("no command line and no environment: it has no page tables any more",))
    reader = _ParameterReader(image, listed.root, listed.peb)
    found = replace(
        listed.process,
        executable=reader.string("ImagePathName", "image path"),
        command_line=reader.string("CommandLine", "command line"),
        environment=reader.environment() if environment else (),
    )
    return replace(found, notes=tuple(reader.notes))


class _ParameterReader:
    """Reads the process parameters through the process's own page tables, and says what is not there."""

    def __init__(self, image: PhysicalImage, root: int, peb: int) -> None:
        self._image = image
        self._root = root
        self.notes: list[str] = []
        self._parameters = None
        block = c_process.PEB64
        pointer = self._read(peb + block.fields["ProcessParameters"].offset, 8)
        if pointer is None:
            self.notes.append(f"partial: the image does not hold the process environment block at {peb:#x}")
            return
        address = int.from_bytes(pointer, "little")
        layout = c_process.RTL_USER_PROCESS_PARAMETERS64
        data = self._read(address, layout.size) if address >= _MIN_ADDRESS else None
        if data is None:
            self.notes.append(f"partial: the image does not hold the process parameters at {address:#x}")
        else:
            self._parameters = layout(data)

    def _pages(self, address: int, size: int) -> Iterator[tuple[bytes, int]]:
        """Read page by page: the bytes, none where the page is missing, and how many belong there."""
        while size > 0:
            length = min(PAGE_SIZE - (address & (PAGE_SIZE - 1)), size)
            physical = translate(self._image, self._root, address)
            yield (b"" if physical is None else self._image.read(physical, length)), length
            address += length
            size -= length

    def _read(self, address: int, size: int) -> bytes | None:
        """Read bytes that must all be there."""
        data = b"".join(part for part, _ in self._pages(address, size))
        return data if len(data) == size else None

    def string(self, field: str, what: str) -> str | None:
        """Read a UNICODE_STRING of the parameters, as far as it is there."""
        if self._parameters is None:
            return None
        descriptor = getattr(self._parameters, field)
        size, address = int(descriptor.Length) & ~1, int(descriptor.Buffer)
        if not size or address < _MIN_ADDRESS:
            return None
        data = b""
        for part, length in self._pages(address, size):
            data += part
            if len(part) < length:
                there = f"{len(data)} of {size} bytes" if data else "nothing"
                self.notes.append(f"partial: of the {what} at {address:#x}, the image holds {there}")
                break
        return decode_utf16(data).split("\0", 1)[0] or None

    def environment(self) -> tuple[str, ...]:
        """Read the environment block: strings that end with a NUL each, up to an empty one.

        Entries that lie wholly or partly in pages that are not there are left out, and named as far as they are known.
        """
        if self._parameters is None:
            return ()
        address, recorded = int(self._parameters.Environment), int(self._parameters.EnvironmentSize)
        if address < _MIN_ADDRESS:
            return ()
        size = min(recorded or _FIRST_ENVIRONMENT_BYTES, _MAX_ENVIRONMENT_BYTES) & ~1
        if recorded > _MAX_ENVIRONMENT_BYTES:
            self.notes.append(f"partial: an environment of {recorded} bytes is read only as far as {size}")
        entries: list[str] = []
        cut: list[str] = []
        data, missing, after_hole = b"", 0, False
        for part, length in self._pages(address, size):
            data += part
            if len(part) == length:
                continue
            missing += length - len(part)
            ended = _take(data, entries, cut, after_hole=after_hole, before_hole=True)
            data, after_hole = b"", True
            if ended:
                break
        else:
            _take(data, entries, cut, after_hole=after_hole, before_hole=False)
        if missing:
            names = f"; cut short: {', '.join(cut)}" if cut else ""
            self.notes.append(f"partial: {missing} of {size} bytes of the environment are not in the image{names}")
        elif cut:
            self.notes.append(f"partial: the environment has no end within {size} bytes; cut short: {', '.join(cut)}")
        return tuple(entries)


def _take(data: bytes, entries: list[str], cut: list[str], *, after_hole: bool, before_hole: bool) -> bool:
    """Take the entries out of a stretch of an environment block that is there without a gap.

    Args:
        data: The stretch.
        entries: Whole entries are appended here.
        cut: Names of entries that go on in the hole behind are appended here.
        after_hole: The stretch begins in the middle of an entry, most likely.
        before_hole: The stretch ends there.

    Returns:
        Whether the block's end is in it.
    """
    text = decode_utf16(data)
    if after_hole:
        text = text.partition("\0")[2]
    if text.startswith("\0"):
        return True
    whole, end, _ = text.partition("\0\0")
    parts = whole.split("\0")
    if not end and (before_hole or parts[-1]):
        name = parts.pop().partition("=")[0]
        if name:
            cut.append(name)
    entries += [part for part in parts if part]
    return bool(end)
