"""Limits on the text of all processes of an image together.

Each command line and environment has a limit of its own, but a thousand processes can map the same page a thousand
times each: a small image would become gigabytes of text.
"""

from __future__ import annotations

_AT_FIRST = 4 << 20
_IMAGE_PER_TEXT = 64
"""Bytes of text that all processes may have: so many, and a 64th of physical memory. A process takes a few MiB of
memory, its environment a few KiB."""


class TextBudget:
    """Bytes of one kind of text that may be read.

    Args:
        size: Bytes of physical memory in the image.

    Attributes:
        total: Bytes at the beginning.
        left: Bytes that may still be read.
        cut: Texts that were cut or left out for lack of them; whoever does so counts it here.
    """

    def __init__(self, size: int) -> None:
        self.total = self.left = _AT_FIRST + size // _IMAGE_PER_TEXT
        self.cut = 0

    def spend(self, size: int) -> None:
        """Charge for bytes that are read."""
        self.left -= size


class TextBudgets:
    """Limits for one listing of an image's processes.

    Args:
        size: Bytes of physical memory in the image.
    """

    def __init__(self, size: int) -> None:
        self.command_lines = TextBudget(size)
        self.environments = TextBudget(size)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out, a sentence each."""
        kinds = (("command lines", self.command_lines), ("environments", self.environments))
        return tuple(
            f"{budget.cut} {name} are cut or left out: together they are larger than {budget.total >> 20} MiB"
            for name, budget in kinds
            if budget.cut
        )
