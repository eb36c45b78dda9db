"""What fills synthetic memory between the planted objects: nothing, seeded noise, or something like a program's memory.

All of it comes from the key stream of AES-256-CTR under a seeded key: fast, and the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 4096
_CHUNK = 1 << 22
"""Bytes written at a time: a multiple of the page."""


class Content(Protocol):
    """Bytes of a memory range, however many, which are made as they are written."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def write_to(self, file: IO[bytes]) -> None:
        """Write `size` bytes at the file's position; what is zero may be left as a hole."""


@dataclass(frozen=True, slots=True)
class Given:
    """Given bytes."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def write_to(self, file: IO[bytes]) -> None:
        """Write them."""
        file.write(self.data)


@dataclass(frozen=True, slots=True)
class Zeros:
    """Zeros, which take no room in a file that may have holes."""

    size: int

    def write_to(self, file: IO[bytes]) -> None:
        """Skip them: the writer sets the file's length in the end."""
        file.seek(self.size, 1)


class _KeyStream:
    """An endless pseudo-random stream that a label determines."""

    def __init__(self, *label: str) -> None:
        source = SeededBytes("filler", *label)
        self._encryptor = Cipher(algorithms.AES(source.take(32)), modes.CTR(source.take(16))).encryptor()
        self._zeros = bytes(_CHUNK)

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, `_CHUNK` at most."""
        return self._encryptor.update(self._zeros if size == _CHUNK else bytes(size))


@dataclass(frozen=True, slots=True)
class Noise:
    """Uniform noise: encrypted or compressed data looks like this."""

    size: int
    seed: str

    def write_to(self, file: IO[bytes]) -> None:
        """Write it."""
        stream = _KeyStream("noise", self.seed)
        for start in range(0, self.size, _CHUNK):
            file.write(stream.take(min(_CHUNK, self.size - start)))


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
    """Pages drawn from a pool like a program's heap: zeros, text (8- and 16-bit), pointers, small numbers, noise."""

    size: int
    seed: str

    def write_to(self, file: IO[bytes]) -> None:
        """Write it."""
        stream = _KeyStream("mixed", self.seed)
        pool = _page_pool(stream)
        for start in range(0, self.size, _CHUNK):
            size = min(_CHUNK, self.size - start)
            count = -(-size // PAGE)
            choice = np.frombuffer(stream.take(2 * count), "<u2") % _POOL_PAGES
            file.write(memoryview(pool[choice]).cast("B")[:size])


def _page_pool(stream: _KeyStream) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return `_POOL_PAGES` pages as rows of bytes."""
    pool = np.frombuffer(stream.take(_POOL_PAGES * PAGE), np.uint8).reshape(_POOL_PAGES, PAGE).copy()
    eighth = _POOL_PAGES // 8
    pool[:eighth] = 0
    # Pointers: eight bytes each, into one 4 GiB heap, 16-aligned.
    pointers = pool[eighth : 3 * eighth].view("<u8")
    pointers[:] = (pointers & 0xFFFFFFF0) | 0x1F200000000
    # Small numbers: 32-bit, most of them below 256.
    numbers = pool[3 * eighth : 4 * eighth].view("<u4")
    numbers[:] = numbers & np.where(numbers & 0x700, 0xFF, 0xFFFF).astype("<u4")
    for row in range(4 * eighth, 6 * eighth):
        encoding = "utf-16-le" if row % 2 else "ascii"
        order = np.argsort(pool[row, : len(_WORDS)], kind="stable")
        text = "\0\0\0".join(_WORDS[word] for word in order).encode(encoding)
        pool[row] = np.frombuffer((text * (PAGE // len(text) + 1))[:PAGE], np.uint8)
    return pool


FILLERS: dict[str, Callable[[int, str], Content]] = {
    "zeros": lambda size, _seed: Zeros(size),
    "noise": Noise,
    "mixed": Mixed,
}


def filler(kind: str, size: int, seed: str) -> Content:
    """Return `size` bytes of filler.

    Raises:
        ScenarioError: If there is no filler of that kind.
    """
    if kind not in FILLERS:
        raise ScenarioError(f"unknown filler {kind!r}; expected one of {', '.join(FILLERS)}")
    return FILLERS[kind](size, seed)
