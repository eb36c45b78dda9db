"""Finds a Linux kernel without its VMCOREINFO: by its table of symbols, which has a form of its own.

Source: docs/memory-layouts.md, "Linux kernel images". The tables of kallsyms lie side by side in the kernel's image, so
that they are found in physical memory before it is known where the kernel's addresses lead. The variable `phys_base`
then tells that, and is the check: it must say of itself where it lies.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.kernel.linux.addresses import FOUR_LEVELS, KernelMemory, physical_of_image
from dumpscan.memory.kernel.linux.symbols.kallsyms import MAX_NAMES, MAX_SYMBOLS, Kallsyms, KallsymsTables
from dumpscan.model.linux.c_kernel import MARKER_STEP, START_KERNEL_MAP, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.physical.image import PhysicalImage

_DIGITS = b"\0".join(b"%d" % digit for digit in range(10))
"""The tokens with the numbers 48 to 57: names have digits, and each stands for itself."""
_FIRST_DIGIT = ord("0")
_MAX_TOKENS = 1 << 13
_MAX_GAP = 64
"""Bytes between tables: padding."""
_MAX_BEFORE_TOKENS = 12 << 20
"""Bytes before the tokens in which the markers lie: what is between them has three bytes for each symbol."""
_LEAST_STEP, _MOST_STEP = 2 * MARKER_STEP, 140 * MARKER_STEP
"""Bytes of 256 compressed names."""
_LEAST_MARKERS = 40
"""10,000 symbols; distribution kernels have ten times as many."""
_CHAINS_CHECKED = 3
_MAX_CANDIDATES = 64
_ALIGNMENT = 2 << 20
"""A kernel lies at a multiple of this, in physical memory as in virtual memory (CONFIG_PHYSICAL_ALIGN)."""
_MIDDLE = 512 << 20
_MASK = (1 << 64) - 1
_MAX_IMAGE = 1 << 30


class Found(NamedTuple):
    """A kernel.

    Attributes:
        phys_base: As for `KernelMemory`.
        tables: Where its kallsyms lie, as virtual addresses.
        kallsyms: Its symbols.
    """

    phys_base: int
    tables: KallsymsTables
    kallsyms: Kallsyms


class _Tokens(NamedTuple):
    """Where the tokens lie in physical memory: their table, and its index."""

    table: int
    offsets: int


def find_unaided(image: PhysicalImage) -> Iterator[Found]:
    """Find the kernels of an image by their tables of symbols.

    Args:
        image: Physical memory.
    """
    for count, tokens in enumerate(_find_tokens(image)):
        if count >= _MAX_CANDIDATES:
            return
        try:
            found = _kernel_at(image, tokens)
        except DumpscanError:
            continue  # the tables make no sense: a copy that was partly overwritten, or no tables
        if found is not None:
            yield found


def _find_tokens(image: PhysicalImage) -> Iterator[_Tokens]:
    """Find tables of 256 tokens that their index follows."""
    for first, data in image.chunks(_MAX_TOKENS):
        for at in _places_of_digits(data):
            found = _tokens_around(image, first + at)
            if found is not None:
                yield found


def _places_of_digits(data: bytes) -> list[int]:
    """Return where the digits lie in a chunk. Comparing numbers is ten times as fast as Python's search for bytes."""
    wanted = np.uint32(int.from_bytes(_DIGITS[:4], "little"))
    found: list[int] = []
    for phase in range(4):
        words = np.frombuffer(data, "<u4", max(len(data) - phase, 0) // 4, min(phase, len(data)))
        found += (np.flatnonzero(words == wanted) * 4 + phase).tolist()
    return sorted(at for at in found if data[at : at + len(_DIGITS)] == _DIGITS)


def _tokens_around(image: PhysicalImage, digits: int) -> _Tokens | None:
    """Return the tokens to which the digits at a physical address belong, or None."""
    start = max(digits - _MAX_TOKENS, 0)
    before = image.read(start, digits - start)
    at = len(before) - 1  # the NUL of the token before the digits
    for _ in range(_FIRST_DIGIT):
        at = before.rfind(b"\0", 0, at)
        if at < 0:
            return None
    table = start + at + 1
    data = image.read(table, _MAX_TOKENS)
    offsets, at = [], 0
    for _ in range(TOKENS):
        offsets.append(at)
        at = data.find(b"\0", at) + 1
        if not at:
            return None
    index = data.find(np.array(offsets, "<u2").tobytes(), at, at + _MAX_GAP + 2 * TOKENS)
    return None if index < 0 else _Tokens(table, table + index)


def _kernel_at(image: PhysicalImage, tokens: _Tokens) -> Found | None:
    # Until it is known where the kernel's addresses lead, its image is given addresses of our own.
    guess = (tokens.table - _MIDDLE) // _ALIGNMENT * _ALIGNMENT & _MASK
    memory = KernelMemory(image, guess, 0, FOUR_LEVELS)
    before: Kallsyms | None = None
    for tables in _tables(image, tokens, guess):
        try:
            kallsyms = before = Kallsyms(memory, tables, None).with_names_of(before)
            base = _phys_base(memory, kallsyms, guess)
        except DumpscanError:
            continue
        if base is None:
            continue
        distance = (guess - base) & _MASK
        moved = tables.moved(distance)
        own = kallsyms.address("kallsyms_offsets")  # from 6.12 on, the tables are symbols themselves
        if own is None or moved.offsets == (own + (distance if kallsyms.self_relative else 0)) & _MASK:
            found = Kallsyms(KernelMemory(image, base, 0, FOUR_LEVELS), moved, None)
            return Found(base, moved, found)
    return None


def _tables(image: PhysicalImage, tokens: _Tokens, guess: int) -> Iterator[KallsymsTables]:
    """Yield where the other tables may lie."""

    def virtual(physical: int) -> int:
        return (physical - guess + START_KERNEL_MAP) & _MASK

    markers, values = _markers(image, tokens.table)
    if not len(values):
        return
    for count_at, names in _names(image, markers, values):
        count = int.from_bytes(image.read(count_at, 4), "little")
        after = tokens.offsets + 2 * TOKENS
        places = [((after + 7) & ~7, None), ((after + 3) & ~3, None)]
        behind = [(at, (at + 4 * count + 7) & ~7) for at, _ in places]
        before = [(count_at - 8 - ((4 * count + 7) & ~7), count_at - 8)]
        for offsets, base in (*before, *behind, *places):
            yield KallsymsTables(
                virtual(names),
                virtual(count_at),
                virtual(tokens.table),
                virtual(tokens.offsets),
                virtual(offsets),
                None if base is None else virtual(base),
            )


def _markers(image: PhysicalImage, tokens: int) -> tuple[int, list[int]]:
    """Find the markers before the tokens: the longest run of numbers that begins with 0 and grows by plausible steps.

    Returns:
        Their physical address, and their values; none if there is no such run.
    """
    start = max(tokens - _MAX_BEFORE_TOKENS, 0) & ~7
    # A crash dump may lack pages of zeros.
    words = np.frombuffer(image.read_padded(start, (tokens - start) & ~3), "<u4").astype(np.int64)
    steps = np.diff(words)
    fits = (steps >= _LEAST_STEP) & (steps <= _MOST_STEP)
    bounds = np.flatnonzero(np.diff(np.concatenate(([False], fits, [False])).astype(np.int8)))
    first, past = bounds[::2], bounds[1::2]
    begins = words[first] == 0
    first, past = first[begins], past[begins]
    if not len(first) or int((past - first).max()) < _LEAST_MARKERS:
        return 0, []
    longest = int((past - first).argmax())
    chosen = slice(int(first[longest]), int(past[longest]) + 1)
    return start + 4 * chosen.start, words[chosen].tolist()


def _names(image: PhysicalImage, markers: int, values: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the physical addresses of the number of symbols and of the names, before the markers."""
    counts = range((len(values) - 1) * MARKER_STEP + 1, len(values) * MARKER_STEP + 1)
    if counts[-1] > MAX_SYMBOLS or values[-1] > MAX_NAMES:
        return
    last = (markers - values[-1]) & ~3
    start = max(last - _MOST_STEP - _MAX_GAP, 0)
    data = image.read(start, last + 8 - start + values[min(_CHAINS_CHECKED, len(values) - 1)])
    for at in range(0, last - start + 4, 4):
        if int.from_bytes(data[at : at + 4], "little") not in counts:
            continue
        for names in (at + 4, at + 8):
            if all(_ends_at(data, names + one, names + two) for one, two in pairwise(values[: _CHAINS_CHECKED + 1])):
                yield start + at, start + names


def _ends_at(data: bytes, at: int, end: int) -> bool:
    """Return whether 256 names from an offset on end at another."""
    for _ in range(MARKER_STEP):
        if at >= min(end, len(data)):
            return False
        size = data[at]
        at += 1
        if size & 0x80 and at < len(data):
            size, at = (size & 0x7F) | data[at] << 7, at + 1
        at += size
    return at == end


def _phys_base(memory: KernelMemory, kallsyms: Kallsyms, guess: int) -> int | None:
    """Return the value of `phys_base` that agrees with where that variable lies; None if there is none."""
    text, end, variable = (kallsyms.address(name) for name in ("_text", "_end", "phys_base"))
    if text is None or end is None or variable is None or not text < variable < end or end - text > _MAX_IMAGE:
        return None
    if kallsyms.self_relative:  # these addresses are our own, and lead to the variable
        base = memory.number(variable)
        physical = physical_of_image(variable, guess)
        virtual = (physical - base + START_KERNEL_MAP) & _MASK
        return base if virtual >= START_KERNEL_MAP and not (virtual - variable) % _ALIGNMENT else None
    table = physical_of_image(kallsyms.tables.token_table, guess)
    lowest = (table - (end - START_KERNEL_MAP)) // _ALIGNMENT * _ALIGNMENT
    for base in range(lowest, table - (text - START_KERNEL_MAP) + _ALIGNMENT, _ALIGNMENT):
        physical = variable - START_KERNEL_MAP + base
        if physical >= 0 and int.from_bytes(memory.image.read(physical, 8), "little") == base & _MASK:
            return base & _MASK
    return None
