"""Floor 6: arguments in, exit codes out. Thin: everything heavy is imported by the command that needs it."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import signal
import sys

_INTERRUPTED = 130
"""As in `dumpscan.cli.messages`, which may not have been imported yet."""
_COLLECT_AFTER = 50_000
"""Objects made before the garbage collector looks for cycles: imports make that many, all of which stay."""


def main() -> None:
    """Run the command line and exit with a documented code; no input makes it end in a traceback."""
    _collect_less()
    _replace_closed_streams()
    try:
        from dumpscan.cli.app import run

        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see `dumpscan.__init__`
            signal.signal(signal.SIGINT, signal.default_int_handler)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    run()


class _Closed(io.TextIOBase):
    """Stands for a standard output that is closed (`>&-`), for which Python has None: to write to it fails."""

    def write(self, _text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _replace_closed_streams() -> None:
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the process lives


def _collect_less() -> None:
    """Spare a short command a fifth of its time: collections while it starts, and of everything when it ends."""
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)  # the process gives all of its memory back at once
