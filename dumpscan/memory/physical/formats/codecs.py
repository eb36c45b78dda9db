"""How pages of memory images are packed: a function for each way.

None but LZO's unpacks to more than a page; LZO's library does not stop there.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dumpscan.model.c_kdump import Packed

if TYPE_CHECKING:
    from collections.abc import Callable

    Data = bytes | memoryview
    Unpack = Callable[[Data, int], bytes | None]
    """Takes packed bytes and the size of what they should stand for; returns it, or None if they are damaged. Bytes of
    another size are what an LZO page unpacked to, whose work must be counted."""


class MissingLibraryError(Exception):
    """A library is not installed. Its text is the library's name."""


def zlib_pages() -> Unpack:
    """Return what unpacks pages packed by zlib (RFC 1950); isal's takes half the time of Python's own."""
    try:
        library = _library("isal.isal_zlib")
    except MissingLibraryError:
        library = zlib

    def unpack(data: Data, size: int) -> bytes | None:
        stream = library.decompressobj()
        try:
            page: bytes = stream.decompress(data, size + 1)
        except library.error:
            return None
        return page if len(page) == size and stream.eof else None

    return unpack


def zstd_pages() -> Unpack:
    """Return what unpacks pages packed by zstd (RFC 8878), for one thread."""
    library = _library("zstandard")
    decompressor = library.ZstdDecompressor()

    def unpack(data: Data, size: int) -> bytes | None:
        try:
            # The library makes as much room as the frame asks for, if it does.
            if library.frame_content_size(data) not in {-1, size}:
                return None
            page: bytes = decompressor.decompress(data, max_output_size=size)
        except library.ZstdError:
            return None
        return page if len(page) == size else None

    return unpack


def snappy_pages() -> Unpack:
    """Return what unpacks blocks of raw snappy."""
    library = _library("cramjam")

    def unpack(data: Data, size: int) -> bytes | None:
        try:
            if library.snappy.decompress_raw_len(data) != size:
                return None
            return bytes(library.snappy.decompress_raw(data))
        except library.DecompressionError:
            return None

    return unpack


def lzo_pages() -> Unpack:
    """Return what unpacks pages packed by LZO1X. A byte of it stands for 255 at most."""
    library = _library("lzallright")

    def unpack(data: Data, size: int) -> bytes | None:
        try:
            page: bytes = library.LZOCompressor.decompress(bytes(data), output_size_hint=size)
        except library.LZOError:
            return None
        return page

    return unpack


def _library(name: str) -> Any:  # noqa: ANN401 - modules without type hints
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingLibraryError(name) from error


CODECS: dict[Packed, tuple[str, Callable[[], Unpack]]] = {
    Packed.ZLIB: ("zlib", zlib_pages),
    Packed.LZO: ("LZO", lzo_pages),
    Packed.SNAPPY: ("snappy", snappy_pages),
    Packed.ZSTD: ("zstd", zstd_pages),
}
"""Name of each way, and what makes a function that unpacks it."""
