"""Remembers where the Windows kernels of an image are.

Remembered kernels are checked before they are believed: the page tables must still lead to a program's header at the
kernel's base.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dumpscan.memory.kernel.cache import ImageCache
from dumpscan.memory.kernel.windows.finder import X64_LAYER, Kernel
from dumpscan.memory.physical.page_tables import translate
from dumpscan.memory.symbols.pdb import PdbRecord
from dumpscan.model.windows.c_paging import PAGE_SHIFT

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.physical.image import PhysicalImage


class KernelCache:
    """The kernels that are known of one image.

    Args:
        image: The image.
        directory: As for `ImageCache`.
    """

    def __init__(self, image: PhysicalImage, directory: Path | None = None) -> None:
        self._image = image
        self._cache = ImageCache(image.path, "windows", directory)

    def load(self) -> list[Kernel] | None:
        """Return the kernels that were found before, perhaps none; None if nothing is known that still holds."""
        facts: dict[str, Any] | None = self._cache.load()
        if facts is None:
            return None
        try:
            kernels = [Kernel(**{**found, "pdb": PdbRecord(**found["pdb"])}) for found in facts["kernels"]]
            return kernels if all(self._holds(kernel) for kernel in kernels) else None
        except (ValueError, KeyError, TypeError):
            return None

    def _holds(self, kernel: Kernel) -> bool:
        if kernel.layer != X64_LAYER:
            return True
        at = translate(self._image, kernel.root >> PAGE_SHIFT, kernel.base)
        return at is not None and self._image.read(at, 2) == b"MZ"

    def save(self, kernels: list[Kernel]) -> None:
        """Remember what was found."""
        self._cache.save({"kernels": [asdict(kernel) for kernel in kernels]})
