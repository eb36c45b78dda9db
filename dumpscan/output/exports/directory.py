"""A directory for secrets: only their owner can read its files, which are written whole and never overwritten."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Self

from dumpscan.exceptions import ExportError, reason
from dumpscan.files import Directory, make_private

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType


class PrivateDirectory:
    """An opened output directory; a context manager.

    Args:
        path: Made (with its parents) if it does not exist. An existing directory keeps its mode.

    Attributes:
        path: As given.
        warnings: Who else can read names in it, or replace files in it.

    Raises:
        ExportError: It cannot be made or opened, or is no directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        try:
            make_private(path)
            if path.is_symlink() and path.lstat().st_uid != os.geteuid():
                raise ExportError(f"{path}: is a symbolic link that another user made")
            self._directory = Directory(path)
            if self._directory.descriptor is not None:
                self._judge(os.fstat(self._directory.descriptor))
        except (OSError, ValueError) as error:
            raise ExportError(f"{path}: cannot be used as an output directory: {reason(error)}") from error

    def __enter__(self) -> Self:
        """Return the directory itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._directory.__exit__(kind, value, trace)

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a file's content; None if there is no such file.

        Raises:
            ExportError: It is a symbolic link or no ordinary file, has more than `limit` bytes, or cannot be read.
        """
        try:
            descriptor = self._directory.open(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = "is a symbolic link" if error.errno == errno.ELOOP else reason(error)
            raise self._error(name, problem) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._error(name, "is not an ordinary file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise self._error(name, reason(error)) from error
        finally:
            os.close(descriptor)
        if len(content) > limit:
            raise self._error(name, f"is there, with more than {limit} bytes")
        return content

    def create(self, name: str, content: bytes) -> bool:
        """Write a new file, whole or not at all.

        Returns:
            False if something of that name is there already; it was not touched.

        Raises:
            ExportError: It could not be written.
        """
        try:
            self._write(name, content, replace=False)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._error(name, f"could not be written: {reason(error)}") from error
        return True

    def locked(self) -> AbstractContextManager[None]:
        """Keep other exports out for as long as the block lasts (see `dumpscan.files.Directory.locked`)."""
        return self._directory.locked()

    def replace(self, name: str, content: bytes) -> None:
        """Replace a file by a new version of itself: there is always one of both, whole.

        Raises:
            ExportError: It could not be written.
        """
        try:
            self._write(name, content, replace=True)
        except OSError as error:
            raise self._error(name, f"could not be written: {reason(error)}") from error

    def _write(self, name: str, content: bytes, *, replace: bool) -> None:
        with self._directory.write(name, replace=replace) as file:
            file.write(content)

    def _judge(self, status: os.stat_result) -> None:
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        if status.st_uid != os.geteuid():
            self.warnings.append(f"{self.path} belongs to another user, who can replace what is exported there")
        elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            self.warnings.append(f"{self.path} was there already, and others can write to it ({mode})")
        elif status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            self.warnings.append(f"{self.path} was there already, and others can list it ({mode})")

    def _error(self, name: str, problem: str) -> ExportError:
        return ExportError(f"{self.path / name}: {problem}")
