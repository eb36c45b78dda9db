"""A minidump as a dump of one process."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.memory.dump import the_one_process
from dumpscan.memory.minidump.overlays import find_overlays
from dumpscan.memory.minidump.process import describe_process
from dumpscan.memory.minidump.reader import MinidumpReader
from dumpscan.memory.minidump.streams import MemoryInfoList
from dumpscan.memory.minidump.summary import describe
from dumpscan.model.c_minidump import c_minidump

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from dumpscan.findings import Process
    from dumpscan.memory.minidump.overlays import Overlay


class Minidump(MinidumpReader):
    """A minidump file (a `dumpscan.memory.dump.ProcessDump`), with all that `MinidumpReader` has."""

    kind = "minidump"
    format = "minidump"

    @property
    def overlays(self) -> tuple[Overlay, ...]:
        """Further views of the memory, with the bytes of ranges that contradict others (see `ProcessDump`)."""
        return self._overlays[0]

    @property
    def module_names(self) -> list[str]:
        """Names of the modules and of the files with their symbols."""
        return [name for module in self.modules for name in (module.name, module.debug_file) if name]

    @property
    def read_only_files(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Ranges of files that the process could only read (see `ProcessDump`), as its MemoryInfoList says."""
        told = self.memory_info
        return told.read_only_files if isinstance(told, MemoryInfoList) else (np.zeros(0, np.uint64),) * 2

    @cached_property
    def _overlays(self) -> tuple[tuple[Overlay, ...], list[str], list[str]]:
        return find_overlays(self, self.ranges, header_size=c_minidump.MINIDUMP_HEADER.size)

    @property
    def searchable_bytes(self) -> int:
        """Bytes of the process's memory in the dump, including contradicting ranges."""
        return self.captured_bytes + sum(overlay.contradicting.total for overlay in self.overlays)

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged or was left out, a sentence each (see `MinidumpReader`)."""
        cut_short = (problem for overlay in self.overlays for problem in overlay.regions.problems)
        return tuple(dict.fromkeys((*super().damage, *self._overlays[2], *cut_short)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd and was put right, and whether ranges of memory contradict each other, a sentence each."""
        return (*self.oddities, *self._overlays[1])

    @property
    def captured(self) -> datetime | None:
        """When the dump was made, according to its header."""
        return self.written

    @cached_property
    def process(self) -> Process:
        """The process; its notes say what the dump does not hold."""
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
        """Describe the dump (see `dumpscan.memory.minidump.summary`)."""
        return describe(self, self.process)
