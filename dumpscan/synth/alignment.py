"""Rounding up to a multiple: to whole pages, structures, pool blocks."""

from __future__ import annotations

from dumpscan.model.windows.c_paging import PAGE_SIZE


def align(number: int, multiple: int) -> int:
    """Return `number` rounded up to a multiple of `multiple`."""
    return -(-number // multiple) * multiple


def pad(content: bytes, multiple: int) -> bytes:
    """Return `content` with zeros appended up to a multiple of `multiple` bytes."""
    return content + bytes(-len(content) % multiple)


def page_align(size: int) -> int:
    """Return `size` bytes rounded up to whole 4 KiB pages."""
    return align(size, PAGE_SIZE)


def page_count(size: int) -> int:
    """Return how many 4 KiB pages `size` bytes take."""
    return -(-size // PAGE_SIZE)
