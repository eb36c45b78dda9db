"""An ELF core as a dump of one process."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dumpscan.exceptions import InputError
from dumpscan.memory.core.process import describe_process
from dumpscan.memory.core.reader import CoreReader
from dumpscan.memory.core.summary import describe
from dumpscan.memory.dump import the_one_process
from dumpscan.memory.regions import ADDRESS_LIMIT
from dumpscan.model.c_elf import PF_W

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dumpscan.findings import Process
    from dumpscan.memory.dump import Overlay


class Core(CoreReader):
    """The core of a Linux process (a `dumpscan.memory.dump.ProcessDump`), with all that `CoreReader` has.

    Raises:
        InputError: As for `CoreReader`; also for the core of another operating system.
    """

    kind = "core"
    format = "ELF process core"
    overlays: tuple[Overlay, ...] = ()
    captured = None
    """A core does not say when it was made."""

    def __init__(self, path: Path | str, *, sysroot: Path | None = None) -> None:
        super().__init__(path, sysroot=sysroot)
        if system := self.elf.foreign_system():
            self.close()
            raise InputError(self.path, f"is a process core of {system}; only those of Linux are read", offset=0)

    @cached_property
    def process(self) -> Process:
        """The process, as far as the core knows it; its notes say what is missing."""
        return describe_process(self, self.modules)

    @property
    def module_names(self) -> list[str]:
        """Paths of the files that are mapped as programs and libraries."""
        return [module.path for module in self.modules]

    @property
    def read_only_files(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Ranges of files that the process could only read (see `ProcessDump`), as its segments and notes say."""
        loads = self.elf.loads
        begins = loads["p_vaddr"].astype(np.uint64)
        ends = begins + np.minimum(loads["p_memsz"].astype(np.uint64), np.uint64(ADDRESS_LIMIT) - begins)
        if not (loads["p_flags"] & PF_W).any():  # what wrote the core did not tell
            return begins[:0], ends[:0]
        owners = [self.mapping_at(address) for address in begins.tolist()]
        last = np.array([owner.end if owner is not None else 0 for owner in owners], np.uint64)
        ends = np.minimum(ends, last)
        kept = (loads["p_flags"] & PF_W == 0) & (ends > begins)
        return begins[kept], ends[kept]

    def processes(
        self,
        *,
        pids: Sequence[int] = (),
        names: Sequence[str] = (),
        environment: bool = True,  # noqa: ARG002 - it is read anyway
    ) -> tuple[Process, ...]:
        """Return the one process (see `Dump`)."""
        return the_one_process(self.path, self.process, pids, names)

    def describe(self) -> dict[str, object]:
        """Return what the core says of itself (see `dumpscan.memory.core.summary`)."""
        return describe(self, self.process, self.modules)
