"""The keys that are in use in a process, against which secrets are proven: what follows from a secret must be one.

A key of 128 bits or more that follows from a window is not there by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.artifacts.tls.derive import CHACHA20
from dumpscan.artifacts.tls.in_use import gcm, vpaes
from dumpscan.artifacts.tls.in_use.word_index import WordIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.artifacts.tls.places import Places

SCHEDULE = "the AES key that follows from {} is in use"
_TABLE = "the GCM table of the AES key that follows from {} is in use"
_CHACHA20 = "the ChaCha20 key that follows from {} is in use"


class KeysInUse:
    """The keys of one process.

    Args:
        places: What was found there.

    Attributes:
        sizes: Bytes of the AES keys whose schedules are there, as FIPS 197 has them.
        explained: Whether one of those was asked for. If so, the processor or the program is one that keeps schedules,
            and keys without them are not worth a try.
    """

    def __init__(self, places: Places) -> None:
        self.sizes = {len(key) for key in places.aes_keys}
        self.explained = False
        self._schedules = places.aes_keys
        self._memory = places.memory
        self._words = WordIndex(places)

    def with_schedule(self, key: bytes) -> bool:
        """Say whether an AES key has its schedule."""
        found = key in self._schedules
        self.explained |= found
        return found

    def without_schedule(self, keys: Sequence[bytes]) -> Iterator[tuple[int, str]]:
        """Look AES keys up by what else libraries keep of them: tables of GCM, schedules of vpaes.

        Args:
            keys: The keys, all of one size.

        Yields:
            The number of each key that is in use, and what says so: a text with a place for what it follows from.
        """
        if not keys:
            return
        found = dict.fromkeys(gcm.with_table(self._memory, self._words, keys), _TABLE)
        found |= dict.fromkeys(vpaes.with_schedule(self._memory, self._words, keys), SCHEDULE)
        yield from sorted(found.items())

    def chacha20(self, keys: bytes) -> Iterator[tuple[int, str]]:
        """Look keys of ChaCha20 up, one behind the other; yield as `without_schedule` does."""
        size = CHACHA20.key_size
        told = -1
        for number, address in self._words.find(np.frombuffer(keys, "<u8").reshape(-1, size // 8)[:, 0]):
            if number != told and self._memory.read(address, size) == keys[number * size : number * size + size]:
                told = number
                yield number, _CHACHA20
