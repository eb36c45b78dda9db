"""Floor 6: arguments in, exit codes out. Thin: everything heavy is imported by the command that needs it."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with a documented code; no input makes it end in a traceback."""
    from dumpscan.cli.app import run

    run()
