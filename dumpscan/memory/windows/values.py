"""Values that Windows stores in forms of its own: times and GUIDs.

Sources: FILETIME and GUID in Microsoft's `minwindef.h` and `guiddef.h`.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def file_time(ticks: int) -> datetime | None:
    """Convert a FILETIME (100 ns since 1601) to UTC; return None for 0 and for times after the year 9999."""
    if not ticks:
        return None
    try:
        return _FILETIME_EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


def windows_guid(data: bytes) -> str:
    """Write the 16 bytes of a GUID the way Windows does: upper-case, the first three fields little-endian."""
    return str(uuid.UUID(bytes_le=data)).upper()
