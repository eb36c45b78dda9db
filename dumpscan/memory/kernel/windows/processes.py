"""Processes of a Windows kernel image, as volatility3's plugins list them.

`windows.pslist` yields the rows; its column `Offset` is the EPROCESS, from which the rest is read. Command lines and
environments are read as `windows.cmdline` and `windows.envars` do, but where these give up, reading goes on: a missing
page costs only what lies in it. Environment variables whose names begin with `=` are kept. A 32-bit process on 64-bit
Windows (WoW64) has two blocks of parameters; both are read.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dumpscan.findings import Process
from dumpscan.memory import volatility
from dumpscan.memory.kernel.budget import TextBudgets
from dumpscan.memory.kernel.profile import ListedProcess
from dumpscan.memory.kernel.windows.session import ADDRESS_MASK
from dumpscan.memory.physical.page_tables import translate
from dumpscan.memory.records import decode_utf16
from dumpscan.memory.windows.peb import both_environments
from dumpscan.model.c_process import c_process
from dumpscan.model.windows.c_paging import CR3_FRAME_MASK, PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dumpscan.memory.kernel.windows.session import KernelSession
    from dumpscan.memory.physical.image import PhysicalImage

MAX_PROCESSES = 1 << 14
"""A busy terminal server runs a few thousand processes; a longer list does not end."""
_FIRST_PROCESSES = 256
_MEMORY_PER_PROCESS = 1 << 16
"""Processes that an image may have: so many, and one more for so many bytes of physical memory. A real process takes
more; in a forged list, entries can overlap."""

_SYSTEM = 4
_MAX_ENVIRONMENT_BYTES = 4 << 20
"""Real blocks have a few KiB; larger ones are read up to this size."""
_FIRST_ENVIRONMENT_BYTES = 64 << 10
"""Bytes that are read of a block whose size is not recorded."""
_MIN_ADDRESS = 0x10000
"""Windows never maps anything below."""
_END_OF_32_BITS = 1 << 32
_END = b"\0\0\0\0"
"""End of an environment block: the NUL of its last entry, and an empty entry."""


def list_processes(session: KernelSession, memory_size: int, problems: list[str]) -> Iterator[ListedProcess]:
    """List the processes that `windows.pslist` shows, in its order.

    Args:
        session: The kernel.
        memory_size: Bytes of physical memory; they limit how many processes there can be.
        problems: What is damaged is appended here, a sentence each.
    """
    records = ProcessRecords(session)
    rows = session.rows(session.plugin("windows.pslist", "PsList"))
    most = max_processes(memory_size)
    count = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001 - damaged lists make volatility3 raise anything
            problems.append(f"the list of processes breaks off after {count}: {volatility.words(error)}")
            break
        if count == most:
            problems.append(f"the list of processes does not end: only the first {count} are taken")
            break
        count += 1
        yield records.of_row(row)


def max_processes(memory_size: int) -> int:
    """Return how many processes there can be in so many bytes of physical memory."""
    return min(MAX_PROCESSES, _FIRST_PROCESSES + memory_size // _MEMORY_PER_PROCESS)


class ProcessRecords:
    """Reads the kernel's records of processes (EPROCESS).

    Args:
        session: The kernel.
    """

    def __init__(self, session: KernelSession) -> None:
        self._session = session
        self._table_base = session.offset("_EPROCESS", "Pcb") + session.offset("_KPROCESS", "DirectoryTableBase")
        self._peb = session.offset("_EPROCESS", "Peb")
        self._find_peb32 = _peb32_finder(session)

    def of_row(self, row: Sequence[object]) -> ListedProcess:
        """Make a process of the columns that `windows.pslist` and `windows.psscan` have."""
        session = self._session
        address = _number(row[3]) or 0
        root = session.number(address + self._table_base)
        return ListedProcess(
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
            session.number(address + self._peb) or 0,
            address,
            self._find_peb32(address) if row[7] else 0,
        )

    def at(self, address: int) -> ListedProcess | None:
        """Return the process whose record is at a virtual address of the kernel; None if it is not all there."""
        record = self._session.structure("_EPROCESS", address)
        try:
            name = record.ImageFileName
            row = (
                record.UniqueProcessId,
                record.InheritedFromUniqueProcessId,
                name.cast("string", max_length=name.vol.count, errors="replace"),
                address,
                None,
                None,
                record.get_session_id(),
                record.get_is_wow64(),
                record.get_create_time(),
                record.get_exit_time(),
            )
            return self.of_row(row)
        except Exception:  # noqa: BLE001 - what is no record makes volatility3 raise anything
            return None


def _peb32_finder(session: KernelSession) -> Callable[[int], int]:
    """Return what finds the 32-bit process environment block of the process whose EPROCESS is at an address.

    Since Windows 10, the EPROCESS points to an EWOW64PROCESS, which points to the block; before, to the block itself.
    """
    if session.has("_EPROCESS", "WoW64Process") and session.has("_EWOW64PROCESS", "Peb"):
        pointer, block = session.offset("_EPROCESS", "WoW64Process"), session.offset("_EWOW64PROCESS", "Peb")

        def find(address: int) -> int:
            wow64 = session.number(address + pointer) or 0
            return _below_4_gib(session.number((wow64 & ADDRESS_MASK) + block))

        return find
    if session.has("_EPROCESS", "Wow64Process"):
        direct = session.offset("_EPROCESS", "Wow64Process")
        return lambda address: _below_4_gib(session.number(address + direct))
    return lambda _address: 0


def _below_4_gib(address: int | None) -> int:
    return address if address is not None and address < _END_OF_32_BITS else 0


def count_broken_links(session: KernelSession, listed: Sequence[ListedProcess]) -> int:
    """Count the processes whose neighbours in the list do not point back: it was cut there, or was changing."""
    link = session.offset("_EPROCESS", "ActiveProcessLinks")
    size = 4 if session.is_32bit else 8
    broken = 0
    for entry in listed:
        own = (entry.address + link) & ADDRESS_MASK
        following, before = session.number(own) or 0, session.number(own + size) or 0
        back = session.number((following & ADDRESS_MASK) + size), session.number(before & ADDRESS_MASK)
        broken += any(pointer is None or pointer & ADDRESS_MASK != own for pointer in back)
    return broken


def is_plausible(process: Process) -> bool:
    """Return whether a record can be a process: it has a name and a start time (which System may lack)."""
    named = bool(process.name) and (process.name or "").isprintable() and "\ufffd" not in (process.name or "")
    return named and (process.created is not None or process.pid == _SYSTEM)


def _number(value: object) -> int | None:
    """Return a cell's number; volatility3 has its own objects for absent values."""
    return int(value) if isinstance(value, int) else None


def _time(value: object) -> datetime | None:
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def describe_process(
    image: PhysicalImage, listed: ListedProcess, budgets: TextBudgets | None = None, *, environment: bool
) -> Process:
    """Add to a process what its own memory says: image path, command line, and the environment if wanted.

    Args:
        image: Physical memory.
        listed: The process.
        budgets: Limits on the text of all processes together; by default, this process has them to itself.
        environment: Whether to read the environment too.

    Returns:
        The record; its notes say what is missing or partial. A process without a process environment block, such as
        System, gets no notes.
    """
    if not listed.user_block:
        return listed.process
    if listed.root is None:
        return replace(listed.process, notes=("no command line and no environment: it has no page tables any more",))
    budgets = budgets or TextBudgets(image.size)
    reader = _ParameterReader(image, listed.root, listed.user_block, budgets)
    found = replace(
        listed.process,
        executable=reader.string("ImagePathName", "image path"),
        command_line=reader.string("CommandLine", "command line"),
        environment=reader.environment() if environment else (),
        notes=tuple(reader.notes),
    )
    if not listed.user_block_32:
        return found
    reader = _ParameterReader(image, listed.root, listed.user_block_32, budgets, bits=32)
    return _with_32_bit(found, reader, environment=environment)


def _with_32_bit(process: Process, reader: _ParameterReader, *, environment: bool) -> Process:
    """Add what the 32-bit block of a WoW64 process says beyond the 64-bit one."""
    command_line = reader.string("CommandLine", "command line")
    entries = reader.environment() if environment else ()
    differs = command_line is not None and process.command_line not in (None, command_line)
    return replace(
        process,
        executable=process.executable or reader.string("ImagePathName", "image path"),
        command_line=process.command_line or command_line,
        command_line_32=command_line if differs else None,
        environment=both_environments(process.environment, entries),
        notes=(*process.notes, *reader.notes),
    )


class _ParameterReader:
    """Reads process parameters through the process's own page tables, and notes what is missing.

    Args:
        image: Physical memory.
        root: Frame of the process's top-level page table.
        peb: Address of the process environment block.
        budgets: Limits on text.
        bits: 64, or 32 for the other block of a WoW64 process.
    """

    def __init__(self, image: PhysicalImage, root: int, peb: int, budgets: TextBudgets, *, bits: int = 64) -> None:
        self._image = image
        self._root = root
        self._budgets = budgets
        self.notes: list[str] = []
        self._parameters = None
        self._which = "" if bits == 64 else "32-bit "  # noqa: PLR2004
        block = getattr(c_process, f"PEB{bits}")
        pointer = self._read(peb + block.fields["ProcessParameters"].offset, bits // 8)
        if pointer is None:
            self.notes.append(
                f"partial: the image does not hold the {self._which}process environment block at {peb:#x}"
            )
            return
        address = int.from_bytes(pointer, "little")
        layout = getattr(c_process, f"RTL_USER_PROCESS_PARAMETERS{bits}")
        data = self._read(address, layout.size) if address >= _MIN_ADDRESS else None
        if data is None:
            self.notes.append(f"partial: the image does not hold the {self._which}process parameters at {address:#x}")
        else:
            self._parameters = layout(data)

    def _pages(self, address: int, size: int) -> Iterator[tuple[bytes, int]]:
        """Read page by page; yield the bytes that are there and how many there should be."""
        while size > 0:
            length = min(PAGE_SIZE - (address & (PAGE_SIZE - 1)), size)
            physical = translate(self._image, self._root, address)
            yield (b"" if physical is None else self._image.read(physical, length)), length
            address += length
            size -= length

    def _read(self, address: int, size: int) -> bytes | None:
        """Read bytes, or return None if any is missing."""
        data = b"".join(part for part, _ in self._pages(address, size))
        return data if len(data) == size else None

    def string(self, field: str, what: str) -> str | None:
        """Read a UNICODE_STRING of the parameters, as far as it is there."""
        if self._parameters is None:
            return None
        what = self._which + what
        descriptor = getattr(self._parameters, field)
        size, address = int(descriptor.Length) & ~1, int(descriptor.Buffer)
        if not size or address < _MIN_ADDRESS:
            return None
        budget = self._budgets.command_lines
        if size > budget.left:
            budget.cut += 1
            self.notes.append(f"partial: the {what} is left out: those of all processes together are too large")
            return None
        data = b""
        for part, length in self._pages(address, size):
            data += part
            if len(part) < length:
                there = f"{len(data)} of {size} bytes" if data else "nothing"
                self.notes.append(f"partial: of the {what} at {address:#x}, the image holds {there}")
                break
        budget.spend(len(data))
        return decode_utf16(data).split("\0", 1)[0] or None

    def environment(self) -> tuple[str, ...]:
        """Read the environment block: strings that end with a NUL each, up to an empty one.

        Entries that lie wholly or partly in missing pages are left out; their names are noted as far as they are known.
        """
        if self._parameters is None:
            return ()
        address, recorded = int(self._parameters.Environment), int(self._parameters.EnvironmentSize)
        if address < _MIN_ADDRESS:
            return ()
        what = f"{self._which}environment"
        size = min(recorded or _FIRST_ENVIRONMENT_BYTES, _MAX_ENVIRONMENT_BYTES) & ~1
        if recorded > _MAX_ENVIRONMENT_BYTES:
            self.notes.append(f"partial: the {what} of {recorded} bytes is read only as far as {size}")
        budget = self._budgets.environments
        wanted, size = size, min(size, budget.left)
        block = _EnvironmentBlock()
        for part, length in self._pages(address, size):
            budget.spend(length)
            if block.ends_with(part, length):
                break
        block.finish()
        if size < wanted and not block.ended:
            budget.cut += 1
            self.notes.append(
                f"partial: {size} of {wanted} bytes of the {what} are read: those of all processes together are "
                "too large"
            )
        names = f"cut short: {', '.join(block.cut)}"
        if block.missing:
            held = f"{block.missing} of {size} bytes of the {what} are not in the image"
            self.notes.append(f"partial: {held}{f'; {names}' if block.cut else ''}")
        elif block.cut:
            self.notes.append(f"partial: the {what} has no end within {size} bytes; {names}")
        return tuple(block.entries)


class _EnvironmentBlock:
    """Takes the entries out of an environment block that comes page by page, with holes.

    Attributes:
        entries: Whole entries.
        cut: Names of entries that are cut short.
        missing: Bytes in holes.
        ended: Whether the block's end has been found.
    """

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.cut: list[str] = []
        self.missing = 0
        self.ended = False
        self._stretch = bytearray()
        self._after_hole = False

    def ends_with(self, part: bytes, length: int) -> bool:
        """Add the next `length` bytes, of which only `part` is there; return whether the block ends in them."""
        unsearched = max(len(self._stretch) - len(_END), 0) & ~1
        self._stretch += part
        if len(part) < length:
            self.missing += length - len(part)
            self._take(before_hole=True)
            self._after_hole = True
            return self.ended
        at = self._stretch.find(_END, unsearched)
        while at >= 0 and at % 2:  # two NULs begin at an even offset
            at = self._stretch.find(_END, at + 1)
        return at >= 0

    def finish(self) -> None:
        """Take what is left when the last part has been added."""
        if not self.ended:
            self._take(before_hole=False)

    def _take(self, *, before_hole: bool) -> None:
        self.ended = _take(
            bytes(self._stretch), self.entries, self.cut, after_hole=self._after_hole, before_hole=before_hole
        )
        self._stretch.clear()


def _take(data: bytes, entries: list[str], cut: list[str], *, after_hole: bool, before_hole: bool) -> bool:
    """Take the entries out of a stretch of an environment block that is there without a hole.

    Args:
        data: The stretch.
        entries: Whole entries are appended here.
        cut: Names of entries that go on in the hole behind the stretch are appended here.
        after_hole: Whether there is a hole before the stretch, so that it most likely begins within an entry.
        before_hole: Whether there is a hole behind it.

    Returns:
        Whether the block's end is in the stretch.
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
