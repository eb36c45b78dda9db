"""One new file of text: written whole or not at all, for its owner's eyes, never over another unless asked to."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from dumpscan.exceptions import ExportError
from dumpscan.output.exports.directory import FILE_MODE, NO_LINKS

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import TextIO


@contextlib.contextmanager
def new_file(path: Path, *, force: bool = False) -> Generator[TextIO]:
    """Open a file to be written as UTF-8. It gets its name when the block ends well; otherwise nothing is left.

    Args:
        path: The file. Its directory must be there.
        force: Whether to replace a file of that name.

    Raises:
        ExportError: There is something of that name already (said before the block begins, if it is there by then), or
            the file cannot be written.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    taken = ExportError(f"{path}: is there already, and is not written over (see --force)")
    try:
        if not force and os.path.lexists(path):
            raise taken
        if path.is_dir():
            raise ExportError(f"{path}: is a directory, a file was expected")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except (OSError, ValueError) as error:
        raise ExportError(f"{path}: cannot be written: {_reason(error)}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            except OSError as error:
                raise ExportError(f"{path}: could not be written: {_reason(error)}") from error
        try:
            _publish(temporary, path, force=force)
        except FileExistsError as error:
            raise taken from error
        except OSError as error:
            raise ExportError(f"{path}: could not be written: {_reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path, *, force: bool) -> None:
    """Give a finished file its name. A link, unlike a rename, never replaces anything."""
    if force:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        path.touch(FILE_MODE, exist_ok=False)  # reserves the name on file systems without links
        temporary.replace(path)


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
