"""Runs a command with as much memory as hostile input may take."""

from __future__ import annotations

import os
import subprocess
import sys

MEMORY = 2 << 30
"""Bytes of anonymous memory; a mapped file does not count."""


def _limit() -> None:
    import resource  # noqa: PLC0415 - not on Windows

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def dumpscan_limited(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run dumpscan in a process of its own; it must neither end in a traceback nor run out of memory."""
    command = [sys.executable, "-m", "dumpscan", *map(str, arguments)]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, preexec_fn=_limit)
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "MemoryError" not in done.stderr
    return done
