"""Which processes are meant by `--pid` and `--name`, and which of them have page tables that can be walked."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import NoSuchProcessError
from dumpscan.memory.dump import name_matches
from dumpscan.memory.physical.page_tables import entry_frame
from dumpscan.model.windows.c_paging import ENTRIES_PER_TABLE, KERNEL_HALF, LARGE, VALID, is_present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dumpscan.memory.kernel.windows.processes import ListedProcess
    from dumpscan.memory.physical.image import PhysicalImage

_NEAR = 5
_SHORT_NAME = 14
"""The kernel keeps so many characters of a name; what is as long as this may go on."""


def select(
    listed: Sequence[ListedProcess],
    pids: Sequence[int],
    names: Sequence[str],
    executable: Callable[[ListedProcess], str | None],
) -> list[ListedProcess]:
    """Choose processes by id and by name; by either, where both are given.

    Args:
        listed: All processes.
        pids: Ids.
        names: Patterns of shell style; case does not count.
        executable: Returns the path of a process's image, asked for where the kernel's name for it may be cut short.

    Raises:
        NoSuchProcessError: An id or a pattern fits no process.
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
    return bool(path) and name_matches(str(path).rpartition("\\")[2], pattern)


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


def with_tables(
    image: PhysicalImage, entries: Sequence[ListedProcess], kernel_root: int, problems: list[str]
) -> Iterator[tuple[ListedProcess, int]]:
    """Choose the processes whose page tables can be walked.

    Every top-level table of Windows has the kernel's half in common with the kernel's own. A page that does not has
    most likely been put to another use: that of a process which has ended is passed over, that of one which runs is
    believed if its entries all lead into the image. Where a process that has ended names the same table as one that
    runs, it is that one's.

    Args:
        image: Physical memory.
        entries: Processes.
        kernel_root: Frame of the kernel's own top-level table.
        problems: What is wrong with the table of a process that runs is appended here.

    Yields:
        A process and the frame of its table.
    """
    running = {entry.root for entry in entries if not entry.ended}
    _, kernel = _halves(image, kernel_root) or ([], [])
    for entry in entries:
        if entry.root is None or (entry.ended and entry.root in running):
            continue
        halves = _halves(image, entry.root)
        if halves is None:
            continue  # which the list of processes has told already
        if {entry_frame(number) for number in halves[1]} & {entry.root, *map(entry_frame, kernel)}:
            yield entry, entry.root
        elif not entry.ended:
            if _leads_into(image, halves[0]):
                yield entry, entry.root
                continue
            process = entry.process
            problems.append(
                f"process {process.pid} ({process.name}): what lies where its page tables were, at frame "
                f"{entry.root:#x}, is none: its memory is not known"
            )


def _halves(image: PhysicalImage, root: int) -> tuple[list[int], list[int]] | None:
    """Return the entries of a top-level table that lead anywhere, by halves; None if the image lacks the table."""
    frame = np.array([root], np.int64)
    if not image.present(frame)[0]:
        return None
    entries = image.tables(frame)[0].tolist()
    user, kernel = entries[:KERNEL_HALF], entries[KERNEL_HALF:ENTRIES_PER_TABLE]
    return [entry for entry in user if is_present(entry)], [entry for entry in kernel if is_present(entry)]


def _leads_into(image: PhysicalImage, entries: list[int]) -> bool:
    """Say whether entries of a top-level table are all such as there can be, and lead to tables in the image."""
    frames = np.array([entry_frame(entry) for entry in entries], np.int64)
    return bool(image.present(frames).all()) and not any(entry & VALID and entry & LARGE for entry in entries)
