"""Ctrl-C while the command line is still being imported."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from dumpscan.cli import main

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "dumpscan.cli.app":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
main()
"""


def test_it_ends_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
