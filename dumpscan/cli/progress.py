"""A progress bar with a true percentage, on standard error, for whatever takes longer than a moment."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

DELAY = 1.0
"""Seconds before a bar appears: what is done sooner needs none."""


class ProgressBar:
    """Counts bytes done against bytes in all; draws nothing unless standard error is a terminal and time has passed."""

    def __init__(self, label: str, total: int, *, enabled: bool) -> None:
        self._label = label
        self._total = total
        self._enabled = enabled and total > 0 and sys.stderr.isatty()
        self._started = time.monotonic()
        self._done = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Start the clock."""
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, size: int) -> None:
        """Count `size` further bytes as done."""
        self._done += size
        if not self._enabled:
            return
        if self._bar is None or self._task is None:
            if time.monotonic() - self._started < DELAY:
                return
            self._bar, self._task = self._draw()
        self._bar.update(self._task, completed=self._done)

    def _draw(self) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%", markup=False),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        bar.start()
        return bar, bar.add_task(self._label, total=self._total, completed=self._done)
