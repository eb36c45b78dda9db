"""Minidumps whose signature was overwritten: some tools do that on purpose, so that nobody takes the file for a dump.

nanodump, for one, writes random numbers for signature and version, unless told otherwise. The stream directory is still
there, and nothing else looks like one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.records import column, record_type
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from pathlib import Path

_STREAM_COUNTS = range(2, 129)
_TYPES = c_minidump.MINIDUMP_STREAM_TYPE
_OF_MEMORY = {int(_TYPES.MemoryListStream), int(_TYPES.Memory64ListStream)}
_SYSTEM = int(_TYPES.SystemInfoStream)
_UNUSED = int(_TYPES.UnusedStream)


def is_wiped_minidump(path: Path) -> bool:
    """Whether a file is a minidump but for its signature; one that cannot be read is not."""
    try:
        with MappedFile(path) as file:
            return has_stream_directory(file.buffer)
    except InputError:
        return False


def has_stream_directory(data: memoryview) -> bool:
    """Whether the header of a file leads to a stream directory.

    All streams must be of known types, each at most once, and lie in the file; the system and a list of memory must be
    among them.
    """
    header_form, form = c_minidump.MINIDUMP_HEADER, c_minidump.MINIDUMP_DIRECTORY
    if len(data) < header_form.size:
        return False
    header = header_form(bytes(data[: header_form.size]))
    count, offset = int(header.NumberOfStreams), int(header.StreamDirectoryRva)
    end = offset + count * form.size
    if count not in _STREAM_COUNTS or offset < header_form.size or end > len(data):
        return False
    entries = np.frombuffer(data, record_type(form), count, offset)
    entries = entries[entries["StreamType"] != _UNUSED]
    kinds = column(entries, "StreamType")
    places = zip(column(entries, "Location", "Rva"), column(entries, "Location", "DataSize"), strict=True)
    return (
        _SYSTEM in kinds
        and not _OF_MEMORY.isdisjoint(kinds)
        and len(set(kinds)) == len(kinds)
        and all(_TYPES(kind).name is not None for kind in kinds)
        and all(header_form.size <= rva and rva + size <= len(data) for rva, size in places)
    )
