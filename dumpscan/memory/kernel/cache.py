"""Remembers where the kernel of an image is, so that a second command starts at once.

An image is known by its path, size and time of change. What is remembered is looked at before it is believed: the page
tables must still lead to a program's header at the kernel's base. A cache that cannot be used is no error.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan._version import __version__
from dumpscan.exceptions import ExportError
from dumpscan.files import write_whole
from dumpscan.memory.kernel.windows.finder import X64_LAYER, Kernel, PdbRecord
from dumpscan.memory.physical.page_tables import translate
from dumpscan.memory.user_dirs import cache_directory
from dumpscan.model.windows.c_paging import PAGE_SHIFT

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.physical.image import PhysicalImage

_VERSION = 1
_MAX_BYTES = 1 << 16


class KernelCache:
    """What is known of one image.

    Args:
        image: The image.
        directory: Where to remember it; by default in our cache directory.
    """

    def __init__(self, image: PhysicalImage, directory: Path | None = None) -> None:
        self._image = image
        path = image.path.absolute()
        with suppress(OSError):
            path = path.resolve()
        self._file = (directory or cache_directory()) / "images" / f"{sha256(str(path).encode()).hexdigest()[:32]}.json"
        self._key: list[object] = [_VERSION, __version__, str(path)]
        with suppress(OSError):
            status = path.stat()
            self._key += [status.st_size, status.st_mtime_ns]

    def load(self) -> list[Kernel] | None:
        """Return the kernels that were found before, which may be none; None if nothing is known that still holds."""
        try:
            with self._file.open("rb") as file:
                known = json.loads(file.read(_MAX_BYTES))
            if known["image"] != self._key:
                return None
            kernels = [Kernel(**{**found, "pdb": PdbRecord(**found["pdb"])}) for found in known["kernels"]]
            return kernels if all(self._holds(kernel) for kernel in kernels) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _holds(self, kernel: Kernel) -> bool:
        if kernel.layer != X64_LAYER:
            return True
        at = translate(self._image, kernel.root >> PAGE_SHIFT, kernel.base)
        return at is not None and self._image.read(at, 2) == b"MZ"

    def save(self, kernels: list[Kernel]) -> None:
        """Remember what was found."""
        known = {"image": self._key, "kernels": [asdict(kernel) for kernel in kernels]}
        with suppress(ExportError):
            write_whole(self._file, json.dumps(known).encode("ascii"))
