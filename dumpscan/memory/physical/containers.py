"""Opens images of physical memory: each format says which runs of memory it holds.

Formats of `dumpscan.memory.physical.formats` and Windows crash dumps (`dumpscan.memory.physical.crash_dump`) are read
here. For the others, volatility3's layers recognise the format and say what lies where: LiME, VMware snapshots, and
what its later releases add. All bytes are read from the mapped file.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from dumpscan.exceptions import InputError
from dumpscan.memory import volatility
from dumpscan.memory.mapped_file import MappedFile
from dumpscan.memory.physical.crash_dump import open_crash_dump
from dumpscan.memory.physical.formats.avml import open_avml
from dumpscan.memory.physical.formats.elf import open_elf
from dumpscan.memory.physical.formats.kdump import open_kdump
from dumpscan.memory.physical.formats.qemu import open_libvirt, open_qemu
from dumpscan.memory.physical.image import ADDRESS_LIMIT, PhysicalImage, require_memory, table_of_runs
from dumpscan.memory.physical.unpacked import Room
from dumpscan.model import c_elf, c_kdump, c_qemu
from dumpscan.model.windows import c_crash_dump
from dumpscan.model.windows.c_paging import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dumpscan.memory.kernel.cache import ImageCache
    from dumpscan.memory.volatility import Volatility

_OURS: tuple[tuple[bytes, Callable[[MappedFile, Path | None], PhysicalImage]], ...] = (
    (c_crash_dump.SIGNATURE, lambda file, _: open_crash_dump(file)),
    (c_elf.MAGIC, lambda file, _: open_elf(file)),
    (b"AVML", open_avml),
    (c_qemu.MAGIC, open_qemu),
    (c_qemu.LIBVIRT_MAGIC, open_libvirt),
    (c_kdump.SIGNATURE, open_kdump),
    (c_kdump.FLAT_SIGNATURE, open_kdump),
)
"""First bytes of the formats that are read here, and what opens each."""
_FORMATS = {
    "LimeLayer": "LiME",
    "VmwareLayer": "VMware snapshot",
}
RAW = "raw"
_KNOWN_AS_RAW: dict[str, object] = {"format": RAW}
"""What is remembered of files that volatility3 knows no format of: to ask it takes longer than all the rest."""

_WHY_UNREAD = ((b"EMiL", "a LiME image whose headers are damaged"),)
"""Why a file that begins like an image cannot be read when volatility3 does not take it."""

_VMWARE_MEMORY = ".vmem"
_VMWARE_SNAPSHOTS = (".vmss", ".vmsn")

_MAX_READS = 100_000
_BYTES_PER_READ = 8 * PAGE_SIZE
"""Reads that a container's list of runs may take: so many, and one more for so many bytes of the file. A bitmap of
pages is read a few bytes at a time; a forged list could have an entry for every few bytes of the file."""
_MAX_RUNS = 1 << 20
"""Runs of memory that are taken from a list. Real images have a few; one with a run for every page has 4 GiB."""
_MAX_PACKED_BLOCK = 16 << 20
"""Bytes that one compressed block may unpack to."""


def open_image(
    path: Path, heard: list[str], scratch: Path | None = None, remembered: ImageCache | None = None
) -> PhysicalImage:
    """Open an image of physical memory.

    Args:
        path: The file.
        heard: volatility3's warnings are appended here.
        scratch: Directory to unpack a compressed image into; by default, it is unpacked into memory.
        remembered: What is known of the file's format; by default nothing, and nothing is remembered.

    Raises:
        InputError: It is no regular file, or no image of physical memory.
        DumpscanError: volatility3 is not there.
    """
    file = MappedFile(path)
    try:
        return _recognised(file, heard, scratch, remembered)
    except BaseException:
        file.close()
        raise


def _recognised(
    file: MappedFile, heard: list[str], scratch: Path | None, remembered: ImageCache | None
) -> PhysicalImage:
    head = bytes(file.buffer[:16])
    for signature, opener in _OURS:
        if head.startswith(signature):
            return opener(file, scratch)
    _require_files_beside(file.path)
    if file.path.suffix != _VMWARE_MEMORY and remembered is not None and remembered.load() == _KNOWN_AS_RAW:
        return _raw(file)
    volatility.load(remembered.directory if remembered is not None else None)
    with volatility.listening(heard), _stack(file) as (context, layer):
        if layer is None:
            for signature, reason in _WHY_UNREAD:
                if head.startswith(signature):
                    raise InputError(file.path, f"is {reason}", offset=0)
            if remembered is not None:
                remembered.save(_KNOWN_AS_RAW)
            return _raw(file)
        image_format = _FORMATS.get(type(layer).__name__, type(layer).__name__)
        if isinstance(layer, volatility.module("framework.layers.linear").LinearlyMappedLayer):
            runs = table_of_runs(sorted(_runs(file.path, context, layer.name)))
            require_memory(file.path, runs)
            return PhysicalImage(file, runs, image_format=image_format, path=file.path)
        return _unpacked(file, layer, image_format, scratch)


def _raw(file: MappedFile) -> PhysicalImage:
    """Open a file whose offsets are physical addresses."""
    image = PhysicalImage(file, [(0, file.size, 0)], image_format=RAW, path=file.path)
    if file.size % PAGE_SIZE:
        image.problems.append(f"cut short: its size of {file.size} bytes is no multiple of {PAGE_SIZE}")
    return image


def _require_files_beside(path: Path) -> None:
    """Refuse VMware memory beside which something else than a file has a snapshot's name: volatility3 opens it."""
    if path.suffix != _VMWARE_MEMORY:
        return
    for beside in (path.with_suffix(suffix) for suffix in _VMWARE_SNAPSHOTS):
        if beside.exists() and not beside.is_file():
            raise InputError(path, f"its snapshot {beside.name} is not a file")


@contextmanager
def _stack(file: MappedFile) -> Iterator[tuple[Volatility, Volatility]]:
    """Let volatility3 put its layers on the file; give the context and the topmost layer, or None if none fits."""
    from dumpscan.memory.physical.volatility_layers import MappedLayer  # noqa: PLC0415 - it imports volatility3

    volatility.load_layers()
    framework = volatility.module("framework")
    stacker_class = volatility.module("framework.interfaces").automagic.StackerLayerInterface
    context = volatility.module("framework.contexts").Context()
    base: Volatility = MappedLayer(context, "image", file, _MAX_READS + file.size // _BYTES_PER_READ)
    context.add_layer(base)
    # Only volatility3's formats: no page tables, and nothing that a plugin brought along.
    stackers = [
        found for found in framework.class_subclasses(stacker_class) if ".framework.layers." in found.__module__
    ]
    stackers.sort(key=lambda found: found.stack_order)
    names = volatility.module("framework.automagic.stacker").LayerStacker.stack_layer(context, base.name, stackers)
    if base.reads_left < 0:
        raise InputError(file.path, "the list of its runs of memory does not end: it is damaged", offset=0)
    base.reads_left = file.size
    try:
        yield context, context.layers[names[0]] if names[0] != base.name else None
    finally:
        for layer in context.layers.values():  # files beside the image that volatility3 has opened
            layer.destroy()


def _runs(path: Path, context: Volatility, name: str) -> Iterator[tuple[int, int, int]]:
    """Follow a linear layer's mapping down to the file: (address, size, file offset) in bytes.

    volatility3 goes round for ever in some forged lists, in which runs have no bytes; so the runs are counted.
    """
    layer = context.layers[name]
    least, most = layer.minimum_address, layer.maximum_address
    count = 0
    for address, _, mapped, size, below in layer.mapping(least, most - least + 1, ignore_errors=True):
        pieces = [(address, size, mapped)]
        if context.layers[below].dependencies:
            inside = context.layers[below].mapping(mapped, size, ignore_errors=True)
            pieces = [
                (address + inner - mapped, length, offset)
                for inner, _, offset, length, _ in islice(inside, _MAX_RUNS - count + 1)
            ]
        count += len(pieces)
        if count > _MAX_RUNS:
            raise InputError(path, f"lists more than {_MAX_RUNS} runs of memory: it is damaged")
        yield from ((int(start), int(length), int(offset)) for start, length, offset in pieces)


def _unpacked(file: MappedFile, layer: Volatility, image_format: str, scratch: Path | None = None) -> PhysicalImage:
    """Unpack a compressed image's memory."""
    blocks = list(_blocks(file, layer))
    room = Room(file.path, sum(size for _, size in blocks), file.size, scratch)
    runs = []
    at = 0
    try:
        for address, size in blocks:
            data = layer.read(address, size, pad=True)
            if data.count(0) < size:
                room.write(at, data)
            runs.append((address, size, at))
            at += size
    except BaseException:
        room.discard()
        raise
    image = PhysicalImage(
        room.finish(), runs, image_format=f"{image_format}, compressed", path=file.path, in_file=False
    )
    file.close()
    return image


def _blocks(file: MappedFile, layer: Volatility) -> Iterator[tuple[int, int]]:
    """Yield physical address and size of each block of a compressed image.

    Raises:
        InputError: A block is larger or further up than it can be in a real image.
    """
    span = layer.maximum_address - layer.minimum_address + 1
    for start, length, _, _, _ in layer.mapping(layer.minimum_address, span, ignore_errors=True):
        address, size = int(start), int(length)
        if not 0 < size <= _MAX_PACKED_BLOCK or address + size > ADDRESS_LIMIT:
            raise InputError(file.path, f"is damaged: it has a block of {size} bytes for physical address {address:#x}")
        yield address, size
