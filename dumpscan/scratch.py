"""Temporary directories. What a killed process leaves behind is removed by the next one.

A directory is locked for as long as its process lives: the system drops the lock when the process dies, however that
happens. A directory that can be locked by somebody else was therefore abandoned. This holds across containers and
machines that share a disk, where process ids say nothing. Windows cannot lock directories; there none is removed.
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
"""What only a locked directory is called: the id of its process, and something random."""
_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_cleaned: set[Path] = set()


class ScratchDirectory:
    """A new directory, for its owner only; a context manager. It is removed with all that is in it.

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
            # Only now does it get a name that others look for.
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
    """Remove the scratch directories of dead processes of this user. What cannot be removed stays.

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
    """Return the descriptor that holds a directory's lock; None if somebody else does, or if it cannot be locked."""
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
