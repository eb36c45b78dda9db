"""Writes kallsyms, the kernel's table of its own symbols, as Linux 6.1 has it.

Names are compressed as `scripts/kallsyms.c` does: the most frequent pair of tokens becomes a token, again and again.
Source: docs/memory-layouts.md, "Linux kernel images".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dumpscan.model.linux.c_kernel import MARKER_STEP, TOKENS
from dumpscan.synth.alignment import pad

_ALIGNMENT = 8
_FIRST_PAIR = 0x80
"""Tokens from here on stand for pairs, those below for themselves."""
_SEPARATOR = b"\0"
"""No name has such a byte."""


class Symbol(NamedTuple):
    """A symbol: its name, its type letter and its virtual address."""

    name: str
    kind: str
    address: int


class KallsymsBlob(NamedTuple):
    """The tables, one after another.

    Attributes:
        data: Their bytes.
        places: Offset of each table in them, by its name without `kallsyms_`.
    """

    data: bytes
    places: dict[str, int]


def write_kallsyms(symbols: list[Symbol], relative_base: int) -> KallsymsBlob:
    """Return the tables for some symbols.

    Args:
        symbols: In ascending order of address; those below the kernel are per-CPU variables.
        relative_base: Address of the first symbol of the kernel itself.
    """
    names, tokens = _compressed([symbol.kind.encode() + symbol.name.encode() for symbol in symbols])
    markers, at = [], 0
    for number, name in enumerate(names):
        if number % MARKER_STEP == 0:
            markers.append(at)
        at += 1 + len(name)
    index, table = [], bytearray()
    for token in tokens:
        index.append(len(table))
        table += token + b"\0"
    parts = {
        "offsets": b"".join(_offset(symbol.address, relative_base) for symbol in symbols),
        "relative_base": relative_base.to_bytes(8, "little"),
        "num_syms": len(symbols).to_bytes(4, "little"),
        "names": b"".join(bytes([len(name)]) + name for name in names),
        "markers": b"".join(marker.to_bytes(4, "little") for marker in markers),
        "seqs_of_names": b"".join(number.to_bytes(3, "big") for number in _by_name(symbols)),
        "token_table": bytes(table),
        "token_index": b"".join(each.to_bytes(2, "little") for each in index),
    }
    data = bytearray()
    places: dict[str, int] = {}
    for table_name, part in parts.items():
        places[table_name] = len(data)
        data += pad(part, _ALIGNMENT)
    return KallsymsBlob(bytes(data), places)


def _by_name(symbols: list[Symbol]) -> list[int]:
    return sorted(range(len(symbols)), key=lambda number: symbols[number].name)


def _offset(address: int, relative_base: int) -> bytes:
    """Return an entry of `kallsyms_offsets`: negative for symbols of the kernel, absolute for per-CPU ones."""
    offset = address if address < relative_base else relative_base - 1 - address
    return offset.to_bytes(4, "little", signed=True)


def _compressed(names: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return the names as numbers of tokens, and the 256 tokens."""
    data = _SEPARATOR.join(names)
    used = set(data)
    own = [bytes([number]) for number in range(_FIRST_PAIR)]
    tokens = [token if (token[0] in used and token != _SEPARATOR) or token.isdigit() else b"" for token in own]
    for number in range(_FIRST_PAIR, TOKENS):
        pair = _most_frequent(data)
        if pair is None:
            break
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        data = data.replace(pair, bytes([number]))
    return data.split(_SEPARATOR), tokens + [b""] * (TOKENS - len(tokens))


def _most_frequent(data: bytes) -> bytes | None:
    """Return the pair of tokens that is there most often; None if each is there once."""
    numbers = np.frombuffer(data, np.uint8).astype(np.int64)
    first, second = numbers[:-1], numbers[1:]
    within = (first != _SEPARATOR[0]) & (second != _SEPARATOR[0])
    counts = np.bincount((first * TOKENS + second)[within], minlength=1)
    best = int(counts.argmax())
    return bytes(divmod(best, TOKENS)) if counts[best] > 1 else None
