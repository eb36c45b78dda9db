"""Process environment blocks: a Windows process's command line, environment and image path, in its own memory.

A thread's environment block (TEB) points to the process environment block (PEB), that to the process parameters, and
those to UTF-16LE strings. The layouts are in `dumpscan.model.c_process`. Works on any address space: the memory of a
minidump, or a process of a kernel image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from dumpscan.memory.records import decode_utf16
from dumpscan.model.c_process import RTL_USER_PROC_PARAMS_NORMALIZED, c_process

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dumpscan.memory.space import Memory

    Structure = Any  # of dissect.cstruct, which has no type hints
    Layout = Any

POINTER32 = 4
POINTER64 = 8

_MAX_ENVIRONMENT_BYTES = 16 << 20
"""Windows has no limit of its own any more. Real blocks have a few KiB, some of build systems a few hundred."""
_FIRST_ENVIRONMENT_BYTES = 64 << 10
_MAX_ENVIRONMENT_ENTRIES = 1 << 16
_MIN_ADDRESS = 0x10000
"""Windows never maps anything below."""
_TEB32_DISTANCE = 0x2000
"""Bytes from the 64-bit TEB of a WoW64 thread to its 32-bit one; the 64-bit one takes two pages."""
_MAX_THREADS = 4096
_ENOUGH_THREADS = 16
"""All threads name the same PEB. If so many threads have no 32-bit TEB, the process has none."""


@dataclass(frozen=True, slots=True)
class ProcessBlock:
    """Where a process environment block is, according to a thread.

    Attributes:
        peb: Address of the block.
        pointer_size: 8 for the 64-bit block, 4 for the 32-bit one; a WoW64 process has both.
        process_id: Id of the process in the thread's block.
        wow64: Whether the system has 64 bits, as a 32-bit block says; None for a 64-bit one, or if it does not say.
    """

    peb: int
    pointer_size: int
    process_id: int | None
    wow64: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessParameters:
    """What a process environment block says; values that the memory does not hold are None.

    Attributes:
        executable: Path of the image.
        command_line: The whole command line; lone surrogates are kept.
        command_line_32: That of the 32-bit block of a WoW64 process, where it is another.
        environment: `NAME=value` entries in their order in memory (see `both_environments`).
        session: Terminal Services session id.
        image_base: Address of the executable.
        notes: What is missing or damaged, a sentence each.
    """

    executable: str | None = None
    command_line: str | None = None
    command_line_32: str | None = None
    environment: tuple[str, ...] | None = None
    session: int | None = None
    image_base: int | None = None
    notes: tuple[str, ...] = ()

    def completed_by(self, other: ProcessParameters) -> ProcessParameters:
        """Fill in missing values from the other block of the same process, and add those in which it differs."""
        lacking = {
            name: getattr(other, name)
            for name in ("executable", "command_line", "environment", "session", "image_base")
            if getattr(self, name) is None and getattr(other, name) is not None
        }
        added: dict[str, Any] = {}
        if self.command_line is not None and other.command_line not in (None, self.command_line):
            added["command_line_32"] = other.command_line
        if self.environment is not None and other.environment is not None:
            added["environment"] = both_environments(self.environment, other.environment)
        return replace(self, **lacking, **added, notes=self.notes if not lacking else self.notes + other.notes)


def both_environments(native: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Join the two environments of a WoW64 process; entries that only the 32-bit one has come last."""
    known = set(native)
    return native + tuple(entry for entry in other if entry not in known)


def find_process_blocks(memory: Memory, tebs: Iterable[int]) -> list[ProcessBlock]:
    """Find the process environment blocks that the threads of one process point to.

    Args:
        memory: The process's address space.
        tebs: Addresses of its threads' environment blocks.

    Returns:
        The 64-bit block, the 32-bit one, both in this order (WoW64), or none. The memory holds a thread environment
        block that points to it, but not necessarily the block itself.
    """
    own = memory.pointer_size
    blocks: dict[int, ProcessBlock] = {}
    for number, teb in enumerate(islice(dict.fromkeys(tebs), _MAX_THREADS), 1):
        for block in _blocks_of_thread(memory, teb, own):
            known = blocks.get(block.pointer_size)
            if known is None or (not _readable(memory, known) and _readable(memory, block)):
                blocks[block.pointer_size] = block
        native = blocks.get(own)
        if native and (own == POINTER32 or len(blocks) > 1 or number >= _ENOUGH_THREADS) and _readable(memory, native):
            break
    return [blocks[size] for size in (POINTER64, POINTER32) if size in blocks]


def _blocks_of_thread(memory: Memory, teb: int, own: int) -> Iterator[ProcessBlock]:
    """Yield the blocks that a thread names: two for a WoW64 thread, which has two thread environment blocks."""
    for size in (POINTER64, POINTER32) if own == POINTER64 else (POINTER32, POINTER64):
        block = _block_of_teb(memory, teb, size)
        if block is None:
            continue
        yield block
        if size == POINTER64:
            first = _read(memory, teb, c_process.TEB64, "ExceptionList")
            for address in (int(first.ExceptionList) if first else 0, teb + _TEB32_DISTANCE):
                block32 = _block_of_teb(memory, address, POINTER32)
                if block32 is not None and _in_use(memory, block32):
                    yield replace(block32, wow64=True)
                    break
        return


def _block_of_teb(memory: Memory, address: int, pointer_size: int) -> ProcessBlock | None:
    """Read the thread environment block at an address, if there is one of this layout.

    A real one holds its own address (`NtTib.Self`). A dump may lack that; then what it points to must look right.
    """
    layout = getattr(c_process, f"TEB{pointer_size * 8}")
    thread = _read(memory, address, layout, "ProcessEnvironmentBlock")
    if thread is None:
        return None
    complete = _read(memory, address, c_process.TEB32, "WOW32Reserved") if pointer_size == POINTER32 else None
    block = ProcessBlock(
        peb=int(thread.ProcessEnvironmentBlock),
        pointer_size=pointer_size,
        process_id=int(thread.UniqueProcess) & 0xFFFFFFFF or None,
        wow64=None if complete is None else bool(complete.WOW32Reserved),
    )
    return block if int(thread.Self) == address or _plausible(memory, block) else None


def _in_use(memory: Memory, block: ProcessBlock) -> bool:
    """Return whether a 32-bit block beside a 64-bit one is in use: Wine has an empty one in every process."""
    if block.wow64 or block.process_id:
        return True
    peb = _read_peb(memory, block.peb, block.pointer_size)
    return peb is not None and int(peb.ProcessParameters) >= _MIN_ADDRESS


def _plausible(memory: Memory, block: ProcessBlock) -> bool:
    """Return whether a block leads to process parameters with plausible strings."""
    peb = _read_peb(memory, block.peb, block.pointer_size)
    parameters = peb and _read_parameters(memory, int(peb.ProcessParameters), block.pointer_size)
    if not parameters:
        return False
    strings = (parameters.ImagePathName, parameters.CommandLine)
    return all(
        string.Length % 2 == 0 and string.Length <= string.MaximumLength and string.Buffer >= _MIN_ADDRESS
        for string in strings
    )


def _readable(memory: Memory, block: ProcessBlock) -> bool:
    return _read_peb(memory, block.peb, block.pointer_size) is not None


def _read_peb(memory: Memory, address: int, pointer_size: int) -> Structure | None:
    return _read(memory, address, getattr(c_process, f"PEB{pointer_size * 8}"), "ProcessParameters")


def _read_parameters(memory: Memory, address: int, pointer_size: int) -> Structure | None:
    return _read(memory, address, getattr(c_process, f"RTL_USER_PROCESS_PARAMETERS{pointer_size * 8}"), "Environment")


def _read(memory: Memory, address: int, layout: Layout, needed: str) -> Structure | None:
    """Read a structure up to at least the field that is needed; what is missing behind it is zero."""
    if address < _MIN_ADDRESS:
        return None
    data = memory.read(address, layout.size)
    field = layout.fields[needed]
    if len(data) < field.offset + field.type.size:
        return None
    return layout(data.ljust(layout.size, b"\0"))


def read_process_parameters(memory: Memory, peb: int, pointer_size: int) -> ProcessParameters:
    """Read what a process environment block says.

    Args:
        memory: The process's address space.
        peb: Address of the block.
        pointer_size: 4 or 8: which layout it has.

    Returns:
        What is there; `notes` say what is not. No content of the memory raises an error.
    """
    block = _read_peb(memory, peb, pointer_size)
    if block is None:
        return ProcessParameters(notes=(f"the dump does not hold the process environment block at {peb:#x}",))
    # The field may lie past the end of a block that is cut short; it is 0 then.
    session = _read(memory, peb, type(block), "SessionId")
    address = int(block.ProcessParameters)
    parameters = _read_parameters(memory, address, pointer_size)
    found = ProcessParameters(
        session=None if session is None else int(session.SessionId), image_base=int(block.ImageBaseAddress)
    )
    if parameters is None:
        return replace(found, notes=(f"the dump does not hold the process parameters at {address:#x}",))
    reader = _ParameterReader(memory, parameters, address)
    return replace(
        found,
        executable=reader.string("ImagePathName", "image path"),
        command_line=reader.string("CommandLine", "command line"),
        environment=reader.environment(),
        notes=tuple(reader.notes),
    )


class _ParameterReader:
    """Follows the pointers of one RTL_USER_PROCESS_PARAMETERS."""

    def __init__(self, memory: Memory, parameters: Structure, address: int) -> None:
        self._memory = memory
        self._parameters = parameters
        normalized = int(parameters.Flags) & RTL_USER_PROC_PARAMS_NORMALIZED
        self._base = 0 if normalized else address
        self.notes: list[str] = []

    def _address(self, pointer: int) -> int:
        """Return the address that a pointer means; before a process's first instruction it may be relative."""
        return pointer + self._base if 0 < pointer < _MIN_ADDRESS else pointer

    def string(self, field: str, what: str) -> str | None:
        """Read the UNICODE_STRING in a field."""
        descriptor = getattr(self._parameters, field)
        length, address = int(descriptor.Length), self._address(int(descriptor.Buffer))
        if address < _MIN_ADDRESS:
            self.notes.append(f"the process has no {what}")
            return None
        if length % 2:
            self.notes.append(f"the {what} has an odd length of {length} bytes; the last one is dropped")
            length -= 1
        data = self._memory.read(address, length)
        if length and not data:
            self.notes.append(f"the dump does not hold the {what} at {address:#x}")
            return None
        if len(data) < length:
            self.notes.append(f"the {what} is cut short: the dump holds {len(data)} of {length} bytes")
        return decode_utf16(data)

    def environment(self) -> tuple[str, ...] | None:
        """Read the environment: strings that end with a NUL each, up to an empty one."""
        address = self._address(int(self._parameters.Environment))
        if address < _MIN_ADDRESS:
            self.notes.append("the process has no environment")
            return None
        size = _FIRST_ENVIRONMENT_BYTES
        while True:
            data = self._memory.read(address, size)
            text = decode_utf16(data)
            end = 0 if text.startswith("\0") else text.find("\0\0")
            if end >= 0 or len(data) < size or size >= _MAX_ENVIRONMENT_BYTES:
                break
            size *= 4
        if not data:
            self.notes.append(f"the dump does not hold the environment at {address:#x}")
            return None
        text = text[:end] if end >= 0 else self._without_end(data, text)
        entries = [entry for entry in text.split("\0", _MAX_ENVIRONMENT_ENTRIES) if entry]
        if len(entries) > _MAX_ENVIRONMENT_ENTRIES:
            self.notes.append(f"only the first {_MAX_ENVIRONMENT_ENTRIES} entries of the environment were read")
            entries.pop()
        return tuple(entries)

    def _without_end(self, data: bytes, text: str) -> str:
        """Note why an environment has no end, and cut it at its recorded size, if that is plausible."""
        recorded = int(self._parameters.EnvironmentSize)
        if 0 < recorded <= len(data) and recorded % 2 == 0:
            self.notes.append(f"the environment has no end mark in its {recorded} bytes")
            return decode_utf16(data[:recorded])
        if len(data) >= _MAX_ENVIRONMENT_BYTES:
            self.notes.append(f"the environment has no end within {_MAX_ENVIRONMENT_BYTES >> 20} MiB and is cut there")
        else:
            self.notes.append(f"the environment is cut short: the dump holds its first {len(data)} bytes")
        return text
