"""Command line and environment of a Linux process, from the top of its first stack.

The kernel puts there, from low to high addresses (`create_elf_tables` and `copy_strings` of Linux): argument count,
argument pointers, 0, environment pointers, 0, the auxiliary vector; then the strings themselves: arguments,
environment, and the path that the program was started by (AT_EXECFN). The vector is in a note too, and is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.records import decode_utf8
from dumpscan.model.c_elf import AT_EXECFN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dumpscan.memory.core.reader import CoreReader

MAX_STACK = 16 << 20
"""Bytes at the top of the stack that are looked at: arguments and environment may take a quarter of the stack, which
has 8 MiB by default, and what the program itself uses lies below."""
MAX_STRINGS = 8 << 20


@dataclass(frozen=True, slots=True)
class StartArguments:
    """What a process was started with, as the top of its stack has it now.

    Attributes:
        arguments: The arguments; one string if the program has written a title over them.
        environment: `NAME=value` entries; empty if the program has written over them.
        rewritten: Whether the program has written over its arguments, and perhaps its environment.
        notes: What could not be read, a sentence each.
    """

    arguments: tuple[str, ...] | None = None
    environment: tuple[str, ...] | None = None
    rewritten: bool = False
    notes: tuple[str, ...] = ()


def read_start_arguments(reader: CoreReader) -> StartArguments:
    """Read arguments and environment from the stack."""
    start, end = reader.stack
    top = min(reader.notes.auxv.get(AT_EXECFN, end), end)
    if not reader.notes.auxv_data or not end:
        return StartArguments(notes=("the core has no auxiliary vector, which leads to the command line",))
    base = max(start, top - MAX_STACK) // reader.pointer_size * reader.pointer_size
    data = reader.read(base, end - base)
    at = data.rfind(reader.notes.auxv_data)
    words = np.frombuffer(data[: max(at, 0) // reader.pointer_size * reader.pointer_size], _word_type(reader))
    pointers = _pointers(words)
    if at < 0 or pointers is None:
        return StartArguments(notes=("the top of the stack, which holds the command line, is not in the core",))
    arguments, environment = pointers
    inside = [pointer for pointer in environment if base <= pointer < top]
    environment_start = inside[0] if inside else top
    own = [pointer for pointer in arguments if base <= pointer < environment_start]
    first = own[0] if own else environment_start
    strings = data[first - base : min(top - base, first - base + MAX_STRINGS)]
    return _split(strings, environment_start - first)


def _word_type(reader: CoreReader) -> str:
    return f"{reader.elf.byte_order}u{reader.pointer_size}"


def _pointers(words: NDArray[np.unsignedinteger]) -> tuple[list[int], list[int]] | None:
    """Return argument and environment pointers, given the stack up to the auxiliary vector; None if they are not there.

    Programs may have set pointers to 0, so that the arguments begin where the word before so many is their number.
    """
    zeros = np.flatnonzero(words == 0)
    if not len(zeros) or zeros[-1] != len(words) - 1:
        return None
    for end in zeros[-2::-1].tolist():  # before the environment's final 0 is the arguments'
        counts = words[:end][::-1]
        fits = np.flatnonzero(counts[1:] == np.arange(1, len(counts), dtype=counts.dtype))
        if len(fits):
            count = int(fits[0]) + 1
            return words[end - count : end].tolist(), words[end + 1 : -1].tolist()
    return None


def _split(strings: bytes, environment: int) -> StartArguments:
    """Split the strings where the environment began, as `/proc/PID/cmdline` and `environ` do.

    Linux takes arguments whose last byte is not 0 for a title that the program has written over them (`setproctitle`):
    it then goes on into the environment, up to its first 0.
    """
    own, rest = strings[:environment], strings[environment:]
    rewritten = bool(own) and (own[-1] != 0 or (not own.rstrip(b"\0").count(b"\0") and own.endswith(b"\0\0")))
    if own and own[-1] != 0:
        own = strings[: strings.find(b"\0")] if b"\0" in strings else strings
        rest = strings[max(len(own), environment) :]
    arguments = own.split(b"\0")
    while arguments and not arguments[-1]:
        arguments.pop()
    entries = [entry for entry in rest.split(b"\0") if entry]
    kept = tuple(decode_utf8(entry) for entry in entries if b"=" in entry)
    return StartArguments(
        arguments=tuple(map(decode_utf8, arguments)) if own else None,
        environment=kept,
        rewritten=rewritten or len(kept) < len(entries) or (not entries and bool(rest)),
    )
