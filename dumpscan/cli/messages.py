"""What is said on standard error, and the exit codes."""

from __future__ import annotations

import sys

from dumpscan.output.text import printable, write_text

EXIT_DONE = 0
EXIT_UNREADABLE = 1
EXIT_USAGE = 2
EXIT_DAMAGED = 3
EXIT_GATE = 4
EXIT_NOT_FOUND = 5
EXIT_INTERRUPTED = 130
"""As shells have it for a command ended by SIGINT."""


def complain(message: str, *, level: str = "error") -> None:
    """Say one thing on standard error, on one line, with nothing in it that could steer a terminal."""
    write_text(sys.stderr, f"dumpscan: {level}: {printable(message)}\n")
    sys.stderr.flush()
