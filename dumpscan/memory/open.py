"""What a file is, by its content: opened as the dump that it is, or refused with the reason."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError, InputError
from dumpscan.memory.mapped_file import IMAGE_CONTAINERS, MappedFile, recognise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dumpscan.memory.kernel.image import KernelImage
    from dumpscan.memory.minidump.reader import Minidump

_LEAST_IMAGE = 1 << 20
"""Bytes of the smallest file that may be a raw image of physical memory; Windows needs many times that."""
_HEAD = 64

_UNREAD_DUMPS = (b"PMDM", b"USERDUMP", b"HIBR", b"hibr")
"""Dumps that are none of ours: big-endian minidumps, user dumps from before Windows XP, hibernation files."""
_CONTAINERS = tuple(signature for signature, _ in IMAGE_CONTAINERS)
_EITHER = (b"\x7fELF",)

ONE_IMAGE = threading.RLock()
"""Held while an image of physical memory is worked on: volatility3 keeps things for the whole process, and workers of a
cluster are threads."""


class NoDumpError(DumpscanError):
    """A file is no dump. The text says what it is, as far as that is known; it does not name the file."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A dump that is open: one of the two.

    Attributes:
        minidump: A user-mode minidump.
        kernel: An image of physical memory.
    """

    minidump: Minidump | None = None
    kernel: KernelImage | None = None

    def close(self) -> None:
        """Let go of the file."""
        for dump in (self.minidump, self.kernel):
            if dump is not None:
                dump.close()


def open_dump(path: Path, *, symbols: Sequence[Path] = (), offline: bool = True) -> Opened:
    """Open a file as the dump that it is.

    A minidump and the containers of memory images have signatures. A raw image has none: a file of some size that is
    nothing else is taken for one if there is a Windows kernel in it, or the remains of one.

    Args:
        path: A file, whatever its name.
        symbols: As for `KernelImage`.
        offline: As for `KernelImage`.

    Raises:
        NoDumpError: It is no dump.
        InputError: It cannot be opened, or is a dump that cannot be read.
    """
    try:
        with MappedFile(path) as file:
            head, size = bytes(file.buffer[:_HEAD]), file.size
    except InputError as error:
        if path.is_file() and path.stat().st_size == 0:
            raise NoDumpError("is empty") from error
        raise
    from dumpscan.memory.minidump.reader import Minidump  # noqa: PLC0415 - who only lists files needs nothing of this
    from dumpscan.model.c_minidump import SIGNATURE  # noqa: PLC0415 - see above

    if head.startswith(SIGNATURE):
        return Opened(minidump=Minidump(path))
    check_head(path, head)
    if size < _LEAST_IMAGE and not head.startswith(_CONTAINERS):
        raise NoDumpError(f"no dump: {_first_words(head)}; and too small ({size} bytes) for an image of memory")
    with ONE_IMAGE:
        return _open_kernel(path, head, symbols, offline=offline)


def check_head(path: Path, data: bytes) -> None:
    """Refuse a file whose first bytes show that it cannot be read as a dump.

    Raises:
        NoDumpError: It is something else.
        InputError: It is a dump of a kind that is not understood.
    """
    from dumpscan.model.c_minidump import SIGNATURE  # noqa: PLC0415 - see above

    head = data[:_HEAD]
    name = recognise(head)
    if head.startswith(_UNREAD_DUMPS):
        raise InputError(path, f"is {name}, which cannot be read")
    if name and any(head) and not head.startswith((SIGNATURE, *_CONTAINERS)):
        raise NoDumpError(f"is {name}")


def _open_kernel(path: Path, head: bytes, symbols: Sequence[Path], *, offline: bool) -> Opened:
    from dumpscan.memory.kernel.image import KernelImage  # noqa: PLC0415 - it takes volatility3, which minidumps do not need
    from dumpscan.memory.physical.containers import RAW  # noqa: PLC0415 - see above

    try:
        image = KernelImage(path, symbols=symbols, offline=offline)
    except InputError as error:
        if head.startswith(_EITHER):
            raise NoDumpError(error.problem) from error
        raise
    try:
        plausible = image.physical.format != RAW or bool(image.kernels) or image.symbols_state().pdb is not None
    except BaseException:
        image.close()
        raise
    if not plausible:
        image.close()
        raise NoDumpError(f"no dump: {_first_words(head)}, and no Windows kernel in it")
    return Opened(kernel=image)


def _first_words(head: bytes) -> str:
    if not any(head):
        return "it begins with zeros"
    if all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in head):  # noqa: PLR2004 - ASCII's printable characters
        return "it begins like a text"
    return f"it begins with {head[:8].hex(' ')}, which is no dump's signature"
