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

EXIT_CODES = {
    EXIT_DONE: "Done.",
    EXIT_UNREADABLE: "An input could not be read, or a result could not be written.",
    EXIT_USAGE: "The command line is wrong.",
    EXIT_DAMAGED: "Done, but an input is damaged: the results are partial.",
    EXIT_GATE: "`triage --fail-on` found something it must not, or `redact --verify` a secret.",
    EXIT_NOT_FOUND: "`find` found none of the keys.",
    EXIT_INTERRUPTED: "Interrupted.",
}
"""What they mean, for the help and the manual page."""


def complain(message: str, *, level: str = "error") -> None:
    """Say one thing on standard error, on one line, with nothing in it that could steer a terminal."""
    write_text(sys.stderr, f"dumpscan: {level}: {printable(message)}\n")
    sys.stderr.flush()
