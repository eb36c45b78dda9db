"""A minidump as a dump of one process: what its streams and memory tell of it, put together."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from dumpscan.memory.dump import the_one_process
from dumpscan.memory.minidump.process import describe_process
from dumpscan.memory.minidump.reader import MinidumpReader
from dumpscan.memory.minidump.summary import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.findings import Process


class Minidump(MinidumpReader):
    """A minidump file (a `dumpscan.memory.dump.ProcessDump`), with all that `MinidumpReader` has."""

    kind = "minidump"
    format = "minidump"
    warnings: tuple[str, ...] = ()

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
