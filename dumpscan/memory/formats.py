"""The formats of dumps: what each is recognised by, and what opens it.

A new format is a line in `FORMATS`, and a folder beside this module with what opens it. Files that are no dump that
dumpscan reads are named by `_OTHERS`, so that a user learns what they hold in their hands.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError, InputError
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.packed.unpack import UnpackOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dumpscan.memory.dump import PhysicalDump, ProcessDump

HEAD_SIZE = 64
"""Bytes of a file's beginning that tell what it is."""

UNPACK_FIRST = "unpack it first"
"""What to do with a packed file."""

_STREAM_COUNTS = range(2, 129)
"""Streams of a minidump; their number stands at offset 8."""

ONE_IMAGE = threading.RLock()
"""Held while an image of physical memory is opened or searched: volatility3 keeps state for the whole process, and the
workers of a cluster are threads."""


@dataclass(frozen=True, slots=True)
class DumpKind:
    """A kind of dump: a group of commands on the command line.

    Attributes:
        name: Name of the group, and of the kind's record of `info`.
        title: What such dumps are, for the group's help.
        files: What its files are called in the help.
        expected: What a file of this kind is, for messages.
        many_processes: Whether it holds more than one process, so that `pslist`, `--pid` and the like make sense.
    """

    name: str
    title: str
    files: str
    expected: str
    many_processes: bool

    def __str__(self) -> str:
        return self.name


MINIDUMP = DumpKind(
    "minidump",
    "User-mode minidumps (Windows, Crashpad, Breakpad).",
    "Minidumps.",
    "the signature MDMP",
    many_processes=False,
)
CORE = DumpKind(
    "core",
    "Cores of Linux processes (by the kernel, gdb, createdump).",
    "Cores.",
    "an ELF core of a process",
    many_processes=False,
)
KERNEL = DumpKind(
    "kernel",
    "Images of a machine's physical memory (Windows, Linux).",
    "Images of physical memory.",
    "an image of physical memory",
    many_processes=True,
)
KINDS = (MINIDUMP, CORE, KERNEL)


class NoDumpError(DumpscanError):
    """A file is no dump. The text says what it is, as far as that is known; it does not name the file."""


class UnknownSystemError(InputError):
    """An image is of an operating system that dumpscan does not understand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOptions:
    """How dumps are opened. Formats ignore what does not concern them.

    Attributes:
        symbols: Directories (or files) of kernels' symbol tables, to be looked at before all others.
        offline: Whether to stay off the network.
        unpacking: How packed dumps are unpacked.
        sysroot: Directory of the files that a process had mapped, for what its core leaves out.
    """

    symbols: Sequence[Path] = ()
    offline: bool = True
    sysroot: Path | None = None
    unpacking: UnpackOptions = field(default_factory=UnpackOptions)


@dataclass(frozen=True, slots=True)
class DumpFormat:
    """A format that dumpscan reads.

    Attributes:
        kind: What kind of dump it is.
        signature: The file's first bytes; empty for raw images, which have none.
        name: What such a file is, in words.
        open: Opens it.
        may_be_other: Whether files of other kinds begin so too; then one that cannot be opened is no dump.
        accepts: Looks further into a file that begins so, where its first bytes do not decide.
    """

    kind: DumpKind
    signature: bytes
    name: str
    open: Callable[[Path, OpenOptions], ProcessDump | PhysicalDump]
    may_be_other: bool = False
    accepts: Callable[[Path], bool] | None = None

    def fits(self, path: Path, head: bytes) -> bool:
        """Say whether a file is of this format, as far as can be told without opening it as such."""
        return head.startswith(self.signature) and (self.accepts is None or self.accepts(path))


def _open_minidump(path: Path, _options: OpenOptions) -> ProcessDump:
    from dumpscan.memory.minidump.dump import Minidump  # noqa: PLC0415 - who only lists files does not need it

    return Minidump(path)


def _is_wiped_minidump(path: Path) -> bool:
    """Say whether a file is a minidump without its signature; one that cannot be read is not."""
    try:
        with MappedFile(path) as file:
            if int.from_bytes(file.buffer[8:12], "little") not in _STREAM_COUNTS:
                return False  # without the import below, which takes longer than opening an image
    except InputError:
        return False
    from dumpscan.memory.minidump.wiped import is_wiped_minidump  # noqa: PLC0415 - see above

    return is_wiped_minidump(path)


def _open_core(path: Path, options: OpenOptions) -> ProcessDump:
    from dumpscan.memory.core.dump import Core  # noqa: PLC0415 - see above

    return Core(path, sysroot=options.sysroot)


def _is_process_core(path: Path) -> bool:
    """Say whether an ELF file is the core of a process; one that cannot be read is not."""
    from dumpscan.memory.core.elf import read_elf  # noqa: PLC0415 - see above

    try:
        with MappedFile(path) as file:
            return read_elf(path, file.buffer).is_process()
    except InputError:
        return False


def _open_kernel(path: Path, options: OpenOptions) -> PhysicalDump:
    from dumpscan.memory.kernel.image import KernelImage  # noqa: PLC0415 - imports volatility3

    with ONE_IMAGE:
        return KernelImage(path, symbols=options.symbols, offline=options.offline, scratch=options.unpacking.scratch)


def _open_raw(path: Path, options: OpenOptions) -> PhysicalDump:
    """Open a file without a signature: it is an image if a kernel is in it, or the remains of one."""
    from dumpscan.memory.kernel.foreign import foreign_system  # noqa: PLC0415 - see above
    from dumpscan.memory.kernel.image import KernelImage  # noqa: PLC0415 - imports volatility3

    with ONE_IMAGE:
        image = KernelImage(path, symbols=options.symbols, offline=options.offline, scratch=options.unpacking.scratch)
        try:
            if image.has_kernel():
                return image
            other = foreign_system(image.physical)
        except BaseException:
            image.close()
            raise
        image.close()
    if other:
        raise UnknownSystemError(path, f"is an image of {other}, which cannot be read")
    raise NoDumpError(f"no dump: {first_words(path)}, and no Windows kernel and no Linux kernel in it")


FORMATS = (
    DumpFormat(MINIDUMP, b"MDMP", "a minidump", _open_minidump),
    DumpFormat(KERNEL, b"PAGEDU64", "a kernel crash dump", _open_kernel),
    DumpFormat(KERNEL, b"PAGEDUMP", "a 32-bit kernel crash dump", _open_kernel),
    DumpFormat(KERNEL, b"PAGE", "a kernel crash dump of an unknown kind", _open_kernel),
    DumpFormat(KERNEL, b"EMiL", "a LiME memory image", _open_kernel),
    DumpFormat(KERNEL, b"AVML", "an AVML memory image", _open_kernel),
    DumpFormat(KERNEL, b"KDUMP   ", "a kdump-compressed file", _open_kernel),
    DumpFormat(KERNEL, b"makedumpfile", "a flattened kdump-compressed file", _open_kernel),
    DumpFormat(KERNEL, b"QEVM", "a QEMU snapshot", _open_kernel),
    DumpFormat(KERNEL, b"LibvirtQemudSave", "a saved machine of libvirt", _open_kernel),
    DumpFormat(CORE, b"\x7fELF", "an ELF core of a process", _open_core, accepts=_is_process_core),
    DumpFormat(KERNEL, b"\x7fELF", "an ELF file, such as a program or a core dump", _open_kernel, may_be_other=True),
    DumpFormat(MINIDUMP, b"", "a minidump whose signature was overwritten", _open_minidump, accepts=_is_wiped_minidump),
)
"""Formats with a signature, and those that lost it; the first that fits is taken."""

RAW = DumpFormat(KERNEL, b"", "an image of physical memory", _open_raw, may_be_other=True)

_OTHERS = (
    # First bytes, what begins so, what to do with it.
    (b"\xcf\xfa\xed\xfe", "a Mach-O file", ""),
    (b"\xfd7zXZ\x00", "an xz archive", UNPACK_FIRST),
    (b"\x1f\x8b", "a gzip archive", UNPACK_FIRST),
    (b"PK\x03\x04", "a zip archive", UNPACK_FIRST),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK_FIRST),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK_FIRST),
    (b"BZh", "a bzip2 archive", UNPACK_FIRST),
    (b"MSCF", "a cabinet archive", UNPACK_FIRST),
    (b"Rar!", "a RAR archive", UNPACK_FIRST),
    (b"MZ", "a Windows program", ""),
    (b"SQLite format 3\x00", "an SQLite database", ""),
    (b"-----BEGIN ", "a PEM file", ""),
)
"""Files that are no dump."""
_UNREAD_DUMPS = (
    # First bytes, as a regular expression, and what begins so.
    (rb"PMDM", "a big-endian minidump"),
    (rb"LibvirtQemudPart", "a saved machine of libvirt that was not finished"),
    (rb"DISKDUMP", "a diskdump image, which Linux wrote before kdump"),
    (rb"USERDUMP", "a user dump from before Windows XP"),
    (rb"HIBR|hibr", "a Windows hibernation file"),
    (rb"(?s)\xcf\xfa\xed\xfe.{8}\x04\x00\x00\x00", "a Mach-O core of a macOS process"),
    (rb"\x19\x43\x56\x54|\x40\x59\x10\x55", "an image of a CRIU checkpoint"),
)
"""Dump formats that dumpscan recognises but cannot read."""


def _unread_dump(head: bytes) -> str | None:
    return next((name for signature, name in _UNREAD_DUMPS if re.match(signature, head)), None)


def recognise(head: bytes) -> str | None:
    """Name the format that a file's first bytes announce, with what to do about it; None if they say nothing."""
    for form in FORMATS:
        if head.startswith(form.signature) and form.accepts is None:
            return form.name if form.may_be_other else f"{form.name}: use `dumpscan {form.kind}`"
    if name := _unread_dump(head):
        return name
    for signature, name, advice in _OTHERS:
        if head.startswith(signature):
            return f"{name}: {advice}" if advice else name
    if head and not any(head):
        return "nothing but zeros at its beginning"
    return None


def format_of(path: Path, head: bytes) -> DumpFormat:
    """Return the format that a file's first bytes announce; that of raw images, if they announce nothing.

    Raises:
        NoDumpError: It is something else.
        InputError: It is a dump of a kind that dumpscan cannot read.
    """
    for form in FORMATS:
        if form.fits(path, head):
            return form
    if name := _unread_dump(head):
        raise InputError(path, f"is {name}, which cannot be read", offset=0)
    other = recognise(head)
    if other and any(head):
        raise NoDumpError(f"is {other}")
    return RAW


def opener_of_kind(
    path: Path, head: bytes, kind: DumpKind
) -> Callable[[Path, OpenOptions], ProcessDump | PhysicalDump]:
    """Return what opens a file that must be of one kind.

    Raises:
        InputError: It is of another.
    """
    form = next((form for form in FORMATS if form.fits(path, head)), None)
    if form is not None and form.kind is kind:
        return form.open
    if form is not None and not form.may_be_other:
        found = f"{form.name}: use `dumpscan {form.kind}`"
    else:
        found = recognise(head) or ""
    if kind is KERNEL:
        if found and any(head):
            raise InputError(path, f"is {found}; expected {kind.expected}", offset=0)
        return _open_kernel
    raise InputError(path, f"not a {kind}: expected {kind.expected}, found {found or repr(head[:4])}", offset=0)


def first_words(path: Path) -> str:
    """Say how a file begins that begins like nothing known."""
    with MappedFile(path) as file:
        head = bytes(file.buffer[:HEAD_SIZE])
    if not any(head):
        return "it begins with zeros"
    if all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in head):  # noqa: PLR2004 - ASCII's printable characters
        return "it begins like a text"
    return f"it begins with {head[:8].hex(' ')}, which is no dump's signature"
