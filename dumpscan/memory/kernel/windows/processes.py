"""Processes of a Windows kernel image, as volatility3's plugins list them.

`windows.pslist` yields the rows; its column `Offset` is the EPROCESS, from which the rest is read. What a process's own
memory says of it is in `parameters`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dumpscan.findings import Process
from dumpscan.memory import volatility
from dumpscan.memory.kernel.profile import ListedProcess
from dumpscan.memory.kernel.windows.session import ADDRESS_MASK
from dumpscan.model.windows.c_paging import CR3_FRAME_MASK, PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dumpscan.memory.kernel.windows.session import KernelSession

MAX_PROCESSES = 1 << 14
"""A busy terminal server runs a few thousand processes; a longer list does not end."""
_FIRST_PROCESSES = 256
_MEMORY_PER_PROCESS = 1 << 16
"""Processes that an image may have: so many, and one more for so many bytes of physical memory. A real process takes
more; in a forged list, entries can overlap."""

_SYSTEM = 4
_END_OF_32_BITS = 1 << 32


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
