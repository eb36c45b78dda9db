"""Runs unmodified volatility3 as its own command line does, several plugins in one process of their own.

As a program: reads [[image, symbols directory, plugin and its options...], ...] from standard input and writes what
each plugin printed with `-r json`; an answer that is no list of rows is the message of a plugin that failed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Rows = list[dict[str, Any]]


def run_volatility(jobs: Sequence[Sequence[str | Path]]) -> list[Rows]:
    """Return the rows of each job.

    Raises:
        AssertionError: If a plugin failed.
    """
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, cache],
            input=json.dumps([[str(word) for word in job] for job in jobs]),
            capture_output=True,
            check=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
    answers: list[Rows] = json.loads(done.stdout)
    for job, answer in zip(jobs, answers, strict=True):
        assert isinstance(answer, list), f"{job}: {answer}"
    return answers


def flattened(rows: Rows) -> Iterator[dict[str, Any]]:
    """Yield the rows of a tree, each with the process id of the row above it as `above`."""
    waiting: list[tuple[int | None, dict[str, Any]]] = [(None, row) for row in reversed(rows)]
    while waiting:
        above, row = waiting.pop()
        yield {**row, "above": above}
        waiting += [(row["PID"], child) for child in reversed(row["__children"])]


def _answer(cache: str, image: str, symbols: str, plugin: Sequence[str]) -> Any:  # noqa: ANN401 -- rows or a message
    from volatility3.cli import CommandLine  # noqa: PLC0415 -- in the program alone

    common = ["-q", "-r", "json", "--offline", "--cache-path", cache, "-s", symbols, "-f", image]
    sys.argv = ["vol", *common, *plugin]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            CommandLine().run()
        except SystemExit as error:
            return f"{error.code}: {err.getvalue()[-2000:]}"
    return json.loads(out.getvalue())


if __name__ == "__main__":
    CACHE = sys.argv[1]
    ANSWERS = [_answer(CACHE, image, symbols, plugin) for image, symbols, *plugin in json.load(sys.stdin)]
    json.dump(ANSWERS, sys.stdout)
