"""Keys of OpenSSL, BoringSSL, mbedTLS, GMP and Go: all big numbers of a process, tied to keys by arithmetic.

No number says which key it belongs to, so the numbers are gathered first (`dumpscan.artifacts.decoded.GroupDecoder`).
A key is placed where its structure lies, or, where none is known, where its private number's header does.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import Decoded, RefusedError
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.ssh import shielded
from dumpscan.artifacts.openssl import ecx, headers, points
from dumpscan.artifacts.openssl.ec import ec_keys, openssl_points
from dumpscan.artifacts.openssl.near import FAR, Surroundings
from dumpscan.artifacts.openssl.nonces import without_nonces
from dumpscan.artifacts.openssl.numbers import read_numbers
from dumpscan.artifacts.openssl.rsa import rsa_keys
from dumpscan.artifacts.openssl.structures import rsa_structures, scalar_structures
from dumpscan.findings import KeyObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.artifacts.decoded import Decoder
    from dumpscan.artifacts.detector import GroupDetector
    from dumpscan.artifacts.openssl.structures import Structure
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.regions import ReadWords
    from dumpscan.memory.space import Memory
    from dumpscan.scan.searcher import Matches

MAX_TRIED = 1024
"""Structures of one kind that are tried in one process."""
_STRUCTURE = 220
"""Microseconds to read a structure and what it points to, at most: of OpenSSH's, 16 KiB."""
MAX_STRUCTURES = 64
"""Places of one key that are told in one process."""


class _Library(NamedTuple):
    """How keys of a library are named.

    Attributes:
        name: As in `KeyObject.library`.
        encoding: As in `Location.encoding`.
    """

    name: str
    encoding: str


_LIBRARIES = {
    headers.OPENSSL.name: _Library("openssl", "openssl-bignum"),
    headers.MBEDTLS.name: _Library("mbedtls", "mbedtls-mpi"),
    headers.GMP.name: _Library("gmp", "gmp-mpz"),
    headers.GO.name: _Library("go", "go-words"),
}
_DECODERS: dict[str, Decoder] = {
    ecx.ECX_KEY.name: ecx.decode_ecx,
    ecx.EVP_PKEY_1_1_1.name: ecx.decode_evp,
    shielded.SHIELD.name: shielded.decode_shielded,
}
"""Decoders of structures that are no numbers, by the names of their signatures."""
_POINT = headers.SEARCHER.signatures.index(points.EC_POINT)
_BORINGSSL = _Library("boringssl", "boringssl-bignum")


def decode_numbers(memory: Memory, words: ReadWords, matches: Matches) -> Iterator[Decoded]:
    """Decode the keys that headers in one process make together.

    Args:
        memory: The memory of the process.
        words: Reads many words of it at once.
        matches: Where headers may begin.

    Yields:
        Keys, one for each place where one lies.

    Raises:
        TooCostlyError: A step would cost more than is left.
    """
    yield from _structures(memory, matches)
    numbers = read_numbers(memory, words, matches)
    far = Surroundings(memory, FAR)
    for rsa in rsa_keys(numbers):
        yield from _placed(memory, rsa.key, rsa_structures(numbers, far, rsa), rsa.missing_parts)
    places = matches.starts[matches.signatures == _POINT][:MAX_TRIED].tolist()
    keys = list(ec_keys(numbers, Surroundings(memory), far, openssl_points(memory, places)))
    for ec in without_nonces(keys, numbers):
        yield from _placed(memory, ec.key, scalar_structures(numbers, far, ec), ())


def _structures(memory: Memory, matches: Matches) -> Iterator[Decoded]:
    """Yield the keys that a structure tells by itself."""
    for number, signature in enumerate(headers.SEARCHER.signatures):
        decoder = _DECODERS.get(signature.name)
        places = matches.starts[matches.signatures == number][:MAX_TRIED] if decoder is not None else ()
        for address in map(int, places):
            effort.charge(_STRUCTURE)
            with suppress(RefusedError):
                decoded = decoder(memory, address) if decoder is not None else None
                if decoded is not None:
                    yield decoded


def _placed(
    memory: Memory, key: PrivateKey, structures: list[Structure], missing_parts: tuple[str, ...]
) -> Iterator[Decoded]:
    """Yield a key once for each of its places."""
    for structure in structures[:MAX_STRUCTURES]:
        data = memory.read(structure.address, structure.size)
        library = (
            _BORINGSSL if structure.boring and structure.kind == headers.OPENSSL.name else _LIBRARIES[structure.kind]
        )
        yield Decoded(
            finding=read_from(key, data),
            address=structure.address,
            length=structure.size,
            sha256=sha256(data).hexdigest(),
            encoding=library.encoding,
            missing=structure.size - len(data),
            key_object=KeyObject(
                library=library.name, structure=structure.name, has_private=True, missing_parts=missing_parts
            ),
        )


GROUP_DETECTORS: tuple[GroupDetector, ...] = ((headers.SEARCHER, decode_numbers),)
