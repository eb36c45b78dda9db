"""Tables of records and text, decoded from bytes of a dump.

A structure of the memory model (dissect.cstruct) becomes a numpy type, so that a list of any length is decoded in one
call. Nothing here checks counts or sizes: callers pass the bytes that they have bounded.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Records = NDArray[Any]
    Layout = Any  # a structure or type of dissect.cstruct, which has no type hints
    FieldFormat = Any  # whatever numpy takes for a field's type


@lru_cache(maxsize=64)
def record_type(layout: Layout, byte_order: str = "<") -> np.dtype[Any]:
    """Return the numpy type of a structure: the same fields at the same offsets.

    Args:
        layout: A cstruct structure of integers, arrays of integers, and such structures.
        byte_order: `<` for little-endian numbers, `>` for big-endian ones.
    """
    fields = layout.fields
    return np.dtype(
        {
            "names": list(fields),
            "formats": [_format(field.type, byte_order) for field in fields.values()],
            "offsets": [field.offset for field in fields.values()],
            "itemsize": layout.size,
        }
    )


def _format(kind: Layout, byte_order: str) -> FieldFormat:
    if hasattr(kind, "fields"):
        return record_type(kind, byte_order)
    if hasattr(kind, "num_entries"):
        return _format(kind.type, byte_order), (kind.num_entries,)
    return f"{byte_order}{'u' if kind.packchar.isupper() else 'i'}{kind.size}"


def column(records: Records, *path: str) -> list[int]:
    """Return one field of every record as Python integers; a path of names leads into nested structures."""
    for name in path:
        records = records[name]
    values: list[int] = records.tolist()
    return values


def exact_sum(values: NDArray[np.uint64]) -> int:
    """Add up 64-bit numbers without overflow."""
    low, high = values & np.uint64(0xFFFFFFFF), values >> np.uint64(32)
    return int(low.sum()) + (int(high.sum()) << 32)


def decode_utf16(data: bytes) -> str:
    """Decode UTF-16LE the way Windows does: lone surrogates are kept, an odd last byte is dropped."""
    return data[: len(data) & ~1].decode("utf-16-le", "surrogatepass")


def decode_utf8(data: bytes) -> str:
    """Decode UTF-8; bytes that are not UTF-8 are kept as lone surrogates (PEP 383)."""
    return data.decode("utf-8", "surrogateescape")


def unix_time(seconds: int) -> datetime | None:
    """Convert seconds since 1970 to UTC; return None for 0 and for times after the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None
