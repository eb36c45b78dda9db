"""What the key blobs of CNG and CAPI have in common: a header that gives lengths, and numbers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dumpscan.artifacts.decoded import RefusedError

if TYPE_CHECKING:
    from dumpscan.memory.space import Memory


class Numbers:
    """Reads numbers of given widths one behind the other.

    Args:
        data: The blob, long enough for every number that will be taken.
        offset: Where the first number begins, in bytes.
        byte_order: `big` in CNG, `little` in CAPI.
    """

    def __init__(self, data: bytes, offset: int, byte_order: Literal["little", "big"]) -> None:
        self._data = data
        self._offset = offset
        self._byte_order = byte_order

    def take(self, width: int) -> int:
        """Return the next number, `width` bytes wide."""
        begin = self._offset
        self._offset += width
        return int.from_bytes(self._data[begin : self._offset], self._byte_order)


def read_header(memory: Memory, address: int, size: int) -> bytes:
    """Read the `size` bytes of a header.

    Raises:
        RefusedError: If the memory ends before the header does.
    """
    data = memory.read(address, size)
    if len(data) < size:
        raise RefusedError("the memory ends within the header")
    return data
