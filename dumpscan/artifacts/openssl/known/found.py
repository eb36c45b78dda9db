"""Findings of known keys: the place of one of a key's numbers, and whose number it is as far as its form tells."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts.decoded import Decoded
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.openssl.known.windows import JAVA
from dumpscan.findings import KeyObject

if TYPE_CHECKING:
    from dumpscan.artifacts.openssl.known.windows import Wanted
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory


class Names(NamedTuple):
    """How a place is described.

    Attributes:
        encoding: As in `Location.encoding`.
        structure: As in `KeyObject.structure`.
        library: As in `KeyObject.library`.
    """

    encoding: str
    structure: str
    library: str | None = None


def found_at(memory: Memory, key: PrivateKey, address: int, length: int, names: Names) -> Decoded:
    """Make the object of a key that lies at an address."""
    data = memory.read(address, length)
    return Decoded(
        finding=read_from(key, data),
        address=address,
        length=length,
        sha256=sha256(data).hexdigest(),
        encoding=names.encoding,
        missing=length - len(data),
        key_object=KeyObject(library=names.library, structure=names.structure, has_private=True),
    )


def number_found(memory: Memory, key: PrivateKey, address: int, wanted: Wanted, names: Names) -> Decoded:
    """Make the object of one of a key's numbers; only Java has words of 32 bits, and lengths of arrays before them."""
    library = names.library or ("java" if wanted.form is JAVA or wanted.array else None)
    named = Names(f"{names.encoding}-{wanted.form.name}", names.structure, library)
    return found_at(memory, key, address, wanted.size, named)
