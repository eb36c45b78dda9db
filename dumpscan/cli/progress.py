"""The one progress display, on standard error: what is being worked on, how much of it is done, the time left."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from dumpscan.output.text import printable

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

DELAY = 1.0
"""Seconds before the display of a single file appears: short scans show none."""


class ProgressBar:
    """Counts bytes done against bytes in all; writes nothing unless standard error is a terminal.

    Args:
        label: What is being worked on. It may hold anything that a file's name can; it is made printable.
        total: Bytes in all; None as long as that is not known.
        enabled: Whether the user wants a display.
        delay: Seconds before it appears; without a delay it is there from the beginning.
    """

    def __init__(self, label: str, total: int | None, *, enabled: bool, delay: float = DELAY) -> None:
        self._label = printable(label)
        self._total = total
        self._enabled = enabled and total != 0 and sys.stderr.isatty()
        self._delay = delay
        self._started = time.monotonic()
        self._done = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Start the clock."""
        self._started = time.monotonic()
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the display off the screen."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, size: int) -> None:
        """Count `size` further bytes as done."""
        self._done += size
        self._draw()

    def show(self, label: str, done: int, total: int) -> None:
        """Say anew what is being worked on, how many bytes of it are done, and how many there are."""
        self._label, self._done, self._total = printable(label), done, total
        self._draw()

    def _draw(self) -> None:
        if not self._enabled or time.monotonic() - self._started < self._delay:
            return
        if self._bar is None or self._task is None:
            self._bar = _new_bar()
            self._task = self._bar.add_task(self._label, total=self._total, completed=self._done)
            self._bar.start()
        self._bar.update(self._task, description=self._label, completed=self._done, total=self._total)


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, emoji=False, highlight=False),
        transient=True,
        redirect_stdout=False,  # results belong on standard output, also while the display is up
    )
