"""Dumps behind URLs: each is fetched into a scratch directory for as long as it is read."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dumpscan.exceptions import DumpscanError, InputError, reason
from dumpscan.memory.formats import HEAD_SIZE, format_of
from dumpscan.memory.packed.scratch import ScratchDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP = 8 << 20
_SPARED = 64 << 20
"""Bytes to leave free on the file system of the scratch directory."""


def is_url(path: str) -> bool:
    """Return whether an input is a URL rather than a path."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()


def file_system(url: str) -> tuple[Any, str]:
    """Return the fsspec file system that a URL names, and the path in it.

    Raises:
        InputError: No file system can be reached under the URL.
        DumpscanError: fsspec is not installed.
    """
    try:
        core = import_module("fsspec.core")
    except ImportError as error:
        raise DumpscanError(f"{url}: URLs need the extra `remote`: pip install 'dumpscan[remote]'") from error
    try:
        system, path = core.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:  # of a protocol's own library, or an unknown protocol
        raise InputError(url, f"cannot be reached: {error}") from error
    return system, str(path)


@contextmanager
def staged(path: str, size: int | None, scratch: str | None, limit: int) -> Iterator[Path]:
    """Return the path of a dump on this machine for as long as the block lasts; fetch it first if it is remote.

    A file whose first bytes show that it is not a dump is not fetched.

    Args:
        path: Path or URL.
        size: Its length in bytes, if that is known.
        scratch: Directory to fetch it into; the system's by default.
        limit: How many bytes may be fetched.

    Raises:
        InputError: It cannot be fetched, or is larger than the limit.
        NoDumpError: It is not a dump.
    """
    if not is_url(path):
        yield Path(path)
        return
    if size is not None and size > limit:
        raise InputError(path, f"has {size:,} bytes; no more than {limit:,} may be fetched (--scratch-limit)")
    system, name = file_system(path)
    with _scratch(path, scratch) as directory:
        target = directory.path / "dump"
        try:
            with system.open(name, "rb") as source, target.open("wb") as out:
                _copy(path, source, out, limit, directory.name)
        except DumpscanError:
            raise
        except Exception as error:  # whatever a protocol's library raises
            raise InputError(path, f"cannot be fetched: {type(error).__name__}: {error}") from error
        yield target


def _scratch(path: str, parent: str | None) -> ScratchDirectory:
    try:
        return ScratchDirectory(parent)
    except OSError as error:
        raise InputError(path, f"cannot be fetched: no scratch directory can be made: {reason(error)}") from error


def _copy(path: str, source: Any, out: Any, limit: int, directory: str) -> None:  # noqa: ANN401 - fsspec has no types
    fetched = 0
    while data := source.read(_STEP):
        if fetched == 0:
            format_of(Path(path), data[:HEAD_SIZE])
        fetched += len(data)
        if fetched > limit:
            raise InputError(path, f"has more than the {limit:,} bytes that may be fetched (--scratch-limit)")
        if shutil.disk_usage(directory).free < len(data) + _SPARED:
            raise InputError(path, f"cannot be fetched: no room in {directory}", offset=fetched)
        out.write(data)
