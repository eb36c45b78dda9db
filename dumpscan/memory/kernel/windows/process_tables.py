"""Which processes have page tables that can be walked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.physical.page_tables import entry_frame
from dumpscan.model.windows.c_paging import ENTRIES_PER_TABLE, KERNEL_HALF, LARGE, VALID, is_present

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.memory.kernel.profile import ListedProcess
    from dumpscan.memory.physical.image import PhysicalImage


def with_tables(
    image: PhysicalImage, entries: Sequence[ListedProcess], kernel_root: int, problems: list[str]
) -> Iterator[tuple[ListedProcess, int]]:
    """Choose the processes whose page tables can be walked.

    Every top-level table of Windows shares the kernel's half with the kernel's own table. A page that does not has most
    likely been reused: for a process that has ended, it is skipped; for a running process, it is believed if all of its
    entries lead into the image. If an ended and a running process name the same table, it belongs to the running one.

    Args:
        image: Physical memory.
        entries: Processes.
        kernel_root: Frame of the kernel's own top-level table.
        problems: What is wrong with the tables of running processes is appended here.

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
            continue  # reported when the processes were listed
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
    """Return the present entries of a top-level table's two halves, or None if the image lacks the table."""
    frame = np.array([root], np.int64)
    if not image.present(frame)[0]:
        return None
    entries = image.tables(frame)[0].tolist()
    user, kernel = entries[:KERNEL_HALF], entries[KERNEL_HALF:ENTRIES_PER_TABLE]
    return [entry for entry in user if is_present(entry)], [entry for entry in kernel if is_present(entry)]


def _leads_into(image: PhysicalImage, entries: list[int]) -> bool:
    """Return whether entries of a top-level table are all possible ones and lead to tables in the image."""
    frames = np.array([entry_frame(entry) for entry in entries], np.int64)
    return bool(image.present(frames).all()) and not any(entry & VALID and entry & LARGE for entry in entries)
