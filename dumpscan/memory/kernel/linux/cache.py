"""Remembers where the Linux kernels of an image are, and what was asked of their symbols and types.

A remembered kernel is looked at again before it is believed: its note must still be there, and its page tables must
still lead to it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dumpscan.memory.kernel.cache import ImageCache
from dumpscan.memory.kernel.linux.finder import Kernel, is_there
from dumpscan.memory.kernel.linux.symbols.kallsyms import KallsymsTables

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.physical.image import PhysicalImage


class LinuxCache:
    """What is known of one image.

    Args:
        image: The image.
        directory: As for `ImageCache`.
    """

    def __init__(self, image: PhysicalImage, directory: Path | None = None) -> None:
        self._image = image
        self._cache = ImageCache(image.path, "linux", directory)
        self._facts: dict[str, Any] = self._cache.load() or {}

    def kernels(self) -> list[Kernel] | None:
        """Return the kernels that were found before, perhaps none; None if nothing is known that still holds."""
        try:
            kernels = [_kernel(found) for found in self._facts["kernels"]]
            return kernels if all(is_there(self._image, kernel) for kernel in kernels) else None
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    def facts(self, kernel: Kernel) -> dict[str, Any]:
        """Return what was asked of a kernel's symbols and types before."""
        known = self._facts.get("types")
        return known if isinstance(known, dict) and self._facts.get("root") == kernel.root else {}

    def remains(self) -> list[str]:
        """Return the remains of kernels that were found before, in words."""
        known = self._facts.get("remains")
        return [each for each in known if isinstance(each, str)] if isinstance(known, list) else []

    @property
    def searched_further(self) -> bool:
        """Whether kernels were also looked for without their notes."""
        return self._facts.get("searched_further") is True

    def save_kernels(self, kernels: list[Kernel], remains: list[str], *, further: bool) -> None:
        """Remember which kernels were found, which remains of others, and how they were looked for."""
        found = [asdict(each) for each in kernels]
        self._facts = {"kernels": found, "remains": remains, "searched_further": further}
        self._cache.save(self._facts)

    def save_facts(self, kernel: Kernel, facts: dict[str, dict[str, int | None]]) -> None:
        """Remember what was asked of a kernel's symbols and types."""
        self._facts |= {"root": kernel.root, "types": facts}
        self._cache.save(self._facts)


def _kernel(found: dict[str, Any]) -> Kernel:
    tables = found["tables"]
    return Kernel(
        **{
            **found,
            "known": (str(found["known"][0]), int(found["known"][1])),
            "tables": None if tables is None else KallsymsTables(**tables),
            "numbers": {str(name): int(value) for name, value in found["numbers"].items()},
        }
    )
