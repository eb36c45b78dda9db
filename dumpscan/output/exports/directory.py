"""A directory for secrets: files that only their owner can read, written whole or not at all, never over another.

Where the system allows (POSIX), every name is resolved relative to the opened directory and no symbolic link in it is
followed, so that nobody who can write there can turn a write elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING, Self

from dumpscan.exceptions import ExportError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

# What Windows lacks is 0 there, what POSIX lacks is 0 here.
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_BY_DESCRIPTOR = os.open in os.supports_dir_fd

NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
"""What a file system without hard links answers (FAT, some network and FUSE file systems)."""


class PrivateDirectory:
    """An output directory, opened; a context manager.

    Args:
        path: Made (with its parents) where it is not there. One that is there keeps its mode.

    Attributes:
        path: As given.
        warnings: Who else can read names in it, or replace files in it.

    Raises:
        ExportError: It cannot be made or opened, or is no directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._descriptor: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=DIRECTORY_MODE)
            if path.is_symlink() and path.lstat().st_uid != os.geteuid():
                raise ExportError(f"{path}: is a symbolic link that another user made")
            if _BY_DESCRIPTOR:
                self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_CLOEXEC", 0))
                self._judge(os.fstat(self._descriptor))
            elif not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except (OSError, ValueError) as error:
            raise ExportError(f"{path}: cannot be used as an output directory: {_reason(error)}") from error

    def __enter__(self) -> Self:
        """Return the directory itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a file's content; None if there is no such file.

        Raises:
            ExportError: It is a symbolic link or no ordinary file, has more than `limit` bytes, or cannot be read.
        """
        try:
            # Without O_NONBLOCK, opening a pipe that someone put there would wait for a writer.
            descriptor = os.open(self._at(name), os.O_RDONLY | _NOFOLLOW | _NONBLOCK, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = "is a symbolic link" if error.errno == errno.ELOOP else _reason(error)
            raise self._error(name, problem) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._error(name, "is not an ordinary file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise self._error(name, _reason(error)) from error
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
            temporary = self._write_temporary(content)
            try:
                return self._publish(temporary, name)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._at(temporary), dir_fd=self._descriptor)
        except OSError as error:
            raise self._error(name, f"could not be written: {_reason(error)}") from error

    def replace(self, name: str, content: bytes) -> None:
        """Write a file in the place of an earlier version of itself: there is always the one or the other, whole.

        Raises:
            ExportError: It could not be written.
        """
        try:
            temporary = self._write_temporary(content)
            try:
                self._rename(temporary, name)
            except BaseException:
                os.unlink(self._at(temporary), dir_fd=self._descriptor)
                raise
        except OSError as error:
            raise self._error(name, f"could not be written: {_reason(error)}") from error

    def _write_temporary(self, content: bytes) -> str:
        name = f".{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW
        descriptor = os.open(self._at(name), flags, FILE_MODE, dir_fd=self._descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:  # a full disk, an interrupt: nothing half-written stays
            os.unlink(self._at(name), dir_fd=self._descriptor)
            raise
        return name

    def _publish(self, temporary: str, name: str) -> bool:
        """Give a finished file its name, unless that is taken. A link, unlike a rename, never replaces anything."""
        try:
            os.link(
                self._at(temporary),
                self._at(name),
                src_dir_fd=self._descriptor,
                dst_dir_fd=self._descriptor,
                follow_symlinks=os.link not in os.supports_follow_symlinks,
            )
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return self._publish_without_links(temporary, name)
        return True

    def _publish_without_links(self, temporary: str, name: str) -> bool:
        """Reserve the name with an empty file that is certainly ours, then put the finished one in its place."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW
        try:
            os.close(os.open(self._at(name), flags, FILE_MODE, dir_fd=self._descriptor))
        except FileExistsError:
            return False
        try:
            self._rename(temporary, name)
        except BaseException:
            os.unlink(self._at(name), dir_fd=self._descriptor)
            raise
        return True

    def _rename(self, source: str, target: str) -> None:
        directory = self._descriptor
        os.replace(self._at(source), self._at(target), src_dir_fd=directory, dst_dir_fd=directory)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self.path / name)

    def _judge(self, status: os.stat_result) -> None:
        if status.st_uid != os.geteuid():
            self.warnings.append(f"{self.path} belongs to another user, who can replace what is exported there")
        elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            self.warnings.append(f"{self.path} was there already, and others can write to it (mode {_mode(status)})")
        elif status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            self.warnings.append(f"{self.path} was there already, and others can list it (mode {_mode(status)})")

    def _error(self, name: str, problem: str) -> ExportError:
        return ExportError(f"{self.path / name}: {problem}")


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
