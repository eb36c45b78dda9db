"""How much a packed file may become."""

from __future__ import annotations

MAX_RATIO = 1000
"""How much larger than the packed file its content may be, once it is larger than `FREE_SIZE`. A memory image of which
nine tenths are zeros is packed by zstd to a fortieth."""
FREE_SIZE = 256 << 20
"""Bytes that any packed file may have."""
BOMB = f"unpacks to more than {MAX_RATIO} times its size: taken for a bomb, and not read"


def plausible_size(packed_size: int) -> int:
    """Return to how many bytes a file of a size may unpack."""
    return max(packed_size * MAX_RATIO, FREE_SIZE)
