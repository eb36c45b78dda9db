"""The one way to write a file: whole or not at all, and over another only if the caller says so.

A file is written under a hidden name beside its target, and gets its own name when it is complete and on the disk.
Where the system allows (POSIX), every name is resolved relative to the opened directory and no symbolic link in it is
followed, so that nobody who can write there can turn a write elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Self

from dumpscan.exceptions import ExportError, reason

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType
    from typing import TextIO

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""

PRIVATE_DIRECTORY = 0o700
"""Mode of a directory that only its owner may list."""

PUBLIC = 0o666
"""Mode of an ordinary file, before the process's mask."""

# What Windows lacks is 0 there, what POSIX lacks is 0 here.
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS
# Files can be written into a directory that cannot be listed.
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_BY_DESCRIPTOR = os.open in os.supports_dir_fd

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
"""Errors of file systems without hard links (FAT, some network and FUSE file systems)."""

_NO_NAMELESS = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.EISDIR, errno.ENOENT, errno.EINVAL}
"""Errors of systems and file systems without nameless files (`open(2)`, O_TMPFILE)."""


class Staged(NamedTuple):
    """A file that has not got its name yet.

    Attributes:
        descriptor: Of the file, for reading and writing.
        path: Leads to it, as long as it is open.
    """

    descriptor: int
    path: Path


class Directory:
    """An opened directory; a context manager. All names are those of files directly in it.

    Every method raises OSError for what the system refuses, and ValueError for a name that contains a NUL.

    Attributes:
        path: As given.
        descriptor: Of the directory; None on systems that cannot open one, where paths are used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor: int | None = None
        if _BY_DESCRIPTOR:
            self.descriptor = os.open(path, _DIRECTORY)
        elif not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def __enter__(self) -> Self:
        """Return the directory itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def status(self, name: str) -> os.stat_result | None:
        """Return what there is of that name, a symbolic link as such; None if there is nothing."""
        try:
            return os.lstat(self._at(name), dir_fd=self.descriptor)
        except FileNotFoundError:
            return None

    def open(self, name: str) -> int:
        """Open a file for reading, but no symbolic link, and without waiting for the writer of a pipe."""
        return os.open(self._at(name), os.O_RDONLY | _FLAGS | _NONBLOCK, dir_fd=self.descriptor)

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Keep others out who lock the directory too, for as long as the block lasts.

        On systems without advisory locks, and on file systems that refuse them, nobody is kept out.
        """
        descriptor = None
        if fcntl is not None and self.descriptor is not None:
            with contextlib.suppress(OSError):
                descriptor = os.open(".", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0), dir_fd=self.descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    @contextlib.contextmanager
    def write(self, name: str, *, replace: bool = False, mode: int = PRIVATE) -> Generator[IO[bytes]]:
        """Give a file to write to, which gets its name when the block ends without an error.

        Args:
            name: Its name.
            replace: Whether an earlier file of that name is replaced, or a symbolic link; never what a link leads to.
            mode: Its permissions. `PRIVATE` holds under any process mask, others are masked.

        Raises:
            FileExistsError: There is something of that name, and it is not to be replaced.
        """
        temporary = self._temporary()
        descriptor = os.open(self._at(temporary), _NEW, mode, dir_fd=self.descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if mode == PRIVATE and hasattr(os, "fchmod"):
                    os.fchmod(descriptor, mode)
                yield file
                file.flush()
                os.fsync(descriptor)
            (self._rename if replace else self._link)(temporary, name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._unlink(temporary)

    @contextlib.contextmanager
    def stage(self, name: str, *, replace: bool = False) -> Generator[Staged]:
        """Give a private file to write to and to read again, which gets its name when the block ends without an error.

        On Linux the file has no name until then: nothing is left of it, however the process ends.

        Args:
            name: Its name.
            replace: As for `write`.

        Raises:
            FileExistsError: There is something of that name, and it is not to be replaced.
        """
        descriptor = self._nameless()
        temporary = None if descriptor is not None else self._temporary()
        if temporary is not None:
            descriptor = os.open(self._at(temporary), _NEW, PRIVATE, dir_fd=self.descriptor)
        assert descriptor is not None  # noqa: S101 - for the type checker
        try:
            try:
                if hasattr(os, "fchmod"):
                    os.fchmod(descriptor, PRIVATE)
                yield Staged(descriptor, self.path / temporary if temporary else Path(f"/proc/self/fd/{descriptor}"))
                os.fsync(descriptor)
                if temporary is None and not replace:
                    os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=self.descriptor, follow_symlinks=True)
                    return
                if temporary is None:
                    temporary = self._temporary()
                    os.link(f"/proc/self/fd/{descriptor}", temporary, dst_dir_fd=self.descriptor, follow_symlinks=True)
            finally:
                os.close(descriptor)
            (self._rename if replace else self._link)(temporary, name)
        finally:
            if temporary is not None:
                with contextlib.suppress(FileNotFoundError):
                    self._unlink(temporary)

    def _nameless(self) -> int | None:
        """Open a new file without a name; None where there are no such files."""
        if self.descriptor is None or not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - a fixed name
            return None
        try:
            return os.open(".", os.O_TMPFILE | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), PRIVATE, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in _NO_NAMELESS:
                return None
            raise

    @staticmethod
    def _temporary() -> str:
        return f".{secrets.token_hex(8)}.part"

    def _link(self, source: str, target: str) -> None:
        """Give a finished file its name, unless that is taken. A link, unlike a rename, never replaces anything."""
        try:
            os.link(
                self._at(source),
                self._at(target),
                src_dir_fd=self.descriptor,
                dst_dir_fd=self.descriptor,
                follow_symlinks=os.link not in os.supports_follow_symlinks,
            )
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._rename_unless_taken(source, target)

    def _rename_unless_taken(self, source: str, target: str) -> None:
        """Reserve the name with an empty file, which is certainly ours, then put the finished one in its place."""
        os.close(os.open(self._at(target), _NEW, PRIVATE, dir_fd=self.descriptor))
        try:
            self._rename(source, target)
        except BaseException:
            self._unlink(target)
            raise

    def _rename(self, source: str, target: str) -> None:
        os.replace(self._at(source), self._at(target), src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def _unlink(self, name: str) -> None:
        os.unlink(self._at(name), dir_fd=self.descriptor)

    def _at(self, name: str) -> str:
        return name if self.descriptor is not None else str(self.path / name)


def make_private(path: Path) -> None:
    """Make a directory and those above it that are missing, each for its owner alone under any process mask.

    Raises:
        OSError: One of them cannot be made. A directory that exists already is no error.
    """
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=PRIVATE_DIRECTORY)
            if hasattr(os, "fchmod"):
                each.chmod(PRIVATE_DIRECTORY)  # the mask may have taken away the owner's own rights


@contextlib.contextmanager
def whole_file(path: Path, *, mode: int = PUBLIC) -> Generator[IO[bytes]]:
    """Give a file to write to, which replaces any earlier one when the block ends without an error.

    Args:
        path: The file. Directories above it are made.
        mode: As for `Directory.write`.

    Raises:
        ExportError: It cannot be written; nothing half-written is left.
    """
    with _refusals(path):
        if mode == PRIVATE:
            make_private(path.parent)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        with Directory(path.parent) as directory:
            directory.status(path.name)  # a name that cannot be one is refused before any work is done
            with directory.write(path.name, replace=True, mode=mode) as file:
                yield file


def write_whole(path: Path, content: bytes) -> None:
    """Write a private file, replacing any earlier one; directories above it are made.

    Raises:
        ExportError: It cannot be written; nothing half-written is left.
    """
    with whole_file(path, mode=PRIVATE) as file:
        file.write(content)


@contextlib.contextmanager
def new_file(path: Path, *, force: bool = False) -> Generator[TextIO]:
    """Give a private file to write UTF-8 to, which gets its name when the block ends without an error.

    Args:
        path: The file. Its directory must exist.
        force: Whether an existing file is replaced.

    Raises:
        ExportError: There is something of that name already (found before the block begins, if it is there by then),
            or the file cannot be written. Nothing half-written is left.
    """
    with _not_taken(path, force=force) as directory, directory.write(path.name, replace=force) as file:
        stream = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        yield stream
        stream.detach()  # flushes it


@contextlib.contextmanager
def staged_file(path: Path, *, force: bool = False) -> Generator[Staged]:
    """Give a private file to write to and read again, which gets its name when the block ends without an error.

    Args:
        path: The file. Its directory must exist.
        force: Whether an existing file is replaced.

    Raises:
        ExportError: As for `new_file`.
    """
    with _not_taken(path, force=force) as directory, directory.stage(path.name, replace=force) as staged:
        yield staged


@contextlib.contextmanager
def _not_taken(path: Path, *, force: bool) -> Generator[Directory]:
    """Open the directory of a new file; word what the system refuses, and refuse a name that is taken."""
    taken = ExportError(f"{path}: is there already, and is not written over (see --force)")
    with _refusals(path), Directory(path.parent) as directory:
        there = directory.status(path.name)
        if there is not None and not force:
            raise taken
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise ExportError(f"{path}: is a directory, a file was expected")
        try:
            yield directory
        except FileExistsError as error:
            raise taken from error


@contextlib.contextmanager
def _refusals(path: Path) -> Generator[None]:
    """Word what the system refuses."""
    try:
        yield
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {reason(error)}") from error
    except ValueError as error:
        if "\0" not in str(path):
            raise
        raise ExportError(f"{path}: cannot be written: {reason(error)}") from error
