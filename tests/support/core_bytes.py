"""ELF cores made by hand, from the ABI's own documents and not from the model that the reader uses."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

PAGE = 4096
STACK = 0x7FFC_0000_0000
PROGRAM = "/usr/sbin/served"


@dataclass
class CoreBytes:
    """A core under construction.

    Attributes:
        word: Bytes of a word: 8 or 4.
        order: `<` or `>`.
        machine: `e_machine`.
        segments: (address, bytes in the file, size in memory, flags).
        notes: (owner, type, content).
    """

    word: int = 8
    order: str = "<"
    machine: int = 62
    segments: list[tuple[int, bytes, int, int]] = field(default_factory=list)
    notes: list[tuple[bytes, int, bytes]] = field(default_factory=list)

    def memory(self, address: int, data: bytes, size: int | None = None, flags: int = 6) -> CoreBytes:
        """Add a segment; `size` is what it has in memory."""
        self.segments.append((address, data, len(data) if size is None else size, flags))
        return self

    def note(self, kind: int, content: bytes, owner: bytes = b"CORE") -> CoreBytes:
        """Add a note."""
        self.notes.append((owner, kind, content))
        return self

    def words(self, *values: int) -> bytes:
        """Return words."""
        return struct.pack(f"{self.order}{len(values)}{'Q' if self.word == 8 else 'I'}", *values)

    def process(self, pid: int, name: str, arguments: str = "", parent: int = 1) -> CoreBytes:
        """Add NT_PRPSINFO."""
        head = "4B4xQII" if self.word == 8 else "4BIHH"
        ids = struct.pack(f"{self.order}{head}4i", 0, ord("S"), 0, 0, 0, 1000, 1000, pid, parent, pid, pid)
        return self.note(3, ids + name.encode()[:15].ljust(16, b"\0") + arguments.encode()[:79].ljust(80, b"\0"))

    def thread(self, tid: int, registers: list[int], signal: int = 0) -> CoreBytes:
        """Add NT_PRSTATUS."""
        head = struct.pack(f"{self.order}3ih2x", signal, 0, 0, signal) + self.words(0, 0)
        return self.note(1, head + struct.pack(f"{self.order}4i", tid, 1, tid, tid) + self.words(*[0] * 8, *registers))

    def files(self, *mappings: tuple[int, int, int, str]) -> CoreBytes:
        """Add NT_FILE: (start, end, offset in pages, path) each."""
        ranges = [number for start, end, page, _ in mappings for number in (start, end, page)]
        names = b"".join(path.encode() + b"\0" for *_, path in mappings)
        return self.note(0x46494C45, self.words(len(mappings), PAGE, *ranges) + names)

    def finish(self, *, wide: bool = False, header_offset: int | None = None) -> bytes:
        """Return the file; `wide` counts the program headers in the first section header (PN_XNUM)."""
        header, entry, section = (64, 56, 64) if self.word == 8 else (52, 32, 40)
        count = len(self.segments) + 1
        table = header if header_offset is None else header_offset
        after = header + count * entry + (section if wide else 0)
        notes = b"".join(self._note(*each) for each in self.notes)
        rows = [self._row(4, 0, after, 0, len(notes), 0)]
        at = after + len(notes)
        body = notes
        for address, data, size, flags in self.segments:
            rows.append(self._row(1, flags, at, address, len(data), size))
            body += data
            at += len(data)
        ident = b"\x7fELF" + bytes([self.word // 4, 1 if self.order == "<" else 2, 1, 0]) + bytes(8)
        shoff = header + count * entry if wide else 0
        head = struct.pack(f"{self.order}HHI", 4, self.machine, 1) + self.words(0, table, shoff)
        head += struct.pack(f"{self.order}IHHHHHH", 0, header, entry, 0xFFFF if wide else count, section, int(wide), 0)
        extra = struct.pack(f"{self.order}II", 0, 0) + self.words(0, 0, 0, 0) + struct.pack(f"{self.order}II", 0, count)
        extra += self.words(0, 0)
        return ident + head + b"".join(rows) + (extra if wide else b"") + body

    def _row(self, kind: int, flags: int, *places: int) -> bytes:
        offset, address, file_size, size = places
        if self.word == 8:
            return struct.pack(f"{self.order}IIQQQQQQ", kind, flags, offset, address, 0, file_size, size, PAGE)
        return struct.pack(f"{self.order}8I", kind, offset, address, 0, file_size, size, flags, PAGE)

    def _note(self, owner: bytes, kind: int, content: bytes) -> bytes:
        name = owner + b"\0"
        head = struct.pack(f"{self.order}III", len(name), len(content), kind)
        return head + name.ljust(-(-len(name) // 4) * 4, b"\0") + content.ljust(-(-len(content) // 4) * 4, b"\0")


def start_stack(
    core: CoreBytes,
    arguments: list[str],
    environment: list[str],
    *,
    top: int = STACK + 2 * PAGE,
    title: bytes | None = None,
) -> tuple[int, bytes, bytes]:
    """Make the top of a first stack as Linux does.

    Returns:
        Its address, its content, and the auxiliary vector.
    """
    path = PROGRAM.encode() + b"\0"
    strings = [each.encode() + b"\0" for each in (*arguments, *environment)]
    execfn = top - core.word - len(path)
    first = execfn - sum(map(len, strings))
    pointers, at = [], first
    for each in strings:
        pointers.append(at)
        at += len(each)
    auxv = core.words(6, PAGE, 9, 0x40_1000, 31, execfn, 0, 0)
    vector = core.words(len(arguments), *pointers[: len(arguments)], 0, *pointers[len(arguments) :], 0) + auxv
    text = b"".join(strings)
    if title is not None:
        text = title.ljust(len(text), b"\0")[: len(text)]
    start = (first - len(vector) - 64) // 16 * 16
    data = vector.ljust(first - start, b"\0") + text + path + bytes(core.word)
    return start, data, auxv


def sample_core(core: CoreBytes | None = None, *, title: bytes | None = None, extra: bytes = b"") -> bytes:
    """Return the core of a small program with two threads, two mapped files, and `extra` in its heap."""
    core = core or CoreBytes()
    stack, data, auxv = start_stack(
        core, [PROGRAM, "--listen", "443"], ["PATH=/usr/bin", "TOKEN=abc"], title=title, top=_top(core)
    )
    core.process(1234, "served", f"{PROGRAM} --listen 443")
    core.thread(1234, [0] * 19 + [stack] + [0] * 7, 11).thread(1235, [0] * 27)
    core.note(6, auxv).note(0x53494749, struct.pack(f"{core.order}3i{core.word - 4}x", 11, 0, 1) + core.words(0xDEAD))
    core.files((0x40_0000, 0x40_2000, 0, PROGRAM), (0x60_0000, 0x60_1000, 0, "/lib/libgone.so (deleted)"))
    core.note(0x202, bytes(100), owner=b"LINUX")
    core.memory(0x40_0000, bytes(16), size=0x2000, flags=5)
    core.memory(0x60_0000, b"", size=0x1000, flags=4)
    core.memory(0x80_0000, (b"heap".ljust(64, b"\0") + extra).ljust(PAGE, b"\0"))
    core.memory(stack, data)
    return core.finish()


def _top(core: CoreBytes) -> int:
    return STACK + 2 * PAGE if core.word == 8 else 0xBFFF_F000
