"""Remembers what was found out about an image, so that the next command starts at once.

An image is identified by its path, size and time of change. A cache that cannot be used is no error.
"""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from dumpscan._version import __version__
from dumpscan.exceptions import DumpscanError
from dumpscan.files import write_whole
from dumpscan.memory.symbols.user_dirs import cache_directory

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = 1
_MAX_BYTES = 1 << 16


class ImageCache:
    """What one operating system's profile knows about one image, as JSON.

    Args:
        path: The image.
        system: Name of the operating system; each remembers facts of its own.
        directory: Where to remember them; by default in dumpscan's cache directory.

    Attributes:
        directory: As given.
    """

    def __init__(self, path: Path, system: str, directory: Path | None = None) -> None:
        self.directory = directory
        path = path.absolute()
        with suppress(OSError):
            path = path.resolve()
        name = sha256(f"{system}:{path}".encode(errors="surrogateescape")).hexdigest()[:32]
        self._file = (directory or cache_directory()) / "images" / f"{name}.json"
        self._key: list[object] = [_VERSION, __version__, system, str(path)]
        with suppress(OSError):
            status = path.stat()
            self._key += [status.st_size, status.st_mtime_ns]

    def load(self) -> dict[str, object] | None:
        """Return the facts that were saved for this image, or None if there are none. Check them before use."""
        known = load_json(self._file)
        return known if known is not None and known.pop("image", None) == self._key else None

    def save(self, facts: dict[str, object]) -> None:
        """Remember facts in place of those that were saved before."""
        with suppress(OSError, DumpscanError):
            write_whole(self._file, json.dumps({"image": self._key, **facts}).encode("ascii"))


def load_json(file: Path) -> dict[str, Any] | None:
    """Return what a cache's file holds, or None if that is not there or cannot be used. Check it before use."""
    try:
        with file.open("rb") as opened:
            known = json.loads(opened.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) else None
