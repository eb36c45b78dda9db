"""Environments by their shape: texts `NAME=value` in a row, each with a zero behind it, in ASCII and UTF-16.

The block that a process was given is read as its dump tells. Programs move it (nginx, sshd and others do, to write a
title over it), copy it, and leave copies of it behind; a row of such texts that has a name in it which nearly every
environment has is taken for one.

Source: environ(7); Windows, CreateProcess, lpEnvironment.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from dumpscan.memory.records import decode_utf8, decode_utf16
from dumpscan.redact.copies.search import matches
from dumpscan.redact.shapes.credentials import text_signature
from dumpscan.scan.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.scan.signature import Signature

MIN_ENTRIES = 3
"""Texts of the shortest row that is taken for an environment."""
MAX_VALUE = 32 << 10
"""Characters of the longest value."""
MAX_FOUND = 100_000
"""Entries taken from one file, and openings of rows looked at."""
_POSIX = ("PATH=", "HOME=", "PWD=", "LANG=", "SHLVL=", "USER=", "SHELL=", "TERM=", "LOGNAME=", "HOSTNAME=")
_WINDOWS = ("SystemRoot=", "SystemDrive=", "TEMP=", "ComSpec=", "windir=", "PATHEXT=", "USERNAME=")
_ENTRY = re.compile(rb"[A-Za-z_][\w().-]{0,127}=[^\0]{0,%d}\0" % MAX_VALUE)
_WIDE_ENTRY = re.compile(rb"[A-Za-z_]\0(?:[\w().-]\0){0,127}=\0(?:[^\0]\0|.[^\0]){0,%d}\0\0" % MAX_VALUE, re.DOTALL)
_STEPS = (256, 2 << 10, 2 * MAX_VALUE)
"""Bytes in which the text before another one is looked for."""


def find_environments(data: memoryview, spans: Sequence[tuple[int, int]] | None = None) -> Iterator[str]:
    """Yield the entries, `NAME=value`, of what looks like environments in a file, each once.

    Args:
        data: The file.
        spans: Where they are looked for, as (offset, end); by default everywhere.
    """
    engine = _engine()
    found: set[str] = set()
    reached = {1: 0, 2: 0}
    looked_at = 0
    for number, start in matches(engine, data, spans):
        width = 2 if engine.signatures[number].name.endswith(_WIDE) else 1
        if start < reached[width]:
            continue
        looked_at += 1
        entries, reached[width] = _row(data, start + width, width)
        if len(entries) >= MIN_ENTRIES:
            yield from (entry for entry in entries if entry not in found)
            found.update(entries)
        if max(looked_at, len(found)) > MAX_FOUND:
            return


_WIDE = " (UTF-16)"


@cache
def _engine() -> Engine:
    return Engine(
        [
            *(_signature(name, wide=False) for name in _POSIX),
            *(_signature(name, wide=True) for name in (*_POSIX, *_WINDOWS)),
        ]
    )


def _signature(name: str, *, wide: bool) -> Signature:
    """Return the signature of a text with a zero before it; Windows does not tell upper case from lower."""
    return text_signature(name + (_WIDE if wide else ""), f"\0{name}", any_case=wide, wide=wide)


def _row(data: memoryview, start: int, width: int) -> tuple[list[str], int]:
    """Return the entries of the row of texts that has one at `start`, and where it ends."""
    pattern, decode = (_ENTRY, decode_utf8) if width == 1 else (_WIDE_ENTRY, decode_utf16)
    entries: list[str] = []
    end = start
    while len(entries) < MAX_FOUND and (match := pattern.match(data, end)):
        entries.append(decode(match[0][:-width]))
        end = match.end()
    begin = start
    while len(entries) < MAX_FOUND:
        before = _before(data, begin, width)
        match = pattern.fullmatch(data, before, begin) if before is not None else None
        if before is None or match is None:
            break
        entries.append(decode(match[0][:-width]))
        begin = before
    return entries, max(end, start + 1)


def _before(data: memoryview, begin: int, width: int) -> int | None:
    """Return where the text begins whose zero ends at `begin`; None if no zero is before it."""
    for step in _STEPS:
        first = max(begin - width - step * width, 0)
        first += (begin - first) % width
        some = bytes(data[first : begin - width])
        if width == 1:
            at = some.rfind(0)
        else:
            units = memoryview(some).cast("H").tolist()
            at = next((number for number in range(len(units) - 1, -1, -1) if not units[number]), -1)
        if at >= 0:
            return first + (at + 1) * width
        if not first:
            return None
    return None
