"""What a stream can show: how wide it is, and whether it takes colours.

The environment has its say as users expect it: `NO_COLOR` (https://no-color.org), `CLICOLOR` and `CLICOLOR_FORCE`
(https://bixense.com/clicolors), `FORCE_COLOR` (https://force-color.org). To force colours makes no terminal of a pipe:
it has no width.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from typing import TYPE_CHECKING

from dumpscan.output.text import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


def terminal_width(stream: TextIO) -> int | None:
    """Return how many cells are in a line of a terminal; None if the stream is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def takes_colours(stream: TextIO) -> bool:
    """Say whether to write colours to a stream."""
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") not in {"", "0"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and os.environ.get("CLICOLOR") != "0" and os.environ.get("TERM") not in {"dumb", "unknown"}


def fitted(line: str, width: int | None) -> list[str]:
    """Return a line in which two blanks separate parts as lines of a width; a longer part is folded between words.

    Args:
        line: The line, perhaps indented.
        width: Characters across; None for no limit.
    """
    if width is None or len(line) <= width:
        return [line]
    first, *parts = line.lstrip().split("  ")
    indent = " " * (len(line) - len(line.lstrip()))
    lines = [indent + first]
    for part in parts:
        if len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] += f"  {part}"
        else:
            lines.append(f"{indent}    {part}")
    return [each for line in lines for each in (_wrapped(line, width) if len(line) > width else [line])]


def _wrapped(line: str, width: int) -> list[str]:
    """Fold a line between words, which stay whole: a path can be copied."""
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def write_lines(stream: TextIO, lines: Iterable[str]) -> None:
    """Write lines, fitted to the stream where it is a terminal.

    Raises:
        OSError: The stream cannot take them.
    """
    width = terminal_width(stream)
    for line in lines:
        write_text(stream, "".join(f"{part}\n" for part in fitted(line, width)))
