"""Selects processes by id and by name, for `--pid` and `--name`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from dumpscan.exceptions import NoSuchProcessError
from dumpscan.memory.dump import name_matches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dumpscan.memory.kernel.profile import ListedProcess

_NEAR = 5
"""Processes that an error message suggests."""
_SHORT_NAME = 14
"""Windows keeps 14 characters of a process's name, Linux 15. A name that long may be cut short."""


def select(
    listed: Sequence[ListedProcess],
    pids: Sequence[int],
    names: Sequence[str],
    executable: Callable[[ListedProcess], str | None],
) -> list[ListedProcess]:
    """Return the processes that have one of some ids or match one of some names; all, if neither is given.

    Args:
        listed: All processes.
        pids: Ids.
        names: Shell patterns; case does not count.
        executable: Returns the path of a process's image; called if the kernel's name for the process may be cut short.

    Raises:
        NoSuchProcessError: No process has one of the ids, or matches one of the patterns.
    """
    if not pids and not names:
        return list(listed)
    known = {entry.process.pid for entry in listed}
    for pid in pids:
        if pid not in known:
            raise NoSuchProcessError(f"no process has the id {pid}; {_near_ids(listed, pid)}")
    chosen: set[int] = {number for number, entry in enumerate(listed) if entry.process.pid in set(pids)}
    for pattern in names:
        fits = {number for number, entry in enumerate(listed) if _fits(entry, pattern, executable)}
        if not fits:
            raise NoSuchProcessError(f"no process has a name like {pattern!r}; {_near_names(listed, pattern)}")
        chosen |= fits
    return [listed[number] for number in sorted(chosen)]


def _fits(entry: ListedProcess, pattern: str, executable: Callable[[ListedProcess], str | None]) -> bool:
    name = entry.process.name or ""
    if name_matches(name, pattern):
        return True
    if len(name) < _SHORT_NAME:
        return False
    path = executable(entry)
    return bool(path) and name_matches(str(path).replace("\\", "/").rpartition("/")[2], pattern)


def _near_ids(listed: Sequence[ListedProcess], pid: int) -> str:
    entries = [entry for entry in listed if entry.process.pid is not None]
    entries.sort(key=lambda entry: (abs((entry.process.pid or 0) - pid), entry.process.pid or 0))
    near = ", ".join(f"{entry.process.pid} ({entry.process.name})" for entry in entries[:_NEAR])
    return f"near it are: {near}" if near else "there are no processes at all"


def _near_names(listed: Sequence[ListedProcess], pattern: str) -> str:
    names = {(entry.process.name or "").lower(): entry.process.name or "" for entry in listed}
    plain = pattern.lower().strip("*?")
    near = difflib.get_close_matches(plain, names, n=_NEAR, cutoff=0.5) or sorted(names)[:_NEAR]
    return f"near it are: {', '.join(names[name] for name in near)}" if near else "there are no processes at all"
