"""Big numbers behind headers: read, and kept by value.

Nothing here trusts a count that it read: a number has at most `MAX_LIMBS` limbs, and as many as it claims.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.artifacts import effort
from dumpscan.artifacts.openssl import headers
from dumpscan.model.c_big_numbers import FLAG_CONSTTIME, FLAG_SECURE, LIMB, LIMB_32, MAX_LIMBS, MIN_LIMBS, layouts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dumpscan.memory.regions import ReadWords
    from dumpscan.memory.space import Memory
    from dumpscan.scan.searcher import Matches

    Words = NDArray[np.uint64]
    Found = NDArray[np.bool_]

MAX_HEADERS = 200_000
"""Headers with a number behind them that are looked at in one address space. Real processes have some thousands."""
_AT_ONCE = 1 << 16
"""Headers whose words are read at once."""
_FOLLOWING = 0.5
_READING = 6
"""Microseconds that it takes to follow the pointer of a header, and to read a number."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header whose pointer leads to as many limbs as it claims.

    Attributes:
        kind: Name of its structure: a signature of `headers`.
        address: Of its first byte.
        size: Bytes of it.
        private: Whether OpenSSL's flags say that the number is private.
        inline: Whether the limbs follow the header at once, as in the scalars of BoringSSL (`EC_WRAPPED_SCALAR`).
    """

    kind: str
    address: int
    size: int
    private: bool = False
    inline: bool = False


@dataclass(slots=True)
class Numbers:
    """The numbers of one address space.

    Attributes:
        headers: By value: where it lies. The values have `MIN_LIMBS` limbs and more, and may be secret.
        dropped: Headers that were not read, since there were too many.
    """

    headers: dict[int, list[Header]] = field(default_factory=lambda: defaultdict(list), repr=False)
    dropped: int = 0

    def by_limbs(self) -> dict[int, list[int]]:
        """Return the values by their number of limbs."""
        sizes: dict[int, list[int]] = defaultdict(list)
        for value in self.headers:
            sizes[-(-value.bit_length() // (8 * LIMB))].append(value)
        return sizes

    def is_private(self, value: int) -> bool:
        """Say whether OpenSSL's flags say of some header that its number is private."""
        return any(header.private for header in self.headers[value])


class _Form(NamedTuple):
    """Where the fields of a header are, in bytes from its beginning.

    Attributes:
        pointer: The pointer that leads to the limbs.
        limbs: The number of limbs.
        bits: Bits of that number.
        flags: OpenSSL's flags; None in other headers.
        limb: Bytes of a limb, and of a pointer.
    """

    pointer: int
    limbs: int
    bits: int = 32
    flags: int | None = None
    limb: int = LIMB


_FORMS: tuple[_Form | None, ...] = (
    _Form(pointer=0, limbs=8, flags=20),
    _Form(pointer=8, limbs=4),
    _Form(pointer=16, limbs=8),
    _Form(pointer=0, limbs=8),
    _Form(pointer=0, limbs=10, bits=16),
    *(None,) * 4,
    _Form(pointer=0, limbs=4, flags=16, limb=LIMB_32),
    _Form(pointer=8, limbs=4, limb=LIMB_32),
    _Form(pointer=8, limbs=4, limb=LIMB_32),
    _Form(pointer=0, limbs=4, limb=LIMB_32),
    _Form(pointer=0, limbs=6, bits=16, limb=LIMB_32),
    None,
)
"""By the signatures of `headers.SEARCHER`; None for those of other structures."""
_TOP = np.uint64(48)


def read_numbers(memory: Memory, words: ReadWords, matches: Matches) -> Numbers:
    """Read the numbers behind headers.

    Args:
        memory: The memory of one process.
        words: Reads many words of it at once.
        matches: Where headers may begin, by the searcher of `headers`.

    Raises:
        TooCostlyError: More reading than is allowed would be needed.
    """
    numbers = Numbers()
    values: dict[tuple[int, int], int | None] = {}
    kept = 0
    for kind, limb, address, pointer, limbs, flags in _all_followed(words, matches):
        kept += 1
        if kept > MAX_HEADERS:
            numbers.dropped += 1
            continue
        if (pointer, limbs) not in values:
            effort.charge(_READING)
            values[pointer, limbs] = read_limbs(memory, pointer, limbs, limb)
        value = values[pointer, limbs]
        if value is not None:
            private = bool(flags & (FLAG_CONSTTIME | FLAG_SECURE))
            signature = headers.SEARCHER.signatures[kind]
            inline = pointer == address + signature.length
            numbers.headers[value].append(Header(signature.name, address, signature.length, private, inline))
    return numbers


def _all_followed(words: ReadWords, matches: Matches) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yield what `_followed` does of headers of all kinds, with the kind and the bytes of a limb before it."""
    for begin in range(0, len(matches.starts), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        effort.charge(_FOLLOWING * len(matches.starts[part]))
        for kind, form in enumerate(_FORMS):
            starts = matches.starts[part][matches.signatures[part] == kind]
            if form is not None and len(starts):
                yield from ((kind, form.limb, *header) for header in _followed(words, starts, form))


def _followed(words: ReadWords, starts: Words, form: _Form) -> Iterator[tuple[int, int, int, int]]:
    """Follow the pointers of headers to five of their limbs, all at once.

    Yields:
        Address, pointer, number of limbs and flags of each header whose highest limb is there and is not zero, and
        four of whose other ones may be random: their upper 16 bits are not all equal, as those of one in 32,768 are.
        The highest limb of OpenSSL's and BoringSSL's may be zero: BoringSSL counts the byte of zeros that DER has
        before a number, and OpenSSL keeps the length of numbers that it computes with (`BN_FLG_FIXED_TOP`).
    """

    def field(at: int, bits: int) -> tuple[Words, Found]:
        first = max(
            at + bits // 8 - LIMB, 0
        )  # of a word that ends with the field: the header may be the last of memory
        values, held = words(starts + np.uint64(first))
        return values >> np.uint64(8 * (at - first)) & np.uint64((1 << bits) - 1), held

    (pointers, pointed), (limbs, counted) = field(form.pointer, 8 * form.limb), field(form.limbs, form.bits)
    sizes = limbs * np.uint64(form.limb)
    fits = pointed & counted & (sizes >= np.uint64(MIN_LIMBS * LIMB)) & (sizes <= np.uint64(MAX_LIMBS * LIMB))
    starts, pointers, limbs, sizes = starts[fits], pointers[fits], limbs[fits], sizes[fits]
    highest, held = words(pointers + sizes - np.uint64(LIMB))
    fits = held & ((form.flags is not None) | (highest >> np.uint64(8 * (LIMB - form.limb)) != 0))
    middle = sizes // np.uint64(2 * LIMB) * np.uint64(LIMB)
    for place in (np.zeros_like(sizes), np.full_like(sizes, LIMB), middle, sizes - np.uint64(2 * LIMB)):
        limb, held = words(pointers + place)
        fits &= held & ((limb >> _TOP) - np.uint64(1) < np.uint64(0xFFFE))
    starts, pointers, limbs = starts[fits], pointers[fits], limbs[fits]
    flags = np.zeros(len(starts), np.uint64) if form.flags is None else field(form.flags, 32)[0]
    yield from zip(starts.tolist(), pointers.tolist(), limbs.tolist(), flags.tolist(), strict=True)


def read_limbs(memory: Memory, address: int, limbs: int, limb: int) -> int | None:
    """Read a number of so many limbs, each of `limb` bytes; None if it is not held whole."""
    if not MIN_LIMBS * LIMB <= limbs * limb <= MAX_LIMBS * LIMB:
        return None
    data = memory.read(address, limbs * limb)
    return int.from_bytes(data, "little") if len(data) == limbs * limb else None


def read_bignum(memory: Memory, address: int) -> int | None:
    """Read the number whose OpenSSL header is at an address, however small; None if it is not held whole."""
    form = layouts(memory.pointer_size).bignum_st
    data = memory.read(address, len(form))
    if len(data) < len(form):
        return None
    fields = form(data)
    size = fields.top * memory.pointer_size
    if not 0 < size <= min(fields.dmax * memory.pointer_size, MAX_LIMBS * LIMB):
        return None
    limbs = memory.read(int(fields.d), size)
    return int.from_bytes(limbs, "little") if len(limbs) == size else None


def all_headers(numbers: Numbers, values: Sequence[int]) -> list[Header]:
    """Return the headers of several values, in the order of the values."""
    return [header for value in values for header in numbers.headers.get(value, ())]
