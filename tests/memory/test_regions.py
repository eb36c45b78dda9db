"""Many words at once: the same bytes as one read each gives."""

from __future__ import annotations

import numpy as np

from dumpscan.memory.regions import read_words
from support.artifact_samples import Space


def test_words_are_what_single_reads_give_or_not_held() -> None:
    memory = Space({0x5000: bytes(range(1, 30)), 0x1000: bytes(range(100, 117)), 0x2000: b"short"})
    read = read_words(memory.buffer, memory.regions)
    addresses = [0, 0xFFF, 0x1000, 0x1005, 0x1009, 0x100A, 0x2000, 0x4FFF, 0x5000, 0x5015, 0x5016, 2**64 - 4]
    words, held = read(np.array(addresses, np.uint64))
    expected = [memory.read(address, 8) for address in addresses]
    assert held.tolist() == [len(data) == 8 for data in expected]
    assert [word for word, there in zip(words.tolist(), held.tolist(), strict=True) if there] == [
        int.from_bytes(data, "little") for data in expected if len(data) == 8
    ]
    assert not read(np.zeros(0, np.uint64))[0].size


def test_a_word_across_two_regions_counts_as_not_held() -> None:
    memory = Space({0x1004: b"efghijkl", 0x1000: b"abcd"})
    words, held = read_words(memory.buffer, memory.regions)(np.array([0x1000, 0x1004], np.uint64))
    assert held.tolist() == [False, True]
    assert words[1].tobytes() == b"efghijkl"
    assert not read_words(memory.buffer, ())(np.array([0x1000], np.uint64))[1].any()
