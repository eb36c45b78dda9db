"""The one progress display, on standard error: what is being worked on, how much of it is done, the time left."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from dumpscan.output.labels import amount_label
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

_LAST = ", last checks"
"""Said when all bytes are read, and keys are still being compared: how long that takes is not known."""
DELAY = 0.5
"""Seconds before the display of a single file appears: short scans show none."""


class ProgressBar:
    """Counts bytes done against bytes in all; writes nothing unless standard error is a terminal.

    It appears by itself after the delay, also while nothing is counted yet.

    Args:
        label: What is being worked on. It may hold anything that a file's name can; it is made printable.
        total: Bytes in all; None as long as that is not known.
        enabled: Whether the user wants a display.
        delay: Seconds before it appears; without a delay it is there from the beginning.
    """

    def __init__(self, label: str, total: int | None, *, enabled: bool, delay: float = DELAY) -> None:
        self._label = printable(label)
        self._total = total
        self._passes = 1
        self._enabled = enabled and total != 0 and sys.stderr.isatty()
        self._delay = delay
        self._started = time.monotonic()
        self._done = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._read = False  # whether all bytes are read, as far as the display says
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        """Start the clock."""
        self._started = time.monotonic()
        if self._enabled and self._delay:
            self._timer = threading.Timer(self._delay, self._draw)
            self._timer.daemon = True
            self._timer.start()
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the display off the screen."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._enabled = False
            if self._bar is not None:
                self._bar.stop()

    @property
    def percent(self) -> int:
        """How much is done, in hundredths."""
        return 100 * self._done // self._total if self._total else 0

    def expect(self, total: int, *, passes: int = 1) -> None:
        """Say how many bytes there are in all; where they are read several times, that counts for each pass."""
        self._total, self._passes = total, max(passes, 1)
        self._draw()

    def advance(self, size: int) -> None:
        """Count `size` further bytes as done."""
        self._done += size
        self._draw()

    def show(self, label: str, done: int, total: int) -> None:
        """Say anew what is being worked on, how many bytes of it are done, and how many there are."""
        self._label, self._done, self._total = printable(label), done, total
        self._draw()

    def _draw(self) -> None:
        with self._lock:
            if not self._enabled or time.monotonic() - self._started < self._delay:
                return
            amount = "" if self._total is None else amount_label(self._done / self._passes, self._total / self._passes)
            read = bool(self._total) and self._done >= (self._total or 0)
            label, total = f"{self._label}{_LAST if read else ''}", None if read else self._total
            percent = 100 if read else min(99, round(100 * self._done / self._total)) if self._total else 0
            shown: dict[str, Any] = {"amount": amount, "percent": percent}
            if self._bar is None:
                self._bar = _new_bar()
                self._bar.start()
            if self._task is None or read is not self._read:  # a task's total cannot become unknown
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._read = read
                self._task = self._bar.add_task(label, total=total, completed=self._done, **shown)
            self._bar.update(self._task, description=label, completed=self._done, total=total, **shown)


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[percent]:>3}%", markup=False),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True, emoji=False, highlight=False),
        transient=True,
        redirect_stdout=False,  # results belong on standard output, also while the display is up
    )
