"""The pass for headers of big numbers, whatever the size of a program's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dumpscan.scan.searcher import Matches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    Indexes = NDArray[np.int64]


def find_headers(
    data: memoryview, phases: tuple[int, ...], *, word: int, in_words: Callable[[NDArray[Any]], Sequence[Indexes]]
) -> Matches:
    """Search a buffer (see `dumpscan.scan.passes.aligned_matches`).

    Args:
        data: The buffer.
        phases: Offsets, modulo the size of a word, at which headers may begin.
        word: Bytes of a word.
        in_words: Finds headers among words: the index of the first word of each, by kind.
    """
    parts = [(np.zeros(0, np.uint16), np.zeros(0, np.uint64))]
    for phase in phases:
        count = (len(data) - phase) // word
        if count > 1:
            for number, found in enumerate(in_words(np.frombuffer(data, f"<u{word}", count, phase))):
                starts = (found * word + phase).astype(np.uint64)
                parts.append((np.full(len(found), number, np.uint16), starts))
    numbers, starts = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(starts, kind="stable")
    return Matches(numbers[order], starts[order])
