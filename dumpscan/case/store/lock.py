"""The lock that lets one process at a time write to a case.

The operating system locks a file beside the case file, and unlocks it when the process ends, however it ends. SQLite's
own locks are on the case file itself, and closing any descriptor of that file would drop them. The text of the lock
file only says who holds the lock. Its name follows from the case's path without links, so that two names of one case
share one lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dumpscan.case.records import CaseError
from dumpscan.exceptions import reason

if os.name == "nt":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENDING = ".dumpscan-lock"
_PURPOSE = "dumpscan is writing to the case beside this file"
"""Marks the text of a lock file. A file with any other text is neither overwritten nor deleted."""
_MAX_TEXT = 4096
_LOCKED_BYTE = 1 << 30
"""The byte that is locked on Windows, where nobody else can read locked bytes: it lies far behind the text."""
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class CaseLock:
    """A lock, held from its creation until it is released or the process ends.

    Args:
        case: The case file, by the name that `database.resolve` returns.

    Attributes:
        path: The lock file.

    Raises:
        CaseError: Another process holds the lock, the file cannot be created, or it is not a lock file.
    """

    def __init__(self, case: Path) -> None:
        self.path = case.with_name(case.name + ENDING)
        while True:
            try:
                if self.path.is_symlink():  # for systems without O_NOFOLLOW
                    raise CaseError(f"{case}: cannot be locked: {self.path}: is a link")
                self._descriptor = os.open(self.path, _FLAGS, 0o600)
            except (OSError, ValueError) as error:
                raise CaseError(f"{case}: cannot be locked: {self.path}: {reason(error)}") from error
            try:
                self._take(case)
                if self._is_there():
                    self._text = self._sign()
                    return
            except BaseException:
                os.close(self._descriptor)
                raise
            os.close(self._descriptor)  # its last holder has just removed it

    def _take(self, case: Path) -> None:
        """Lock the file.

        Raises:
            CaseError: Another process has locked it, or it is not a lock file.
        """
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise CaseError(f"{case}: cannot be locked: {self.path}: expected a regular file with one name")
        try:
            _lock(self._descriptor)
        except OSError as error:
            holder = _holder(self._descriptor)
            raise CaseError(f"{case}: another run is writing to this case: {holder}") from error
        text = _text(self._descriptor)
        if text and not _is_lock(text):
            raise CaseError(f"{case}: cannot be locked: {self.path}: is not a lock, and is left as it is")

    def _is_there(self) -> bool:
        """Return whether the locked file is the one that others would lock."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.lstat())
        except OSError:
            return False

    def _sign(self) -> bytes:
        """Write who holds the lock, and return that text."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({"purpose": _PURPOSE, "pid": os.getpid(), "host": socket.gethostname(), "since": since})
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text.encode())
        return text.encode()

    def release(self) -> None:
        """Release the lock."""
        if self._is_there() and _text(self._descriptor) == self._text:
            with contextlib.suppress(OSError):  # Windows does not remove open files; it remains there
                self.path.unlink()
        os.close(self._descriptor)


def _lock(descriptor: int) -> None:
    if os.name == "nt":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _text(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, _MAX_TEXT)


def _is_lock(text: bytes) -> bool:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("purpose") == _PURPOSE


def _holder(descriptor: int) -> str:
    """Return what the lock file says about the holder."""
    try:
        said: Mapping[str, object] = json.loads(_text(descriptor))
        return f"process {int(str(said['pid']))} on {said['host']}, since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "it does not say which"
