"""Big numbers behind headers: read, and kept by value.

Nothing here trusts a count that it read: a number has at most `MAX_LIMBS` limbs, and as many as it claims.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dumpscan.artifacts import effort
from dumpscan.artifacts.openssl import headers
from dumpscan.model.c_big_numbers import FLAG_CONSTTIME, LIMB, MAX_LIMBS, MIN_LIMBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dumpscan.memory.space import Memory
    from dumpscan.scan.signature import Hit

MAX_HEADERS = 200_000
"""Headers looked at in one address space. Real processes have some thousands."""
_MICROSECONDS = 8
"""What it takes to read a header and its number."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header whose pointer leads to as many limbs as it claims.

    Attributes:
        kind: Name of its structure: a signature of `headers`.
        address: Of its first byte.
        size: Bytes of it.
        constant_time: Whether OpenSSL's flag for private numbers is set.
    """

    kind: str
    address: int
    size: int
    constant_time: bool = False


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


_FORMS = {
    # struct format, which field is the pointer, which the number of limbs
    headers.OPENSSL.name: (struct.Struct("<QiiiI"), 0, 1),
    headers.GMP.name: (struct.Struct("<iiQ"), 2, 1),
    headers.MBEDTLS.name: (struct.Struct("<iIQQ"), 3, 2),
    headers.GO.name: (struct.Struct("<QQQ"), 0, 1),
}
_FLAGS = 4


def read_numbers(memory: Memory, hits: Iterable[Hit]) -> Numbers:
    """Read the numbers behind headers.

    Args:
        memory: The memory of one process.
        hits: Where headers of any kind may begin.

    Raises:
        TooCostlyError: More reading than is allowed would be needed.
    """
    numbers = Numbers()
    for count, hit in enumerate(hits):
        if count >= MAX_HEADERS:
            numbers.dropped += 1
            continue
        effort.charge(_MICROSECONDS)
        kind = hit.signature.name
        form, pointer, limbs = _FORMS[kind]
        data = memory.read(hit.address, form.size)
        if len(data) < form.size:
            continue
        fields = form.unpack(data)
        value = read_limbs(memory, fields[pointer], fields[limbs])
        if value is None:
            continue
        constant_time = kind == headers.OPENSSL.name and bool(fields[_FLAGS] & FLAG_CONSTTIME)
        numbers.headers[value].append(Header(kind, hit.address, form.size, constant_time))
    return numbers


def read_limbs(memory: Memory, address: int, limbs: int) -> int | None:
    """Read a number of so many limbs; None if it is not held whole, or has fewer limbs than that."""
    if not MIN_LIMBS <= limbs <= MAX_LIMBS:
        return None
    data = memory.read(address, limbs * LIMB)
    if len(data) < limbs * LIMB or not any(data[-LIMB:]):
        return None
    return int.from_bytes(data, "little")


def all_headers(numbers: Numbers, values: Sequence[int]) -> list[Header]:
    """Return the headers of several values, in the order of the values."""
    return [header for value in values for header in numbers.headers.get(value, ())]
