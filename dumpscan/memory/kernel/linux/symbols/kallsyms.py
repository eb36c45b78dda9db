"""Reads kallsyms, the kernel's table of its own symbols, out of memory.

Names are compressed: each is a list of tokens. All are expanded at once into one text with a line for each symbol, in
which a name is then looked up; only the symbols that are asked for become objects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dumpscan.exceptions import DumpscanError
from dumpscan.model.linux.c_kernel import START_KERNEL_MAP, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from dumpscan.memory.kernel.linux.addresses import KernelMemory

MAX_SYMBOLS = 1 << 21
"""Ten times as many as distribution kernels have."""
MAX_NAMES = 48 << 20
"""Bytes of compressed names."""
MAX_TEXT = 192 << 20
"""Bytes of expanded names. Those of real kernels have 3 to 8 MB."""
MAX_TOKEN_TABLE = 1 << 14
"""Bytes of the 256 tokens; real ones have about a thousand."""
_ASCENDING = 0.99
"""Share of the symbols of a kernel's image that follow one another; those of other sections may come between."""
_LONG_NAME = 0x80
_NEWLINE, _NOTHING = TOKENS, TOKENS + 1
"""Stand for a length byte, and for the second one of a long name."""
_AT_ONCE = 1 << 17
_MASK = (1 << 64) - 1


class KallsymsError(DumpscanError):
    """The tables of kallsyms are not in memory, or contradict themselves."""


class Symbol(NamedTuple):
    """A symbol.

    Attributes:
        name: Its name.
        kind: Its type letter, as in /proc/kallsyms.
        address: Its virtual address, with the kernel's shift.
    """

    name: str
    kind: str
    address: int


@dataclass(frozen=True, slots=True)
class KallsymsTables:
    """Where the tables lie, as virtual addresses.

    Attributes:
        names: `kallsyms_names`.
        count: `kallsyms_num_syms`.
        token_table: `kallsyms_token_table`.
        token_index: `kallsyms_token_index`.
        offsets: `kallsyms_offsets`.
        relative_base: `kallsyms_relative_base`; None in kernels that have none.
    """

    names: int
    count: int
    token_table: int
    token_index: int
    offsets: int
    relative_base: int | None

    @classmethod
    def from_note(cls, symbols: Mapping[str, int]) -> KallsymsTables | None:
        """Take the addresses from those that VMCOREINFO has; None if it lacks one (before Linux 6.0)."""
        found = {
            name: symbols.get(f"kallsyms_{name}")
            for name in ("names", "num_syms", "token_table", "token_index", "offsets")
        }
        if None in found.values():
            return None
        known = {name: address for name, address in found.items() if address is not None}
        return cls(
            known["names"],
            known["num_syms"],
            known["token_table"],
            known["token_index"],
            known["offsets"],
            symbols.get("kallsyms_relative_base"),
        )

    def moved(self, distance: int) -> KallsymsTables:
        """Return the same tables at addresses that are larger by so many bytes, modulo 2^64."""
        base = self.relative_base
        return replace(
            self,
            names=(self.names + distance) & _MASK,
            count=(self.count + distance) & _MASK,
            token_table=(self.token_table + distance) & _MASK,
            token_index=(self.token_index + distance) & _MASK,
            offsets=(self.offsets + distance) & _MASK,
            relative_base=None if base is None else (base + distance) & _MASK,
        )


class Kallsyms:
    """The symbols of a kernel.

    Args:
        memory: The kernel's memory.
        tables: Where the tables lie.
        known: A symbol whose address is known, and the address: it tells how the offsets are meant. Without one, the
            addresses must ascend, and lie where kernels do.

    Attributes:
        tables: As given.

    Raises:
        KallsymsError: The tables are not there, or make no sense.
    """

    def __init__(self, memory: KernelMemory, tables: KallsymsTables, known: tuple[str, int] | None) -> None:
        self._memory = memory
        self.tables = tables
        self._count = memory.number(tables.count, 4)
        if not 0 < self._count <= MAX_SYMBOLS:
            raise KallsymsError(f"kallsyms has {self._count} symbols, which no kernel has")
        self._known = known

    def with_names_of(self, other: Kallsyms | None) -> Kallsyms:
        """Take the names that another one has expanded, if they are the same; return this one."""
        if other is not None and replace(other.tables, offsets=0, relative_base=None) == replace(
            self.tables, offsets=0, relative_base=None
        ):
            self.__dict__.update({name: getattr(other, name) for name in ("_text", "_lines")})
        return self

    def __len__(self) -> int:
        """Return how many symbols there are."""
        return self._count

    # --- Names -------------------------------------------------------------------------------------------------------

    @cached_property
    def _text(self) -> bytes:
        """A newline, the type letter and the name of each symbol, one after another, and a last newline."""
        data = self._read_names()
        tokens = self._tokens()
        places = np.frombuffer(data, np.uint8).astype(np.uint16)
        heads, seconds, end = _name_heads(data, self._count)
        places[heads] = _NEWLINE
        places[seconds] = _NOTHING
        return _expanded(places[:end], tokens) + b"\n"

    def _read_names(self) -> bytes:
        tables = self.tables
        between = tables.token_table - tables.names
        size = between if 0 < between <= MAX_NAMES else min(self._count * 64, MAX_NAMES)
        return self._memory.read(tables.names, size)

    def _tokens(self) -> list[bytes]:
        table = self._memory.read(self.tables.token_table, MAX_TOKEN_TABLE)
        index = self._memory.read(self.tables.token_index, 2 * TOKENS)
        if len(index) < 2 * TOKENS:
            raise KallsymsError("the tokens of kallsyms are not in the image")
        found = []
        for at in np.frombuffer(index, "<u2").tolist():
            end = table.find(b"\0", at)
            if end < 0:
                raise KallsymsError("a token of kallsyms lies outside of their table")
            found.append(table[at:end].replace(b"\n", b"?"))
        return [*found, b"\n", b""]

    @cached_property
    def _lines(self) -> NDArray[np.int64]:
        """Where each symbol's newline stands in the text."""
        lines = np.flatnonzero(np.frombuffer(self._text, np.uint8) == ord("\n"))
        return lines.astype(np.int64)

    # --- Addresses ---------------------------------------------------------------------------------------------------

    @cached_property
    def _addresses(self) -> NDArray[np.uint64]:
        data = self._memory.read(self.tables.offsets, 4 * self._count)
        if len(data) < 4 * self._count:
            raise KallsymsError("the addresses of kallsyms are not in the image")
        offsets = np.frombuffer(data, "<i4").astype(np.int64)
        for addresses in self._meanings(offsets):
            if self._fits(addresses):
                return addresses
        raise KallsymsError("the addresses of kallsyms do not agree with what is known of the kernel")

    def _fits(self, addresses: NDArray[np.uint64]) -> bool:
        """Return whether a meaning of the offsets agrees with the known symbol, or makes sense."""
        if self._known is None:
            inside = addresses[addresses >= np.uint64(START_KERNEL_MAP)]
            ascending = np.count_nonzero(inside[1:] >= inside[:-1])
            return bool(2 * len(inside) > self._count and ascending > _ASCENDING * len(inside))
        name, wanted = self._known
        number = self._number(name)
        if number is None:
            raise KallsymsError(f"kallsyms has no symbol {name}")
        return int(addresses[number]) == wanted

    @property
    def self_relative(self) -> bool:
        """Whether each offset counts from its own place, so that addresses follow from where the tables lie."""
        return self.tables.relative_base is None

    def _meanings(self, offsets: NDArray[np.int64]) -> Iterator[NDArray[np.uint64]]:
        """Yield what the offsets can mean: docs/memory-layouts.md, "Linux kernel images"."""
        if self.tables.relative_base is not None:
            base = np.uint64(self._memory.number(self.tables.relative_base, 8))
            below = (base - np.uint64(1)) - offsets.astype(np.uint64)
            yield np.where(offsets < 0, below, offsets.astype(np.uint64))
            yield base + (offsets.astype(np.uint64) & np.uint64(0xFFFF_FFFF))
            return
        own = np.uint64(self.tables.offsets) + np.arange(len(offsets), dtype=np.uint64) * np.uint64(4)
        yield own + offsets.astype(np.uint64)

    # --- Asking ------------------------------------------------------------------------------------------------------

    def address(self, name: str) -> int | None:
        """Return the virtual address of the first symbol of a name, or None if there is none."""
        number = self._number(name)
        return None if number is None else int(self._addresses[number])

    def _number(self, name: str) -> int | None:
        # A search of the whole text takes longer than to compare the few names that are as long as this one.
        wanted = np.frombuffer(name.encode(), np.uint8)
        text, lines = np.frombuffer(self._text, np.uint8), self._lines
        alike = np.flatnonzero(np.diff(lines) == len(wanted) + 2)
        places = lines[alike, None] + 2 + np.arange(len(wanted))
        found = alike[(text[places] == wanted).all(axis=1)]
        return int(found[0]) if len(found) else None

    def symbols(self) -> Iterator[Symbol]:
        """Iterate over all symbols in the kernel's order."""
        lines = self._text[1:-1].split(b"\n")
        for line, address in zip(lines, self._addresses.tolist(), strict=True):
            yield Symbol(line[1:].decode("ascii", "replace"), chr(line[0]) if line else "?", address)


def _expanded(places: NDArray[np.uint16], tokens: list[bytes]) -> bytes:
    """Put tokens together, given their numbers.

    Raises:
        KallsymsError: That is longer than the names of any kernel.
    """
    sizes = np.array([len(token) for token in tokens], np.int64)
    if int(sizes[places].sum()) > MAX_TEXT:
        raise KallsymsError("the names of kallsyms are longer than those of any kernel")
    starts = np.cumsum(sizes) - sizes
    characters = np.frombuffer(b"".join(tokens), np.uint8)
    parts = []
    for first in range(0, len(places), _AT_ONCE):
        chosen = places[first : first + _AT_ONCE]
        lengths = sizes[chosen]
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        parts.append(characters[np.repeat(starts[chosen], lengths) + within].tobytes())
    return b"".join(parts)


def _name_heads(data: bytes, count: int) -> tuple[list[int], list[int], int]:
    """Follow the chain of names: where each one's length stands, the second bytes of long ones, and the end.

    Raises:
        KallsymsError: The names end before that.
    """
    heads: list[int] = []
    seconds: list[int] = []
    at, end = 0, len(data)
    for _ in range(count):
        if at >= end:
            break
        heads.append(at)
        size = data[at]
        at += 1
        if size & _LONG_NAME and at < end:
            seconds.append(at)
            size = (size & ~_LONG_NAME) | data[at] << 7
            at += 1
        at += size
    if len(heads) < count or at > end:
        raise KallsymsError("the names of kallsyms are cut short")
    return heads, seconds, at
