"""What the memory of a process in a Windows kernel image says of it: image path, command line and environment.

They are read as volatility3's `windows.cmdline` and `windows.envars` do, but where these give up, reading goes on: a
missing page costs only what lies in it. Environment variables whose names begin with `=` are kept. A 32-bit process on
64-bit Windows (WoW64) has two blocks of parameters; both are read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dumpscan.memory.kernel.budget import TextBudgets
from dumpscan.memory.physical.page_tables import translate
from dumpscan.memory.records import decode_utf16
from dumpscan.memory.windows.peb import both_environments
from dumpscan.model.c_process import c_process
from dumpscan.model.windows.c_paging import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.findings import Process
    from dumpscan.memory.kernel.profile import ListedProcess
    from dumpscan.memory.physical.image import PhysicalImage

_MAX_ENVIRONMENT_BYTES = 4 << 20
"""Real blocks have a few KiB; larger ones are read up to this size."""
_FIRST_ENVIRONMENT_BYTES = 64 << 10
"""Bytes that are read of a block whose size is not recorded."""
_MIN_ADDRESS = 0x10000
"""Windows never maps anything below."""
_END = b"\0\0\0\0"
"""End of an environment block: the NUL of its last entry, and an empty entry."""


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
