"""Remembers where the Linux kernels of an image are, and what was asked of their symbols and types.

A remembered kernel is looked at again before it is believed: its page tables must still lead to it. What was asked of
its symbols and types also serves other images of the same build, if their kernels say the same of themselves, byte for
byte: a build id alone could be forged.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from dumpscan._version import __version__
from dumpscan.exceptions import DumpscanError
from dumpscan.files import write_whole
from dumpscan.memory.kernel.cache import ImageCache, load_json
from dumpscan.memory.kernel.linux.finder import LinuxKernel, is_there
from dumpscan.memory.kernel.linux.symbols.btf import MAX_BTF
from dumpscan.memory.kernel.linux.symbols.kallsyms import MAX_NAMES, MAX_SYMBOLS, KallsymsTables
from dumpscan.memory.symbols.user_dirs import cache_directory
from dumpscan.model.linux.c_kernel import START_OF_IMAGE, TOKENS

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.memory.kernel.linux.addresses import KernelMemory
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

    def kernels(self) -> list[LinuxKernel] | None:
        """Return the kernels that were found before, perhaps none; None if nothing is known that still holds."""
        try:
            kernels = [_kernel(found) for found in self._facts["kernels"]]
            return kernels if all(is_there(self._image, kernel) for kernel in kernels) else None
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    def facts(self, kernel: LinuxKernel) -> dict[str, Any]:
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

    def save_kernels(self, kernels: list[LinuxKernel], remains: list[str], *, further: bool) -> None:
        """Remember which kernels were found, which remains of others, and how they were looked for."""
        found = [asdict(each) for each in kernels]
        self._facts = {"kernels": found, "remains": remains, "searched_further": further}
        self._cache.save(self._facts)

    def save_facts(self, kernel: LinuxKernel, facts: dict[str, dict[str, int | None]]) -> None:
        """Remember what was asked of a kernel's symbols and types."""
        self._facts |= {"root": kernel.root, "types": facts}
        self._cache.save(self._facts)


class BuildCache:
    """What was asked of the symbols and types of a build of the kernel, in whatever image.

    Args:
        kernel: A kernel of that build.
        memory: Its memory.
        directory: Where to remember it; by default in dumpscan's cache directory.
    """

    def __init__(self, kernel: LinuxKernel, memory: KernelMemory, directory: Path | None = None) -> None:
        self._kernel = kernel
        self._memory = memory
        known = re.fullmatch("[0-9a-f]{8,64}", kernel.build_id or "")
        self._file = (directory or cache_directory()) / "linux" / f"{known[0]}.json" if known else None
        self._digests: dict[tuple[int, int], str | None] = {}

    def facts(self) -> dict[str, Any]:
        """Return what was asked before, with the addresses of this boot of the kernel; empty if that is nothing."""
        known = load_json(self._file) if self._file is not None else None
        facts = known.get("types") if known is not None and known.get("version") == __version__ else None
        if not isinstance(facts, dict) or not isinstance(facts.get("symbols"), dict):
            return {}
        shifted = {**facts, "symbols": self._moved(facts["symbols"], self._kernel.shift)}
        digest = self._digest(shifted["symbols"])
        return shifted if digest and known is not None and digest == known.get("digest") else {}

    def save(self, facts: dict[str, dict[str, int | None]]) -> None:
        """Remember what was asked."""
        digest = self._digest(facts["symbols"])
        if self._file is None or not digest:
            return
        unshifted = {**facts, "symbols": self._moved(facts["symbols"], -self._kernel.shift)}
        data = json.dumps({"version": __version__, "digest": digest, "types": unshifted})
        with suppress(OSError, DumpscanError):
            write_whole(self._file, data.encode("ascii"))

    @staticmethod
    def _moved(symbols: dict[str, Any], distance: int) -> dict[str, int | None]:
        return {
            name: at + distance if type(at) is int and at >= START_OF_IMAGE else at
            for name, at in symbols.items()
            if at is None or type(at) is int
        }

    def _digest(self, symbols: dict[str, int | None]) -> str | None:
        """Return a hash of what the kernel says of itself: its names, their addresses, and its types."""
        start, stop = symbols.get("__start_BTF"), symbols.get("__stop_BTF")
        if start is None or stop is None or not 0 < stop - start <= MAX_BTF:
            return None
        if (start, stop) not in self._digests:
            self._digests[start, stop] = self._digest_with(start, stop)
        return self._digests[start, stop]

    def _digest_with(self, start: int, stop: int) -> str | None:
        tables = self._kernel.tables
        if tables is None:
            return None
        count = min(self._memory.number(tables.count, 4), MAX_SYMBOLS)
        names = max(min(tables.token_index - tables.names, MAX_NAMES), 0) + 2 * TOKENS
        found = blake2b(digest_size=32)
        for at, size in ((tables.names, names), (tables.offsets, 4 * count), (start, stop - start)):
            data = self._memory.read(at, size)
            if len(data) < size:
                return None
            found.update(data)
        return found.hexdigest()


def _kernel(found: dict[str, Any]) -> LinuxKernel:
    tables = found["tables"]
    return LinuxKernel(
        **{
            **found,
            "known": (str(found["known"][0]), int(found["known"][1])),
            "tables": None if tables is None else KallsymsTables(**tables),
            "numbers": {str(name): int(value) for name, value in found["numbers"].items()},
        }
    )
