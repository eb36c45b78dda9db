"""Evidence for keys whose own bytes hold nothing to check them against.

A private value without its public one (PKCS#8 version 0 of Ed25519, say) may be any random bytes behind a program's
constant. Its public key is computed, and looked for in the same memory: as part of a certificate, of a public key in
any form, of a protocol's message. Where it lies, the key is real: a public value of 20 bytes and more does not occur by
chance.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from dumpscan.artifacts.keys.finding import LIBRARY_ERRORS
from dumpscan.scan.engine import Engine
from dumpscan.scan.opening import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dumpscan.findings import PrivateKey
    from dumpscan.scan.searcher import Scannable
    from dumpscan.scan.signature import Signature

MAX_KEYS = 1024
"""Keys whose public values are looked for in one dump."""
_MIN_VALUE, _MAX_VALUE = 20, 64
"""Bytes of the shortest public value that is looked for, and how many are enough of a long one."""


def supported_keys(
    keys: Iterable[PrivateKey],
    space: Scannable,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> set[str]:
    """Search memory for the public values of keys.

    Args:
        keys: Keys without a proof; those beyond `MAX_KEYS` are not looked for.
        space: The memory: of a process, or physical.
        threads: As for the engine.
        progress: As for the engine.

    Returns:
        The ids of those whose public value lies there.
    """
    owners: dict[str, str] = {}
    signatures: list[Signature] = []
    for key in list(keys)[:MAX_KEYS]:
        for value in _public_values(key):
            name = f"public-{len(signatures)}"
            owners[name] = key.key_id
            signatures.append(literal(name, value))
    found: set[str] = set()
    if signatures:
        for matches in Engine(signatures, literal=True).batches(space, threads=threads, progress=progress):
            found |= {owners[signatures[number].name] for number in set(matches.signatures.tolist())}
    return found


def _public_values(key: PrivateKey) -> list[bytes]:
    """Return the forms in which a key's public value may lie in memory; none if the library does not know the key."""
    try:
        with warnings.catch_warnings(action="ignore"):  # the library means to drop Diffie-Hellman
            public: Any = load_der_private_key(key.pkcs8, None).public_key()
            numbers: Any = public.public_numbers() if key.algorithm in ("EC", "DSA", "DH") else None
    except LIBRARY_ERRORS:
        return []
    match key.algorithm:
        case "RSA":
            return []
        case "EC" | "DSA" | "DH":
            number = numbers.x if key.algorithm == "EC" else numbers.y
            value = number.to_bytes((public.key_size + 7) // 8, "big")
            values = [value, value[::-1]]
        case _:
            values = [public.public_bytes(Encoding.Raw, PublicFormat.Raw)]
    return [value[:_MAX_VALUE] for value in values if len(value) >= _MIN_VALUE]
