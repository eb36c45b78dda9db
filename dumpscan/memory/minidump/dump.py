"""A minidump as a dump of one process: what its streams and memory tell of it, put together."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from dumpscan.memory.dump import the_one_process
from dumpscan.memory.minidump.overlays import find_overlays
from dumpscan.memory.minidump.process import describe_process
from dumpscan.memory.minidump.reader import MinidumpReader
from dumpscan.memory.minidump.summary import describe
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.findings import Process
    from dumpscan.memory.minidump.overlays import Overlay


class Minidump(MinidumpReader):
    """A minidump file (a `dumpscan.memory.dump.ProcessDump`), with all that `MinidumpReader` has."""

    kind = "minidump"
    format = "minidump"

    @property
    def overlays(self) -> tuple[Overlay, ...]:
        """The memory once more, with the bytes of ranges that contradict others (see `ProcessDump`)."""
        return self._overlays[0]

    @cached_property
    def _overlays(self) -> tuple[tuple[Overlay, ...], list[str]]:
        return find_overlays(self, self.ranges, header_size=c_minidump.MINIDUMP_HEADER.size)

    @property
    def searchable_bytes(self) -> int:
        """Bytes of the process' memory in the dump, those of contradicting ranges too."""
        return self.captured_bytes + sum(overlay.contradicting.total for overlay in self.overlays)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd and was put right, a sentence each, and that ranges of memory contradict each other."""
        return (*self.oddities, *self._overlays[1])

    @cached_property
    def process(self) -> Process:
        """The process, as far as the dump knows it; its notes say what is missing."""
        return describe_process(self)

    def processes(
        self,
        *,
        pids: Sequence[int] = (),
        names: Sequence[str] = (),
        environment: bool = True,  # noqa: ARG002 - it is read anyway
    ) -> tuple[Process, ...]:
        """Return the one process (see `Dump`).

        Raises:
            NoSuchProcessError: The filters do not fit it.
        """
        return the_one_process(self.path, self.process, pids, names)

    def describe(self) -> dict[str, object]:
        """Return what the dump says of itself (see `dumpscan.memory.minidump.summary`)."""
        return describe(self, self.process)
