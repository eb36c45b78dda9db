"""Mapped files as layers of volatility3. Import this only after volatility3 is loaded (`volatility.load`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volatility3.framework.exceptions import InvalidAddressException
from volatility3.framework.interfaces.layers import DataLayerInterface
from volatility3.framework.layers.physical import FileLayer

if TYPE_CHECKING:
    from dumpscan.memory.mapped_file import MappedFile
    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.volatility import Volatility

MAX_READ = 256 << 20
"""Bytes that volatility3 gets in one read. It allocates whatever a size in the image claims; its largest real reads are
blocks of AVML (16 MiB) and environments."""


class EndlessListError(Exception):
    """Reading a container's list of runs took more reads than a real list does."""


class MappedLayer(FileLayer):  # type: ignore[misc]  # volatility3's classes count as Any
    """The mapped file as volatility3's file layer. The file is not opened again, nor unpacked because of its name.

    Attributes:
        reads_left: Reads that are still allowed.
    """

    def __init__(self, context: Volatility, name: str, file: MappedFile, reads: int) -> None:
        context.config[f"{name}.location"] = file.path.absolute().as_uri()
        self._mapped = file
        self.reads_left = reads
        super().__init__(context, name, name)

    @property
    def _file(self) -> None:
        return None

    @property
    def maximum_address(self) -> int:
        """Offset of the last byte."""
        return self._mapped.size - 1

    def read(self, offset: int, length: int, pad: bool = False) -> bytes:  # noqa: FBT001, FBT002 - volatility3's
        """Return bytes of the file."""
        self.reads_left -= 1
        if self.reads_left < 0:
            raise EndlessListError
        if length > MAX_READ:
            raise InvalidAddressException(self.name, offset, f"no read has {length} bytes")
        data = bytes(self._mapped.buffer[offset : offset + length]) if offset >= 0 else b""
        if len(data) < length and not pad:
            raise InvalidAddressException(self.name, offset + len(data), "past the end of the file")
        return data.ljust(length, b"\0")

    def destroy(self) -> None:
        """Do nothing: the mapping is not the layer's."""


class MemoryLayer(DataLayerInterface):  # type: ignore[misc]  # as above
    """Physical memory, read from the mapped image; volatility3 puts its page tables on it."""

    def __init__(self, context: Volatility, config_path: str, name: str, image: PhysicalImage) -> None:
        super().__init__(context, config_path, name)
        self._image = image

    @property
    def minimum_address(self) -> int:
        """Return 0."""
        return 0

    @property
    def maximum_address(self) -> int:
        """Physical address of the last byte; at least 1, since volatility3 needs a range."""
        return max(self._image.end - 1, 1)

    def is_valid(self, offset: int, length: int = 1) -> bool:
        """Return whether the image holds all of a range."""
        parts = self._image.regions.extents(int(offset), int(length))
        return sum(size for _, size in parts) >= length

    def read(self, offset: int, length: int, pad: bool = False) -> bytes:  # noqa: FBT001, FBT002 - volatility3's
        """Return bytes at a physical address."""
        if length > MAX_READ:
            raise InvalidAddressException(self.name, int(offset), f"no read has {length} bytes")
        data = self._image.read(int(offset), int(length))
        if len(data) == length:
            return data
        if not pad:
            raise InvalidAddressException(self.name, int(offset) + len(data), "not in the image")
        return self._image.read_padded(int(offset), int(length))  # only volatility3's own searches do that

    def write(self, offset: int, data: bytes) -> None:
        """Refuse to write."""
        raise InvalidAddressException(self.name, offset, f"an image is never written to ({len(data)} bytes)")
