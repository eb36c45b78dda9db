"""Who writes to a case: one process at a time, known by name, and forgotten by the system when it dies.

The lock is the operating system's, on a file beside the case file: SQLite's own locks lie on the case file itself, and
closing any descriptor of that would drop them. The file's text only says who holds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
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

_SAID = 4096
_LOCKED_BYTE = 1 << 30
"""Windows keeps others from reading what is locked, so a byte far behind the text is."""


class CaseLock:
    """Held from its making to its release, or to the process's death.

    Args:
        case: The case file.

    Attributes:
        path: The lock's file.

    Raises:
        CaseError: Somebody else holds it, or it cannot be made.
    """

    def __init__(self, case: Path) -> None:
        self.path = case.with_name(f"{case.name}.lock")
        while True:
            try:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            except (OSError, ValueError) as error:
                raise CaseError(f"{case}: the case file cannot be locked: {reason(error)}") from error
            try:
                _lock(self._descriptor)
            except OSError as error:
                holder = _holder(self._descriptor)
                os.close(self._descriptor)
                raise CaseError(f"{case}: another run is writing to this case: {holder}") from error
            if self._is_there():
                break
            os.close(self._descriptor)  # its holder removed it just now
        said = json.dumps(
            {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        )
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, said.encode())

    def _is_there(self) -> bool:
        """Whether the file that is locked is the one that others will try to lock."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Let others write."""
        with contextlib.suppress(OSError):  # Windows removes no file that is open; there it stays
            self.path.unlink()
        os.close(self._descriptor)


def _lock(descriptor: int) -> None:
    if os.name == "nt":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(descriptor: int) -> str:
    """Say who holds the lock, in the holder's own words."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        said: Mapping[str, object] = json.loads(os.read(descriptor, _SAID))
        return f"process {int(str(said['pid']))} on {said['host']}, since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it does not say which"
