"""Content for the memory between planted objects: zeros, noise, or pages like those of a program's heap.

All of it comes from the key stream of AES-256-CTR under a key made from the seed, which is fast and gives the same
bytes on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.alignment import page_count
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 1 << 22
"""Bytes written at a time: whole pages."""


class Content(Protocol):
    """The content of a memory range. It may be large, so it is made while it is written."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def write_to(self, file: IO[bytes]) -> None:
        """Write `size` bytes at the file's position. Zeros may be left as a hole in the file."""


@dataclass(frozen=True, slots=True)
class Given:
    """Bytes given by the caller."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def write_to(self, file: IO[bytes]) -> None:
        """Write the bytes."""
        file.write(self.data)


@dataclass(frozen=True, slots=True)
class Zeros:
    """Zeros, which take no space in a sparse file."""

    size: int

    def write_to(self, file: IO[bytes]) -> None:
        """Skip them. The caller must set the file's length at the end."""
        file.seek(self.size, 1)


class _KeyStream:
    """An endless pseudo-random stream determined by a label."""

    def __init__(self, *label: str) -> None:
        source = SeededBytes("filler", *label)
        self._encryptor = Cipher(algorithms.AES(source.take(32)), modes.CTR(source.take(16))).encryptor()
        self._zeros = bytes(_CHUNK)

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, at most `_CHUNK`."""
        return self._encryptor.update(self._zeros if size == _CHUNK else bytes(size))


@dataclass(frozen=True, slots=True)
class Noise:
    """Uniform noise, like encrypted or compressed data."""

    size: int
    seed: str

    def write_to(self, file: IO[bytes]) -> None:
        """Write the noise."""
        stream = _KeyStream("noise", self.seed)
        for size in _chunks(self.size):
            file.write(stream.take(size))


_POOL_PAGES = 512
_WORDS = (
    "GET /api/v2/orders HTTP/1.1\r\nHost: shop.example.org\r\n",
    "SELECT id, name FROM accounts WHERE tenant = @p0",
    "C:\\Windows\\System32\\bcryptprimitives.dll",
    "System.Security.Cryptography.X509Certificates",
    "application/json; charset=utf-8",
    "The operation completed successfully.",
    "Content-Security-Policy: default-src 'self'",
    "SOFTWARE\\Microsoft\\SystemCertificates\\MY",
)


@dataclass(frozen=True, slots=True)
class Mixed:
    """Pages like those of a program's heap: zeros, ASCII and UTF-16 text, pointers, small numbers, noise."""

    size: int
    seed: str

    def write_to(self, file: IO[bytes]) -> None:
        """Write pages drawn from a pool of `_POOL_PAGES`."""
        stream = _KeyStream("mixed", self.seed)
        pool = _page_pool(stream)
        for size in _chunks(self.size):
            choice = np.frombuffer(stream.take(2 * page_count(size)), "<u2") % _POOL_PAGES
            file.write(memoryview(pool[choice]).cast("B")[:size])


def _chunks(size: int) -> Iterator[int]:
    """Yield the sizes of the chunks in which `size` bytes are written."""
    for start in range(0, size, _CHUNK):
        yield min(_CHUNK, size - start)


def _page_pool(stream: _KeyStream) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return the pool of pages, one a row: an eighth zeros, two pointers, one numbers, two text, two noise."""
    pool = np.frombuffer(stream.take(_POOL_PAGES * PAGE_SIZE), np.uint8).reshape(_POOL_PAGES, PAGE_SIZE).copy()
    eighth = _POOL_PAGES // 8
    pool[:eighth] = 0
    # Pointers: eight bytes each, 16-aligned, into one heap of 4 GiB.
    pointers = pool[eighth : 3 * eighth].view("<u8")
    pointers[:] = (pointers & 0xFFFFFFF0) | 0x1F200000000
    # Numbers: 32 bits each, most of them below 256.
    numbers = pool[3 * eighth : 4 * eighth].view("<u4")
    numbers[:] = numbers & np.where(numbers & 0x700, 0xFF, 0xFFFF).astype("<u4")
    for row in range(4 * eighth, 6 * eighth):
        encoding = "utf-16-le" if row % 2 else "ascii"
        order = np.argsort(pool[row, : len(_WORDS)], kind="stable")
        text = "\0\0\0".join(_WORDS[word] for word in order).encode(encoding)
        pool[row] = np.frombuffer((text * (PAGE_SIZE // len(text) + 1))[:PAGE_SIZE], np.uint8)
    return pool


FILLERS: dict[str, Callable[[int, str], Content]] = {
    "zeros": lambda size, _seed: Zeros(size),
    "noise": Noise,
    "mixed": Mixed,
}
"""The functions that make each kind of filler from a size in bytes and a seed."""


def filler(kind: str, size: int, seed: str) -> Content:
    """Return `size` bytes of filler.

    Raises:
        ScenarioError: If `kind` is not one of `FILLERS`.
    """
    if kind not in FILLERS:
        raise ScenarioError(f"unknown filler {kind!r}; expected one of {', '.join(FILLERS)}")
    return FILLERS[kind](size, seed)
