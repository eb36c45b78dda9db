"""Temporary directories. If a process is killed, the next one removes its directories.

Each directory is locked while its process lives; the system releases the lock when the process ends, however it ends.
So a directory that another process can lock has been abandoned. Unlike a process id, this is true across containers and
machines that share a disk. Windows cannot lock directories; there none is removed.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if os.name != "nt":
    import fcntl

if TYPE_CHECKING:
    from types import TracebackType

_NAME = re.compile(r"dumpscan-[0-9]+-[a-z0-9_]{8}")
"""The names of locked directories: the id of the process, and random characters."""
_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_cleaned: set[Path] = set()


class ScratchDirectory:
    """A new directory that only its owner can enter; a context manager, which removes it with all its content.

    Args:
        parent: The directory to make it in; by default, the system's for temporary files.

    Attributes:
        path: The directory.
        name: Its path as text.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, parent: Path | str | None = None) -> None:
        where = Path(tempfile.gettempdir() if parent is None else parent)
        if where not in _cleaned:
            _cleaned.add(where)
            remove_abandoned(where)
        made = Path(tempfile.mkdtemp(prefix=".dumpscan-", dir=where))
        lock = _locked(made)
        self.path = made
        if lock is not None:
            # Other processes look at this name only, and a directory has it only while it is locked.
            self.path = made.rename(where / f"dumpscan-{os.getpid()}-{made.name[-8:]}")
        self.name = str(self.path)
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)

    def cleanup(self) -> None:
        """Remove it."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()


def remove_abandoned(parent: Path | str | None = None) -> None:
    """Remove the scratch directories that this user's processes have abandoned, as far as possible.

    Args:
        parent: As for `ScratchDirectory`.
    """
    with suppress(OSError), os.scandir(tempfile.gettempdir() if parent is None else parent) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and _is_own(entry):
                path = Path(entry.path)
                lock = _locked(path)
                if lock is not None:
                    _remove(path, lock)


def _is_own(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    except OSError:
        return False


def _locked(path: Path) -> int | None:
    """Lock a directory, and return the descriptor that holds the lock; None if it cannot be locked."""
    if os.name == "nt":
        return None
    descriptor = None
    try:
        descriptor = os.open(path, _FLAGS)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


def _remove(path: Path, lock: int | None) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)
