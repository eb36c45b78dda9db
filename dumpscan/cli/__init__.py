"""Floor 6: arguments in, exit codes out. Thin: everything heavy is imported by the command that needs it."""

from __future__ import annotations

import signal
import sys

_INTERRUPTED = 130
"""As in `dumpscan.cli.messages`, which may not have been imported yet."""


def main() -> None:
    """Run the command line and exit with a documented code; no input makes it end in a traceback."""
    try:
        from dumpscan.cli.app import run

        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see `dumpscan.__init__`
            signal.signal(signal.SIGINT, signal.default_int_handler)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    run()
