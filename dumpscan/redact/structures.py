"""Which bytes of a process dump are part of any structure of its format, and which are not.

Of a sound dump, what lies between the structures is padding. Of a damaged one, it may be memory that nothing leads to
any more, of which nobody can say what is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.core.dump import Core
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.minidump.stream_reader import StreamReader
from dumpscan.memory.records import record_type
from dumpscan.model.c_minidump import c_minidump
from dumpscan.redact.secret import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dumpscan.redact.collect import AnyDump

    Spans = NDArray[np.int64]

FORM = "outside all structures"
MAX_MODULES = 1 << 16
MAX_SECTIONS = 1 << 17


def unknown_places(dump: AnyDump) -> list[Place]:
    """Return the runs of bytes outside all structures of a process dump that are not only zeros.

    Images of physical memory have none: all of their bytes are memory, or the format's own.
    """
    if isinstance(dump, Minidump):
        spans = _array(_of_minidump(dump))
    elif isinstance(dump, Core):
        spans = _array(_of_core(dump))
    else:
        return []
    data = dump.buffer
    found = []
    for begin, end in _gaps(spans, len(data)):
        used = np.flatnonzero(np.frombuffer(data, np.uint8, end - begin, begin))
        if len(used):
            found.append(Place(begin + int(used[0]), int(used[-1] - used[0]) + 1, FORM))
    return found


def _array(spans: Iterable[tuple[int, int]]) -> Spans:
    most = np.iinfo(np.int64).max
    kept = [(offset, min(offset + size, most)) for offset, size in spans if size > 0 and 0 <= offset < most]
    return np.array(kept, np.int64).reshape(-1, 2)


def _gaps(spans: Spans, size: int) -> Iterator[tuple[int, int]]:
    """Yield what no span covers, as (begin, end)."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    begins = np.concatenate((spans[:, 0], [size]))
    reach = np.concatenate(([0], np.maximum.accumulate(spans[:, 1]) if len(spans) else []))
    for begin, end in zip(reach.tolist(), begins.tolist(), strict=True):
        if int(begin) < min(int(end), size):
            yield int(begin), min(int(end), size)


def _of_minidump(dump: Minidump) -> Iterator[tuple[int, int]]:
    """Yield (offset, bytes) of what its header and directory lead to; `dump.damage` has read every stream already."""
    yield 0, c_minidump.MINIDUMP_HEADER.size
    yield from dump.places_read
    for listed in dump.ranges:
        yield from ((offset, size) for _, size, offset in listed.ranges())
    yield from (thread.context for thread in dump.threads)
    reader = StreamReader(dump.buffer)
    for stream in dump.streams:
        if stream.empty:
            continue
        yield stream.offset, stream.present
        if stream.name == "ModuleList":
            records = reader.counted_records(stream, c_minidump.MINIDUMP_MODULE, MAX_MODULES)
            for name in ("CvRecord", "MiscRecord"):
                yield from zip(records[name]["Rva"].tolist(), records[name]["DataSize"].tolist(), strict=True)
        elif stream.name == "Exception":
            head = reader.structure(stream, c_minidump.MINIDUMP_EXCEPTION_STREAM, 1)
            if head is not None:
                yield int(head.ThreadContext.Rva), int(head.ThreadContext.DataSize)


def _of_core(dump: Core) -> Iterator[tuple[int, int]]:
    """Yield (offset, bytes) of its headers, its segments and its sections."""
    elf, layouts = dump.elf, dump.elf.layouts
    header = layouts.Ehdr(bytes(dump.buffer[: layouts.Ehdr.size]))
    yield 0, layouts.Ehdr.size
    yield int(header.e_phoff), len(elf.segments) * layouts.Phdr.size
    yield from zip(elf.segments["p_offset"].tolist(), elf.segments["p_filesz"].tolist(), strict=True)
    at, size = int(header.e_shoff), layouts.Shdr.size
    count = min(int(header.e_shnum), MAX_SECTIONS, max(len(dump.buffer) - at, 0) // size) if at else 0
    yield at, count * size
    if count:
        sections = np.frombuffer(dump.buffer, record_type(layouts.Shdr, elf.byte_order), count, at)
        yield from zip(sections["sh_offset"].tolist(), sections["sh_size"].tolist(), strict=True)
