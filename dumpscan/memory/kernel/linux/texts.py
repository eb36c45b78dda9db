"""Command lines and environments of processes, out of their own memory, as `/proc/PID` shows them.

Source: Linux `fs/proc/base.c` (get_mm_cmdline, get_mm_proctitle, environ_read). A program may write a title over its
arguments and on into its environment, as nginx and sshd do: if the last byte of the arguments is not NUL, the title is
what comes before the first NUL, up to a page.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dumpscan.memory.records import decode_utf8
from dumpscan.model.windows.c_paging import PAGE_SIZE

if TYPE_CHECKING:
    from dumpscan.findings import Process
    from dumpscan.memory.kernel.budget import TextBudget, TextBudgets
    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.entries import UserMemory
    from dumpscan.memory.kernel.linux.symbols.types import KernelTypes

MAX_TEXT = 8 << 20
"""Bytes of one command line or environment: four times ARG_MAX with the usual stack of 8 MiB."""
_USER_END = 1 << 56


@dataclass(frozen=True, slots=True)
class _Area:
    """Where a text lies in a process's memory."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start if 0 < self.start <= self.end < _USER_END else 0


class TextReader:
    """Reads the texts of one process.

    Args:
        kernel: The kernel's memory.
        types: Its types.
        space: Address of the process's `mm_struct`.
        user: The process's own memory.
        budgets: Limits on the text of all processes together.

    Attributes:
        notes: What is missing, a sentence each.
    """

    def __init__(
        self, kernel: KernelMemory, types: KernelTypes, space: int, user: UserMemory, budgets: TextBudgets
    ) -> None:
        self._user = user
        self._budgets = budgets
        self.notes: list[str] = []

        def area(name: str) -> _Area:
            first, past = (types.offset(f"mm_struct.{name}_{end}") for end in ("start", "end"))
            return _Area(kernel.number(space + first), kernel.number(space + past))

        self._arguments, self._environment = area("arg"), area("env")

    def add_to(self, process: Process, *, environment: bool) -> Process:
        """Return a process with its command line, and its environment if wanted."""
        arguments = self._strings(self.command_line())
        entries = self._strings(self.environment()) if environment else ()
        return replace(
            process,
            arguments=arguments,
            command_line=None if arguments is None else " ".join(arguments),
            environment=entries or (),
            notes=(*process.notes, *self.notes),
        )

    @staticmethod
    def _strings(data: bytes | None) -> tuple[str, ...] | None:
        """Split a text at its NULs; the last one ends the last string."""
        if data is None:
            return None
        return tuple(decode_utf8(part) for part in data.removesuffix(b"\0").split(b"\0")) if data else ()

    def command_line(self) -> bytes | None:
        """Return the bytes of `/proc/PID/cmdline`; None if the image does not hold any of them."""
        area = self._arguments
        if not area.size:
            return b""
        last = self._user.read(area.end - 1, 1)
        follows = area.end == self._environment.start <= self._environment.end
        if last in {b"", b"\0"} or not follows:
            return self._read(area, "command line", self._budgets.command_lines)
        whole = _Area(area.start, min(self._environment.end, area.start + PAGE_SIZE))
        title = self._read(whole, "command line", self._budgets.command_lines) or b""
        end = title.find(b"\0")
        return title if end < 0 else title[: end + 1]

    def environment(self) -> bytes | None:
        """Return the bytes of `/proc/PID/environ`; None if the image does not hold any of them."""
        return self._read(self._environment, "environment", self._budgets.environments)

    def _read(self, area: _Area, what: str, budget: TextBudget) -> bytes | None:
        wanted = min(area.size, MAX_TEXT)
        size = min(wanted, budget.left)
        if size < wanted:
            budget.cut += 1
            self.notes.append(f"partial: of the {what}, {size} bytes are read: those of all processes are too large")
        if area.size > wanted:
            self.notes.append(f"partial: the {what} of {area.size} bytes is read only as far as {wanted}")
        swapped = self._user.swapped
        data = self._user.read(area.start, size)
        budget.spend(len(data))
        if len(data) < size:
            held = f"the image holds {len(data)} of {size} bytes" if data else "the image holds nothing"
            why = "; the rest was swapped out" if self._user.swapped > swapped else ""
            self.notes.append(f"partial: of the {what} at {area.start:#x}, {held}{why}")
        return data if data or not size else None
