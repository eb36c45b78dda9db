"""What the notes of a process core say: process, threads, auxiliary vector, mapped files, signal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dumpscan.memory.records import decode_utf8
from dumpscan.model.c_elf import NT_AUXV, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO, REGISTERS

if TYPE_CHECKING:
    from dumpscan.memory.core.elf import ElfCore, Note

MAX_THREADS = 1 << 16
MAX_FILES = 1 << 17
"""Mapped files that are read; a process may have 65 530 mappings by default."""
MAX_PATH = 4096
"""Bytes of the longest path, as in Linux' `limits.h`."""
_MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class CoreThread:
    """A thread.

    Attributes:
        id: Its id; the first thread's is that of the process, or of the thread that crashed.
        signal: Number of the signal that it was stopped by, 0 for none.
        pc: Program counter, where the processor is known.
        sp: Stack pointer, likewise.
    """

    id: int
    signal: int
    pc: int | None = None
    sp: int | None = None


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A part of a file that was mapped into memory.

    Attributes:
        start: Virtual address of its first byte.
        end: Virtual address of the first byte past it.
        offset: Offset of the first byte in the file, in bytes.
        path: The file's path; ` (deleted)` at its end is cut off.
        deleted: Whether the file had been deleted.
    """

    start: int
    end: int
    offset: int
    path: str
    deleted: bool = False


@dataclass(slots=True)
class CoreNotes:
    """The notes of a process core.

    Attributes:
        pid: Process id.
        parent_pid: Id of the parent process.
        uid: User id.
        gid: Group id.
        name: Name of the program or thread as the kernel keeps it: 15 bytes at most, and programs change it.
        arguments: The first 80 bytes of the command line.
        signal: Number of the signal.
        signal_code: `si_code` of the signal.
        signal_address: Address that the signal is about; of no meaning for many signals.
        threads: The threads, in their order.
        auxv: The auxiliary vector: type and value.
        auxv_data: The same as it lies in the note, to be looked for on the stack.
        files: The mapped files, by address.
        problems: What is wrong with the notes, a sentence each.
    """

    pid: int | None = None
    parent_pid: int | None = None
    uid: int | None = None
    gid: int | None = None
    name: str | None = None
    arguments: str | None = None
    signal: int | None = None
    signal_code: int | None = None
    signal_address: int | None = None
    threads: list[CoreThread] = field(default_factory=list)
    auxv: dict[int, int] = field(default_factory=dict)
    auxv_data: bytes = b""
    files: list[FileMapping] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def complain(self, problem: str) -> None:
        """Note what is wrong, once."""
        if problem not in self.problems and len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)


def read_notes(elf: ElfCore) -> CoreNotes:
    """Read the notes of Linux' kernel, gdb and createdump; the types of other owners are stepped over."""
    readers = {
        NT_PRSTATUS: _read_thread,
        NT_PRPSINFO: _read_process,
        NT_AUXV: _read_auxv,
        NT_FILE: _read_files,
        NT_SIGINFO: _read_signal,
    }
    notes = CoreNotes()
    for note in elf.notes():
        if note.owner != b"CORE" or note.type not in readers:
            continue
        if not note.whole:
            notes.complain(f"cut short: a note of type {note.type:#x} goes past the end of its segment or of the file")
        readers[note.type](elf, note, notes)
    notes.files.sort(key=lambda mapping: mapping.start)
    return notes


def _structure(elf: ElfCore, note: Note, name: str, notes: CoreNotes) -> Any:  # noqa: ANN401 - dissect.cstruct's
    layout = getattr(elf.layouts, name)
    if len(note.data) < layout.size:
        notes.complain(f"a note with {name}: expected at least {layout.size} bytes, found {len(note.data)}")
        return None
    return layout(bytes(note.data[: layout.size]))


def _read_thread(elf: ElfCore, note: Note, notes: CoreNotes) -> None:
    status = _structure(elf, note, "prstatus", notes)
    if status is None:
        return
    if len(notes.threads) >= MAX_THREADS:
        notes.complain(f"there are more threads than the {MAX_THREADS} that were read")
        return
    pc = sp = None
    if elf.machine in REGISTERS:
        words = np.frombuffer(note.data[elf.layouts.prstatus.size :][: 64 * elf.word_size // 8 * 8], np.uint8)
        registers = words[: len(words) // elf.word_size * elf.word_size].view(f"{elf.byte_order}u{elf.word_size}")
        pc, sp = (int(registers[at]) if at < len(registers) else None for at in REGISTERS[elf.machine])
    notes.threads.append(CoreThread(int(status.pr_pid), int(status.pr_cursig), pc, sp))
    if notes.signal is None and status.pr_cursig:
        notes.signal = int(status.pr_cursig)


def _read_process(elf: ElfCore, note: Note, notes: CoreNotes) -> None:
    info = _structure(elf, note, "prpsinfo", notes)
    if info is None or notes.pid is not None:
        return
    notes.pid, notes.parent_pid = int(info.pr_pid), int(info.pr_ppid)
    notes.uid, notes.gid = int(info.pr_uid), int(info.pr_gid)
    notes.name = decode_utf8(bytes(info.pr_fname).split(b"\0", 1)[0]) or None
    notes.arguments = decode_utf8(bytes(info.pr_psargs).split(b"\0", 1)[0].rstrip(b" ")) or None


def _read_auxv(elf: ElfCore, note: Note, notes: CoreNotes) -> None:
    data = bytes(note.data[: 1 << 12])
    data = data[: len(data) // (2 * elf.word_size) * 2 * elf.word_size]
    pairs = np.frombuffer(data, f"{elf.byte_order}u{elf.word_size}").reshape(-1, 2).tolist()
    notes.auxv = {int(kind): int(value) for kind, value in reversed(pairs) if kind}
    notes.auxv_data = data


def _read_signal(elf: ElfCore, note: Note, notes: CoreNotes) -> None:
    info = _structure(elf, note, "siginfo", notes)
    if info is None:
        return
    notes.signal, notes.signal_code = int(info.si_signo), int(info.si_code)
    at = -(-elf.layouts.siginfo.size // elf.word_size) * elf.word_size
    if len(note.data) >= at + elf.word_size:
        notes.signal_address = elf.integer(note.data[at : at + elf.word_size])


def _read_files(elf: ElfCore, note: Note, notes: CoreNotes) -> None:
    """Read NT_FILE: a count, the size of a page, (start, end, offset in pages) of each mapping, then their paths."""
    word = elf.word_size
    kind = f"{elf.byte_order}u{word}"
    if len(note.data) < 2 * word:
        notes.complain(f"the list of mapped files: expected at least {2 * word} bytes, found {len(note.data)}")
        return
    count, page = np.frombuffer(note.data[: 2 * word], kind).tolist()
    there = min(count, (len(note.data) - 2 * word) // (3 * word), MAX_FILES)
    if there < count:
        notes.complain(f"the list of mapped files: {count} are claimed, {there} were read")
    ranges = np.frombuffer(note.data[2 * word : (2 + 3 * there) * word], kind).reshape(-1, 3).tolist()
    names = bytes(note.data[(2 + 3 * count) * word :]) if count == there else b""
    at = 0
    for start, end, offset in ranges:
        stop = names.find(b"\0", at, at + MAX_PATH)
        if stop < 0:
            notes.complain("the list of mapped files: a path has no end")
            break
        path = decode_utf8(names[at:stop])
        at = stop + 1
        deleted = path.endswith(_DELETED)
        if start < end:
            notes.files.append(FileMapping(start, end, offset * page, path.removesuffix(_DELETED), deleted))


_DELETED = " (deleted)"
