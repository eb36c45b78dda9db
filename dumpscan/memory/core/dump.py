"""An ELF core as a dump of one process."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from dumpscan.exceptions import InputError
from dumpscan.memory.core.process import describe_process
from dumpscan.memory.core.reader import CoreReader
from dumpscan.memory.core.summary import describe
from dumpscan.memory.dump import the_one_process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
