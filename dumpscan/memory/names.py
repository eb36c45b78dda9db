"""Which processes `--pid` and `--name` mean, the same for every kind of dump."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dumpscan.exceptions import NoSuchProcessError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dumpscan.findings import Process


def name_matches(name: str, pattern: str) -> bool:
    """Say whether a process's name matches a pattern of shell style (`*`, `?`, `[...]`); case does not count."""
    return fnmatchcase(name.lower(), pattern.lower())


def the_one_process(path: Path, process: Process, pids: Sequence[int], names: Sequence[str]) -> tuple[Process, ...]:
    """Return the process of a dump that has only one.

    Raises:
        NoSuchProcessError: The filters do not fit it.
    """
    chosen = process.pid in pids or any(name_matches(process.name or "", pattern) for pattern in names)
    if (pids or names) and not chosen:
        raise NoSuchProcessError(f"{path}: its process is {process.pid} ({process.name}), not the one asked for")
    return (process,)
